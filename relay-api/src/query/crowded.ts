/**
 * Crowded selections: those with very many devices. A range that begins or ends within a minute needs the readings of
 * each device in that minute, and such a statement takes long.
 */
import type { Database, ForWhom } from 'relay-common'

import { kindCondition, seriesColumn } from '../parameters/selection.ts'
import type { SeriesFilter } from './rows-statement.ts'

/** PostgreSQL takes about 20 ms for the minutes of this many series; 300,000 took about a second. */
const SERIES_MAX = 5_000
/** A small selection is counted again after this time. A crowded one stays crowded: series are rarely removed. */
const KNOWN_MS = 10_000
const KNOWN_MAX = 1_000

export interface Crowds {
  /**
   * Whether a zone, a type or the whole site has very many devices.
   * @throws RelayError RELAY_DATABASE_UNREACHABLE
   */
  isCrowded (filter: Pick<SeriesFilter, 'zone' | 'deviceType'>, whom?: ForWhom): Promise<boolean>
}

/** @param now monotonic clock, ms */
export function createCrowds (database: Pick<Database, 'queryPrepared'>, now = () => performance.now()): Crowds {
  const known = new Map<string, { readonly isCrowded: boolean, readonly atMs: number }>()
  return {
    async isCrowded ({ zone, deviceType }, whom) {
      const key = JSON.stringify([zone, deviceType])
      const before = known.get(key)
      if (before !== undefined && (before.isCrowded || now() - before.atMs < KNOWN_MS)) return before.isCrowded
      const given = Object.entries({ zone, device_type: deviceType }).filter(([, name]) => name !== undefined)
      const conditions = given.map(([column], n) =>
        `${seriesColumn(column as 'zone' | 'device_type', false)} = $${n + 1}`)
      const [{ is_crowded: isCrowded }] = await database.queryPrepared<{ is_crowded: boolean }>(
        `crowded ${given.map(([column]) => column).join()}`, `
        select count(*) > ${SERIES_MAX} as is_crowded from (
          select from series s where ${[kindCondition('devices'), ...conditions].join(' and ')} limit ${SERIES_MAX + 1}) s`,
        given.map(([, name]) => name), whom)
      known.delete(key)
      known.set(key, { isCrowded, atMs: now() })
      if (known.size > KNOWN_MAX) known.delete(known.keys().next().value!)
      return isCrowded
    }
  }
}
