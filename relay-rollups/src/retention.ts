/**
 * Retention of rollups, in `rollup_levels`. Only the owner of the database can set it, so a compromised program can't
 * drop rollups early.
 */
import { Type, type Static, type TObject } from 'typebox'

import type { Database } from 'relay-common'
import { DAY_MS, levels } from './window.ts'

/** Retention of rollups: for the processor, which drops them, and for programs that refuse events that are too old. */
export const retentionSettings = {
  RETENTION_MINUTE_DAYS: Type.Integer({
    default: 0, minimum: 0, description: 'retention of minute rollups in days; 0: forever'
  }),
  RETENTION_HOUR_DAYS: Type.Integer({
    default: 0, minimum: 0, description: 'retention of hour rollups in days; 0: forever'
  }),
  RETENTION_DAY_DAYS: Type.Integer({
    default: 0, minimum: 0, description: 'retention of day rollups in days; 0: forever'
  })
}

/** Retention by index of the level, in ms; Infinity: forever. */
export function keepMsOf (config: Static<TObject<typeof retentionSettings>>): number[] {
  return [config.RETENTION_MINUTE_DAYS, config.RETENTION_HOUR_DAYS, config.RETENTION_DAY_DAYS]
    .map(days => days === 0 ? Infinity : days * DAY_MS)
}

/** Days by level; 0: forever; left out: unchanged. */
export interface RetentionDays {
  readonly RETENTION_MINUTE_DAYS?: number
  readonly RETENTION_HOUR_DAYS?: number
  readonly RETENTION_DAY_DAYS?: number
}

const settingOf = (level: string) => `RETENTION_${level.toUpperCase()}_DAYS` as keyof RetentionDays

/** Sets the retention of each level. Counts of late and duplicate readings are kept as long as the longest one. */
export async function setRetention (database: Database, days: RetentionDays): Promise<void> {
  await database.transaction(async client => {
    for (const { name } of levels) {
      const keepDays = days[settingOf(name)]
      if (keepDays === undefined) continue
      await client.query(
        'select set_rollup_retention($1, make_interval(days => nullif($2::integer, 0)))', [name, keepDays]
      )
    }
    await client.query(`
      select set_rollup_retention('arrivals', case when bool_and(retention is not null) then max(retention) end)
      from rollup_levels where name = any ($1)`, [levels.map(it => it.name)])
  })
}

/** Whether this login may set the retention, as the owner may. */
export async function maySetRetention (database: Database): Promise<boolean> {
  const [{ may }] = await database.query<{ may: boolean }>(
    "select has_function_privilege('set_rollup_retention(text, interval)', 'execute') as may")
  return may
}

/** Differences between settings and database, e.g. `RETENTION_MINUTE_DAYS is 30, but 0 in the database`. */
export async function findRetentionDifferences (database: Database, days: RetentionDays): Promise<string[]> {
  const rows = await database.query<{ name: string, days: number }>(
    'select name, coalesce(extract(epoch from retention) / 86400, 0)::float8 as days from rollup_levels')
  return levels.flatMap(({ name }) => {
    const setting = settingOf(name)
    const stored = rows.find(it => it.name === name)!.days
    return days[setting] === undefined || days[setting] === stored
      ? []
      : [`${setting} is ${days[setting]}, but ${stored} in the database`]
  })
}
