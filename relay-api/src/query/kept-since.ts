/** Retention as queries see it: from when on the buckets of each level are there. */
import type { Database, LevelName } from 'relay-common'

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

/** The same, by the current retention. */
export async function readKeptSince (database: Pick<Database, 'queryPrepared'>): Promise<KeptSince> {
  const rows = await database.queryPrepared<{ name: LevelName, kept_since_s: number }>('kept since', `
    select name, date_part('epoch', now() - retention) as kept_since_s from rollup_levels where retention is not null`)
  const given = rows.map(it => [it.name, it.kept_since_s * 1000 + CLOCK_DIFFERENCE_MAX_MS])
  return { ...keptForEver, ...Object.fromEntries(given) as Partial<KeptSince> }
}
