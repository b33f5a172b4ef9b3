/** A day that is repaired: its live minutes before, and the rebuilt ones after (repair.ts). */
import { DAY_MS, dayLevel, decodeBody, levels, minuteLevel, type Level, type Readings } from 'relay-rollups'

import type { ReturnedReadings } from './store.ts'
import type { RebuildSession } from './swap-rebuilt.ts'

/** The live row of a device's minute. */
export interface LiveMinute {
  readonly name: ReturnedReadings['name']
  /** undefined: it no longer stores them */
  readonly readings: Readings | undefined
}

const MINUTES_PER_FETCH = 5_000

interface LiveRow {
  readonly device_id: string
  readonly zone: string
  readonly device_type: string
  readonly bucket_start: number
  readonly count: bigint
  readonly min: number
  readonly max: number
  readonly body: Buffer
}

function dayOf (dayMs: number): Date[] {
  return [new Date(dayMs), new Date(dayMs + DAY_MS)]
}

/** Source partitions with live rows of a day, or with a journal. */
export async function readPartitionsOfDay ({ client, schema }: RebuildSession, dayMs: number): Promise<number[]> {
  const partitions = new Set<number>()
  for (const { table } of levels) {
    const { rows } = await client.query<{ source_partition: number }>(`
      select distinct source_partition from ${schema}.${table} where bucket_start >= $1 and bucket_start < $2`, dayOf(dayMs))
    for (const it of rows) partitions.add(it.source_partition)
  }
  const { rows } = await client.query<{ source_partition: number }>(
    'select distinct source_partition from journal'
  )
  for (const it of rows) partitions.add(it.source_partition)
  return [...partitions]
}

/** Whether the live minutes of devices contain all readings of their days. */
export async function isDayWhole ({ client, schema }: RebuildSession, dayMs: number): Promise<boolean> {
  const counts = (level: Level) => `
    select series_id, sum(count) as readings from ${schema}.${level.table}
    where bucket_start >= $1 and bucket_start < $2 group by series_id`
  const { rows } = await client.query(`
    select from (${counts(minuteLevel)}) minutes full join (${counts(dayLevel)}) days using (series_id)
    where minutes.readings is distinct from days.readings limit 1`, dayOf(dayMs))
  return rows.length === 0
}

/** The live minutes of devices of a day, by series and time; within the lock. */
export async function * readMinutes ({ client, schema }: RebuildSession, dayMs: number): AsyncGenerator<LiveMinute> {
  await client.query(`
    declare live_minutes no scroll cursor for
    select device_id, zone, device_type, bucket_start, count, min, max, body
    from ${schema}.rollups_minute join ${schema}.series using (series_id)
    where device_id is not null and bucket_start >= $1 and bucket_start < $2
    order by series_id, bucket_start`, dayOf(dayMs))
  for (;;) {
    const { rows } = await client.query<LiveRow>(`fetch ${MINUTES_PER_FETCH} from live_minutes`)
    for (const row of rows) {
      const { device_id: deviceId, zone, device_type: deviceType, bucket_start: bucketStartMs, count, ...rest } = row
      const { readings } = decodeBody({ ...rest, count: Number(count), bucketStartMs })
      yield { name: { deviceId, zone, deviceType }, readings }
    }
    if (rows.length < MINUTES_PER_FETCH) break
  }
  await client.query('close live_minutes')
}

/** Number of readings in the rebuilt minutes of devices. */
export async function countReadings ({ client }: RebuildSession, dayMs: number): Promise<number> {
  const { rows: [{ readings }] } = await client.query<{ readings: number }>(`
    select coalesce(sum(count), 0)::float8 as readings from rollups_minute join series using (series_id)
    where device_id is not null and bucket_start >= $1 and bucket_start < $2`, dayOf(dayMs))
  return readings
}
