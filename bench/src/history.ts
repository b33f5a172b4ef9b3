/**
 * Months of a fleet's history as rollups, created by Relay's own folding and encoding and written by COPY: the result
 * of a processor, without the days it would take.
 *
 * Hours and days are complete; minutes only exist for the newest days (a query that ends within an hour is usually
 * about now). Rows are in the order of time, as a processor writes them.
 */
import { randomUUID } from 'node:crypto'

import type { Database } from 'relay-common'
import {
  bucketStartMs, DAY_MS, emptyRollup, foldReadings, HOUR_MS, levels, MINUTE_MS, minuteLevel, mergeRollup, type Rollup
} from 'relay-rollups'

import { partitionOf } from '../../relay-event-log/src/key-partition.ts'
import { createFleet, fillHour, READING_MS, readingTimeMs, type FleetDevice } from './history-fleet.ts'
import { RollupCopy } from './rollup-copy.ts'

export interface History {
  readonly devices: number
  readonly zones: number
  readonly partitions: number
  /** end, ms since the epoch: the start of a UTC day */
  readonly endMs: number
  readonly days: number
  /** number of newest days that also have minutes */
  readonly minuteDays: number
  /** between two readings of a device; default: a minute */
  readonly readingMs?: number
  /** readings from this time on are left out; default: none */
  readonly untilMs?: number
}

interface Series {
  readonly seriesId: number
  readonly sourcePartition: number
}

interface Device extends FleetDevice, Series {
  readonly n: number
  readonly group: Group
}

/** The group of a zone and type, in one partition. */
interface Group extends Series {
  hour: Rollup
  day: Rollup
  /** by minute of the hour; only filled for the newest days */
  minutes: Rollup[]
}

/** Writes a history into a migrated, empty database. */
export async function writeHistory (
  database: Database, history: History, progress: (share: number) => void = () => {}
): Promise<void> {
  const { readingMs = READING_MS, untilMs = history.endMs } = history
  const { devices, groups } = await createSeries(database, history)
  const startMs = history.endMs - history.days * DAY_MS
  const minutesFromMs = history.endMs - history.minuteDays * DAY_MS
  for (const level of levels) {
    const fromMs = level === minuteLevel ? minutesFromMs : startMs
    await database.query('select ensure_rollup_partitions($1, to_timestamp($2), to_timestamp($3))',
      [level.name, fromMs / 1000, (history.endMs - 1) / 1000])
  }

  const [minutes, hours, days] = await Promise.all(levels.map(it => RollupCopy.open(database, it)))
  const values = new Float64Array(HOUR_MS / readingMs)
  for (let dayMs = startMs; dayMs < untilMs; dayMs += DAY_MS) {
    const deviceDays = devices.map(emptyRollup)
    for (const group of groups) group.day = emptyRollup()
    for (let hourMs = dayMs; hourMs < Math.min(dayMs + DAY_MS, untilMs); hourMs += HOUR_MS) {
      const withMinutes = hourMs >= minutesFromMs
      for (const group of groups) startHour(group, withMinutes)
      for (const device of devices) {
        const hour = foldHour(device, hourMs, values, withMinutes ? minutes : undefined)
        hours.append({ ...seriesOf(device), bucketMs: hourMs, rollup: hour })
        mergeRollup(deviceDays[device.n], hour)
        mergeRollup(device.group.hour, hour)
        await hours.drain()
        if (withMinutes) await minutes.drain()
      }
      for (const group of groups) {
        hours.append({ ...seriesOf(group), bucketMs: hourMs, rollup: group.hour })
        mergeRollup(group.day, group.hour)
        for (const [n, rollup] of group.minutes.entries()) {
          if (rollup.count === 0) continue
          minutes.append({ ...seriesOf(group), bucketMs: hourMs + n * MINUTE_MS, rollup })
        }
      }
    }
    for (const device of devices) days.append({ ...seriesOf(device), bucketMs: dayMs, rollup: deviceDays[device.n] })
    for (const group of groups) days.append({ ...seriesOf(group), bucketMs: dayMs, rollup: group.day })
    await days.drain()
    progress((dayMs + DAY_MS - startMs) / (history.endMs - startMs))
  }
  for (const copy of [minutes, hours, days]) await copy.close()
  await writeProgress(database, history)
}

