/**
 * Writes readings into a database as rollups of every level, or into the journal, as a processor does: with the same
 * functions, without a processor.
 */
import type { Database } from 'relay-common'
import {
  bucketStartMs, deviceBlockOf, emptyReadings, emptyRollup, encodeReadingsBody, encodeRollupBody, foldReadings,
  groupBlockOf, JournalWriter, lateBlockOf, levels, mergeReadings, mergeRollup, minuteLevel,
  READINGS_PER_ROW_MAX_DEFAULT, total, type DeviceEvent, type Level, type Readings, type Rollup
} from 'relay-rollups'

/** An event with its partition of the log. */
export interface PlacedEvent extends DeviceEvent {
  readonly sourcePartition: number
}

interface Row {
  readonly level: Level
  readonly series: string
  readonly sourcePartition: number
  readonly bucketMs: number
  readonly rollup: Rollup
  /** of a device's minute */
  readonly readings?: Readings
}

export interface WriteSettings {
  /** a minute with more readings of a device only stores its rollup */
  readonly readingsPerRowMax?: number
  /** events that are only in the journal: for their devices and for their groups. None of them is a duplicate */
  readonly journaled?: Readonly<Record<'devices' | 'groups', ReadonlyMap<PlacedEvent, JournalPlace>>>
  /** false: no change is announced */
  readonly announces?: boolean
}

/** The place of a reading in the journal. */
export interface JournalPlace {
  readonly flush: number
  /** in a block shared with more devices */
  readonly isLate: boolean
}

/** Writes events of buckets that no earlier call has written. */
export async function writeEvents (
  database: Database, events: readonly PlacedEvent[],
  {
    readingsPerRowMax = READINGS_PER_ROW_MAX_DEFAULT,
    journaled = { devices: new Map(), groups: new Map() },
    announces = true
  }: WriteSettings = {}
): Promise<void> {
  const seriesIds = await ensureSeries(database, [...new Set(events.flatMap(it => [deviceKey(it), groupKey(it)]))])
  await writeJournal(database, events, seriesIds, journaled)
  const rows = rowsOf(events, journaled)
  for (const level of levels) {
    const ofLevel = rows.filter(it => it.level === level)
    const times = ofLevel.map(it => it.bucketMs)
    await ensurePartitions(database, level, times)
    await database.query(`
      insert into ${level.table} (series_id, bucket_start, source_partition, count, sum, min, max, body)
      select series_id, to_timestamp(bucket_start), source_partition, count, sum, min, max, body
      from unnest($1::integer[], $2::float8[], $3::integer[], $4::bigint[], $5::float8[], $6::float8[], $7::float8[],
          $8::bytea[]) as r (series_id, bucket_start, source_partition, count, sum, min, max, body)`,
    [ofLevel.map(it => seriesIds.get(it.series)), times.map(it => it / 1000), ofLevel.map(it => it.sourcePartition),
      ofLevel.map(it => it.rollup.count), ofLevel.map(it => total(it.rollup)), ofLevel.map(it => it.rollup.min),
      ofLevel.map(it => it.rollup.max), ofLevel.map(it => bodyOf(it, readingsPerRowMax))])
  }
  if (announces) await announceAll(database)
}

/** Announces that anything may have changed, because a test may have emptied the tables before. */
async function announceAll (database: Database): Promise<void> {
  await database.query(`
    insert into rollup_commits (level, first_bucket, last_bucket)
    select level, '0001-01-01Z', '9999-01-01Z' from generate_series(0, 2) level`)
}

async function ensurePartitions (database: Database, level: Level, timesMs: readonly number[]): Promise<void> {
  let fromMs = -Infinity // an existing partition covers the time up to there
  for (const timeMs of timesMs.toSorted((a, b) => a - b)) {
    if (timeMs < fromMs) continue
    const partitions = await database.query<{ ends: number }>('select ends from ensure_rollup_partitions($1, ' +
      'to_timestamp($2), to_timestamp($2))',
    [level.name, timeMs / 1000])
    fromMs = partitions.at(-1)!.ends
  }
}

const deviceKey = ({ deviceId, zone, deviceType }: DeviceEvent) => JSON.stringify([deviceId, zone, deviceType])
const groupKey = ({ zone, deviceType }: DeviceEvent) => JSON.stringify([null, zone, deviceType])

