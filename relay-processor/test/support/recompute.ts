/** The simple computation that the processor must agree with: no windows, no batches, no bytes. */
import type { Database } from 'relay-common'
import {
  bucketStartMs, emptyRollup, encodeRollupBody, foldReading, decodeBody, levels, mergeRollup, decodeJournal,
  type DeviceEvent, type Rollup
} from 'relay-rollups'

/** Name of a window: `minute 2024-01-01T00:00:00.000Z thermostat-001/THERMOSTAT/Zone A`; no device: `*` */
export function windowName (
  level: string, bucketMs: number, deviceId: string | null, deviceType: string, zone: string
): string {
  return `${level} ${new Date(bucketMs).toISOString()} ${deviceId ?? '*'}/${deviceType}/${zone}`
}

/** Every window of these events, with its canonical bytes; a duplicate counts once. */
export function recompute (events: readonly DeviceEvent[]): Map<string, string> {
  const rollups = new Map<string, { rollup: Rollup, bucketMs: number }>()
  const seen = new Set<string>()
  for (const { deviceId, deviceType, zone, timestampMs, value } of events) {
    const reading = JSON.stringify([deviceId, deviceType, zone, timestampMs, value])
    if (seen.has(reading)) continue
    seen.add(reading)
    for (const level of levels) {
      const bucketMs = bucketStartMs(level.sizeMs, timestampMs)
      for (const device of [deviceId, null]) {
        const name = windowName(level.name, bucketMs, device, deviceType, zone)
        let window = rollups.get(name)
        if (!window) rollups.set(name, window = { rollup: emptyRollup(), bucketMs })
        foldReading(window.rollup, timestampMs, value)
      }
    }
  }
  return new Map([...rollups].map(([name, { rollup, bucketMs }]) => [name, bytesOf(rollup, bucketMs)]))
}

/**
 * Every window in the database, merged from rows and journal over source partitions (or of one of them), with its
 * canonical bytes.
 */
export async function readWindows (database: Database, sourcePartition?: number): Promise<Map<string, string>> {
  const rollups = new Map<string, { rollup: Rollup, bucketMs: number }>()
  const windowOf = (level: string, bucketMs: number, { device_id: deviceId, device_type: type, zone }: SeriesRow) => {
    const name = windowName(level, bucketMs, deviceId, type, zone)
    let window = rollups.get(name)
    if (!window) rollups.set(name, window = { rollup: emptyRollup(), bucketMs })
    return window.rollup
  }
  await database.transaction(async client => {
    await client.query('set transaction isolation level repeatable read')
    for (const level of levels) {
      const { rows } = await client.query<SeriesRow & {
        bucket_start: number, count: bigint, min: number, max: number, body: Buffer
      }>(`select device_id, device_type, zone, bucket_start, count, min, max, body
          from ${level.table} join series using (series_id) where $1::integer is null or source_partition = $1`, [sourcePartition ?? null])
      for (const { bucket_start: bucketStartMs, count, min, max, body, ...series } of rows) {
        mergeRollup(windowOf(level.name, bucketStartMs, series),
          decodeBody({ bucketStartMs, count: Number(count), min, max, body }).rollup)
      }
    }
    const { rows: all } = await client.query<SeriesRow & { series_id: number }>('select * from series')
    const series = new Map(all.map(it => [it.series_id, it]))
    const { rows } = await client.query<{ body: Buffer }>(
      'select body from journal where $1::integer is null or source_partition = $1', [sourcePartition ?? null])
    for (const { body } of rows) {
      decodeJournal(body, {
        readings: (id, { timesMs, values }) => {
          for (const [n, timeMs] of timesMs.entries()) {
            for (const level of levels) {
              foldReading(windowOf(level.name, bucketStartMs(level.sizeMs, timeMs), series.get(id)!), timeMs, values[n])
            }
          }
        },
        rollup: (id, minuteMs, rollup) => {
          for (const level of levels) {
            mergeRollup(windowOf(level.name, bucketStartMs(level.sizeMs, minuteMs), series.get(id)!), rollup)
          }
        }
      })
    }
  })
  return new Map([...rollups].map(([name, { rollup, bucketMs }]) => [name, bytesOf(rollup, bucketMs)]))
}

interface SeriesRow {
  readonly device_id: string | null
  readonly device_type: string
  readonly zone: string
}

/** The body and the other columns as text, for comparison. */
function bytesOf (rollup: Rollup, bucketMs: number): string {
  return `${rollup.count} ${rollup.min} ${rollup.max} ${encodeRollupBody(rollup, bucketMs).toString('hex')}`
}
