import { eventLogContract } from './event-log.contract.ts'
import { openKafkaUnderTest } from './support/kafka-under-test.ts'
import { openLocalKafka } from 'relay-test-support/local-kafka.ts'

eventLogContract('kafka', async t => {
  const kafka = await openLocalKafka(t)
  return kafka && await openKafkaUnderTest(t, kafka.bootstrapServers)
})
