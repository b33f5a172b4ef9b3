/** The contract again, on a broker without KIP-848: the protocol of a group does not matter to its owner. */
import { eventLogContract } from './event-log.contract.ts'
import { openKafkaUnderTest } from './support/kafka-under-test.ts'
import { openClassicKafka } from 'relay-test-support/local-kafka.ts'

eventLogContract('kafka with classic groups', async t => {
  const kafka = await openClassicKafka(t)
  return kafka && await openKafkaUnderTest(t, kafka.bootstrapServers)
})
