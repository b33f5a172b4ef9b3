/** The contract once more, on a broker that does not speak KIP-848: which protocol a group has is nothing to its owner. */
import { eventLogContract } from './event-log.contract.ts'
import { openKafkaUnderTest } from './support/kafka-under-test.ts'
import { openClassicKafka } from './support/local-kafka.ts'

eventLogContract('kafka with classic groups', async t => {
  const kafka = await openClassicKafka(t)
  return kafka && await openKafkaUnderTest(t, kafka.bootstrapServers)
})
