/** Retention as queries see it: from when on the buckets of each level are there. */
import type { Database } from 'relay-common'
import type { LevelName } from 'relay-rollups'

import { keptForEver, type KeptSince } from './plan.ts'

/** Retention of each level, in s; left out: forever. */
export type LevelRetentions = Readonly<Partial<Record<LevelName, number>>>

/** Largest difference between the clocks of the database and of programs that drop rollups. */
const CLOCK_DIFFERENCE_MAX_MS = 5 * 60_000

/** Time from which the buckets of each level are surely kept. */
export function keptSinceOf (retention: LevelRetentions, nowMs: number): KeptSince {
  const given = Object.entries(retention).filter(([, s]) => s !== undefined)
    .map(([name, s]) => [name, nowMs - s * 1000 + CLOCK_DIFFERENCE_MAX_MS])
  return { ...keptForEver, ...Object.fromEntries(given) as Partial<KeptSince> }
}

/** For this time one read of the retention serves all answers: it is far below the difference of clocks. */
const SHARED_MS = 1_000

export interface RetentionReader {
  /**
   * The same, by the current retention.
   * @param database of the answer, on the server of this reader
   */
  readKeptSince (database: Pick<Database, 'queryPrepared'>): Promise<KeptSince>
}

/** @param now monotonic clock, ms */
export function createRetentionReader (now = () => performance.now()): RetentionReader {
  let last: { readonly keptSince: KeptSince, readonly atMs: number } | undefined
  return {
    async readKeptSince (database) {
      const atMs = now()
      if (last !== undefined && atMs - last.atMs < SHARED_MS) return last.keptSince
      const keptSince = await readKeptSince(database)
      last = { keptSince, atMs }
      return keptSince
    }
  }
}

async function readKeptSince (database: Pick<Database, 'queryPrepared'>): Promise<KeptSince> {
  const rows = await database.queryPrepared<{ name: LevelName, kept_since_s: number }>('kept since', `
    select name, date_part('epoch', now() - retention) as kept_since_s from rollup_levels where retention is not null`)
  const given = rows.map(it => [it.name, it.kept_since_s * 1000 + CLOCK_DIFFERENCE_MAX_MS])
  return { ...keptForEver, ...Object.fromEntries(given) as Partial<KeptSince> }
}