async function ensureSeries (database: Database, keys: string[]): Promise<Map<string, number>> {
  const names = keys.map(it => JSON.parse(it) as Array<string | null>)
  const rows = await database.query<{ key: string, series_id: number }>(`
    with added as (
      insert into series (device_id, zone, device_type) select * from unnest($1::text[], $2::text[], $3::text[])
      on conflict (device_id, zone, device_type) do update set zone = excluded.zone
      returning series_id, device_id, zone, device_type)
    select n.key, a.series_id from unnest($1::text[], $2::text[], $3::text[], $4::text[]) as n (device_id, zone, device_type, key)
    join added a on a.zone = n.zone and a.device_type = n.device_type and coalesce(a.device_id, '') = coalesce(n.device_id, '')`,
  [names.map(it => it[0]), names.map(it => it[1]), names.map(it => it[2]), keys])
  const ids = new Map(rows.map(it => [it.key, it.series_id]))
  return ids
}

function rowsOf (events: readonly PlacedEvent[], journaled: NonNullable<WriteSettings['journaled']>): Row[] {
  const rows = new Map<string, Row>()
  for (const whose of ['devices', 'groups'] as const) {
    for (const { event, readings } of minutesOf(events.filter(it => !journaled[whose].has(it)))) {
      const rollup = emptyRollup()
      foldReadings(rollup, readings)
      const series = whose === 'devices' ? deviceKey(event) : groupKey(event)
      for (const level of levels) {
        const { sourcePartition } = event
        const bucketMs = bucketStartMs(level.sizeMs, event.timestampMs)
        const key = [series, level.name, sourcePartition, bucketMs].join()
        const row = rows.get(key) ??
          {
            level,
            series,
            sourcePartition,
            bucketMs,
            rollup: emptyRollup(),
            ...(whose === 'devices' &&
            level === minuteLevel
              ? { readings }
              : {})
          }
        rows.set(key, row)
        mergeRollup(row.rollup, rollup)
      }
    }
  }
  return [...rows.values()]
}

/** The readings of each minute of each device. */
function minutesOf (
  events: readonly PlacedEvent[]
): Iterable<{ readonly event: PlacedEvent, readonly readings: Readings }> {
  const minutes = new Map<string, { readonly event: PlacedEvent, readonly readings: Readings }>()
  for (const event of events) {
    const key = [deviceKey(event), event.sourcePartition, bucketStartMs(minuteLevel.sizeMs, event.timestampMs)].join()
    const minute = minutes.get(key) ?? { event, readings: emptyReadings() }
    minutes.set(key, minute)
    mergeReadings(minute.readings, { timesMs: [event.timestampMs], values: [event.value] }, false)
  }
  return minutes.values()
}

async function writeJournal (
  database: Database, events: readonly PlacedEvent[], seriesIds: ReadonlyMap<string, number>,
  journaled: NonNullable<WriteSettings['journaled']>
): Promise<void> {
  const writer = new JournalWriter()
  const write = async ([block, sourcePartition, flush]: readonly number[]) => {
    const { firstMs, lastMs, body } = writer.take()
    await database.query('insert into journal values ($1, $2, $3, to_timestamp($4), to_timestamp($5), $6)',
      [block, sourcePartition, flush, firstMs / 1000, lastMs / 1000, body])
  }
  const rowsOf = (whose: 'devices' | 'groups', blockOf: (event: PlacedEvent, isLate: boolean) => number) =>
    Map.groupBy(events.filter(it => journaled[whose].has(it)), it => {
      const { flush, isLate } = journaled[whose].get(it)!
      return JSON.stringify([blockOf(it, isLate), it.sourcePartition, flush])
    })

  const idOf = (it: PlacedEvent) => seriesIds.get(deviceKey(it))!
  for (const [key, ofRow] of rowsOf('devices', (it, isLate) => isLate
    ? lateBlockOf(idOf(it))
    : deviceBlockOf(idOf(it)))) {
    ofRow.sort((a, b) => idOf(a) - idOf(b) || a.timestampMs - b.timestampMs || a.value - b.value)
    for (const it of ofRow) writer.addReading(idOf(it), it.timestampMs, it.value)
    await write(JSON.parse(key))
  }
  const groupIdOf = (it: PlacedEvent) => seriesIds.get(groupKey(it))!
  for (const [key, ofRow] of rowsOf('groups', it => groupBlockOf(groupIdOf(it)))) {
    ofRow.sort((a, b) => groupIdOf(a) - groupIdOf(b))
    // several rollups of one group and minute: those of its devices
    for (const { event, readings } of minutesOf(ofRow)) {
      const rollup = emptyRollup()
      foldReadings(rollup, readings)
      writer.addRollup(groupIdOf(event), bucketStartMs(minuteLevel.sizeMs, event.timestampMs), rollup)
    }
    await write(JSON.parse(key))
  }
}

function bodyOf ({ readings, rollup, bucketMs }: Row, readingsPerRowMax: number): Buffer {
  return readings && readings.timesMs.length <= readingsPerRowMax
    ? encodeReadingsBody(readings, bucketMs)
    : encodeRollupBody(rollup, bucketMs)
}
