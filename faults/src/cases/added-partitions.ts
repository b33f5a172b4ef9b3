import { setTimeout as delay } from 'node:timers/promises'

import { until } from 'relay-test-support/until.ts'
import type { Fault } from '../fault.ts'
import { readEnds, readProgress } from '../site.ts'

const ADDED = 2
const TIMES_MAX = 2

/** Partitions are added under load: keys move to others, and processors share the new ones. */
export const addedPartitions: Fault = {
  name: 'added-partitions',
  title: 'partitions added under load',
  async happen (site, chance, span) {
    const { kafka, topic, load } = site
    let times = 0
    let count = (await readEnds(site)).size
    do {
      count += ADDED
      await kafka.addPartitions(topic, count)
      times++
      await until('the new partitions to have leaders', async () => (await readEnds(site)).size === count)
      await load.renewProducer()
      await until('processors to own the new partitions', async () => (await readProgress(site)).size === count)
      await delay(chance.between(500, 2_000))
    } while (!span.isOver && times < TIMES_MAX)
    return { times, note: `${count} partitions now` }
  }
}
