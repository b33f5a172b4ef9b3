import { rm } from 'node:fs/promises'

import { until } from 'relay-test-support/until.ts'
import type { Drill } from '../drill.ts'

/** The disk of the only broker is gone, while processors run and devices send. */
export const topicLost: Drill = {
  name: 'topic-lost',
  title: 'topic lost with the disks of Kafka',
  isLogLost: true,
  async destroy ({ kafka }) {
    const [broker] = kafka.brokers
    await broker.kill()
    await rm(broker.dataDir, { recursive: true })
    await broker.start()
  },
  async recover ({ operator, database }) {
    await operator.follow('Topic lost')
    await until('the gap to be recorded', async () =>
      (await database.query("select from gaps where kind = 'topic-recreated'")).length > 0)
  }
}
