/** An owner of partitions without a log: the test provides its events, and they go to a real database. */
import assert from 'node:assert/strict'

import { createMetrics, type Database } from 'relay-common'
import type { Topic } from 'relay-event-log'

import { Flusher } from '../../src/flush.ts'
import { createProcessorMetrics } from '../../src/metrics.ts'
import { createPartition, type Partition } from '../../src/partition.ts'
import { openPostgresStore } from '../../src/postgres-store.ts'
import type { Claim, OwnedElsewhere } from '../../src/store.ts'

/** @param opened closes it in any case, because the database waits for its connection */
export async function openOwner (database: Database, topic: Topic, opened: AsyncDisposableStack, generation = 'blue') {
  const fenced: Partition[] = []
  const settings = {
    readingsPerRowMax: 600,
    keepDuplicates: false,
    seriesInMemoryMax: 1_000,
    minutesPerPart: 100,
    keptFromMs: () => [-Infinity, -Infinity, -Infinity]
  }
  const sinks = {
    sendDeadLetters: async () => {}, onWritten: () => {}, onFenced: (it: Partition) => { fenced.push(it) }
  }
  const metrics = createProcessorMetrics(createMetrics('test'))
  const store = opened.adopt(await openPostgresStore(
    database, { kind: 'kafka', generation, group: 'relay-processor', takeoverFrom: undefined }
  ), it => it.close())
  const flusher = opened.adopt(new Flusher(store, settings, sinks, metrics, (_what, work) => work()), it => it.close())
  const claim = async (number: number) =>
    createPartition(topic, number, claimed(await store.claim(topic, number, 'owner', 0n)))
  return { store, flusher, fenced, claim }
}

/** A claim that no other generation of processors prevented. */
export function claimed (outcome: Claim | OwnedElsewhere): Claim {
  assert.ok(!('ownedBy' in outcome), 'it belongs to another generation')
  return outcome
}
