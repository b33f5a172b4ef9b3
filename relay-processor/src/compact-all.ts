import { levels } from 'relay-rollups'

import { admit } from './admit.ts'
import { FlushRows } from './flush-rows.ts'
import type { Partition } from './partition.ts'
import { findArrived, planFlush } from './plan-flush.ts'
import { readBack } from './read-back.ts'
import type { SettleRules } from './settle.ts'
import type { PartitionRows, RollupStore } from './store.ts'

/** Compacts the whole journal of a partition into rows, for a holder of its progress without arrivals. */
export async function compactAll (
  partition: Partition, { readingsPerRowMax }: Pick<SettleRules, 'readingsPerRowMax'>,
  store: Pick<RollupStore, 'readRows' | 'readElsewhere'>
): Promise<{ readonly write: PartitionRows, readonly daysMs: PartitionRows['daysMs'] }> {
  const rules = { readingsPerRowMax, keepDuplicates: true }
  const plan = planFlush(partition, findArrived(partition), rules, 0)
  if (plan.kind !== 'journal') throw new Error('the journal of this partition is empty')
  await readBack(store as RollupStore, partition, plan.unknown)
  const rows = new FlushRows()
  rows.begin(partition.partition, levels.map(() => -Infinity), false)
  admit(partition, rules, plan, rows, 1)
  const { daysMs, ...taken } = rows.take()
  const move = {
    partition: partition.partition,
    epoch: 0n,
    historyId: '',
    fromOffset: 0n,
    toOffset: 0n,
    eventTimeMaxMs: -Infinity,
    taken: []
  }
  const journal = partition.journal.takeChanges()
  return { write: { ...taken, move, journal, daysMs, arrivals: [], misplaced: [] }, daysMs: [...daysMs, new Set()] }
}