function seriesOf ({ seriesId, sourcePartition }: Series): Series {
  return { seriesId, sourcePartition }
}

function startHour (group: Group, withMinutes: boolean): void {
  group.hour = emptyRollup()
  group.minutes = withMinutes ? Array.from({ length: HOUR_MS / MINUTE_MS }, emptyRollup) : []
}

/**
 * One device's hour; its minutes are written if wanted.
 * @param values as long as an hour has readings; overwritten
 */
function foldHour (device: Device, hourMs: number, values: Float64Array, minutes: RollupCopy | undefined): Rollup {
  const readingMs = HOUR_MS / values.length
  fillHour(device.n, hourMs, values)
  const timesMs = new Array<number>(values.length)
  for (let at = 0; at < values.length; at++) timesMs[at] = readingTimeMs(device.n, hourMs, at, readingMs)
  const hour = emptyRollup()
  foldReadings(hour, { timesMs, values: Array.from(values) })
  if (!minutes) return hour

  const perMinute = MINUTE_MS / readingMs
  for (let at = 0; at < values.length; at += perMinute) {
    const rollup = emptyRollup()
    const end = at + perMinute
    const readings = { timesMs: timesMs.slice(at, end), values: Array.from(values.subarray(at, end)) }
    foldReadings(rollup, readings)
    const bucketMs = bucketStartMs(MINUTE_MS, timesMs[at])
    minutes.append({ ...seriesOf(device), bucketMs, rollup, readings })
    mergeRollup(device.group.minutes[(bucketMs - hourMs) / MINUTE_MS], rollup)
  }
  return hour
}

async function createSeries (database: Database, history: History): Promise<{ devices: Device[], groups: Group[] }> {
  const fleet = createFleet(history.devices, history.zones)
  const id = async (deviceId: string | null, zone: string, type: string) => {
    const [row] = await database.query<{ series_id: number }>(
      'insert into series (device_id, zone, device_type) values ($1, $2, $3) returning ' +
        'series_id', [deviceId, zone, type])
    return row.series_id
  }
  const groupIds = new Map<string, number>()
  const groups = new Map<string, Group>()
  const devices: Device[] = []
  for (const [n, device] of fleet.entries()) {
    const sourcePartition = partitionOf(Buffer.from(device.id), history.partitions)
    const name = `${device.zone}/${device.type}`
    const groupId = groupIds.get(name) ?? await id(null, device.zone, device.type)
    groupIds.set(name, groupId)
    const key = `${name}/${sourcePartition}`
    const group = groups.get(key) ??
      { seriesId: groupId, sourcePartition, hour: emptyRollup(), day: emptyRollup(), minutes: [] }
    groups.set(key, group)
    devices.push({ ...device, n, sourcePartition, group, seriesId: await id(device.id, device.zone, device.type) })
  }
  return { devices, groups: [...groups.values()] }
}

/** The state after a processor has read everything. */
async function writeProgress (
  database: Database, { partitions, endMs, devices, days, readingMs = READING_MS, untilMs = endMs }: History
): Promise<void> {
  const events = Math.round(devices * (untilMs - endMs + days * DAY_MS) / readingMs / partitions)
  const topicId = randomUUID()
  for (let partition = 0; partition < partitions; partition++) {
    await database.query(`
      insert into progress (topic_id, source_partition, event_log, topic, epoch, owner, next_offset, event_time_max)
      values ($1, $2, 'kafka', 'iot-events', 1, 'bench', $3, to_timestamp($4))`,
    [topicId, partition, events, (untilMs - 1) / 1000])
  }
}
