/**
 * Moves readings to their home that count elsewhere: those from before devices had one home, or from before partitions
 * were added. A reading in two partitions then counts once.
 *
 *     1  look     days on which a minute of a device has rows of several partitions   nothing
 *     2  lock     progress stands still; processors wait                              nothing
 *     3  rebuild  the day, from the readings of its minutes, in temporary tables      they go with the session
 *     4  swap     rows and a new epoch, in the transaction of the lock                all or nothing
 *
 * The right column is what a crash after the step leaves behind. Days are repaired one by one, so nobody waits longer
 * than for a day. The event log is not needed, so it works for days that the log no longer holds.
 */
import { createMetrics, RelayError, type Database } from 'relay-common'
import type { Topic } from 'relay-event-log'
import { DAY_MS, levels, minuteLevel } from 'relay-rollups'

import { systemClock } from './clock.ts'
import { Flusher } from './flush.ts'
import { readHomesToday } from './homes.ts'
import { createProcessorMetrics } from './metrics.ts'
import { takeReadings } from './misplaced.ts'
import { homeOf, type Homes } from './home.ts'
import { createPartition, isAhead, type Partition } from './partition.ts'
import { openRebuildStore, type RebuildStore } from './rebuild-store.ts'
import { countReadings, isDayWhole, readMinutes, readPartitionsOfDay } from './repaired-day.ts'
import type { SettleRules } from './settle.ts'
import { checkMaySwap, type LevelChanges } from './swap-rebuilt.ts'

export interface RepairSettings extends Pick<SettleRules, 'readingsPerRowMax'> {
  readonly topic: Topic
  /** ms since the epoch; whole UTC days in the range are repaired */
  readonly fromMs: number
  readonly toMs: number
  readonly seriesInMemoryMax: number
  /** true: compares without a change */
  readonly isDryRun: boolean
}

export interface RepairedDay {
  readonly dayMs: number
  /** readings that counted more than once */
  readonly doubled: number
  /** by index of the level */
  readonly changes: readonly LevelChanges[]
  /** why the day is unchanged; undefined: it was repaired, or would be */
  readonly refused: string | undefined
}

const FLUSH_READINGS_MAX = 1_000_000

/**
 * Repairs days, the oldest first.
 * @returns each day after its repair
 * @throws RelayError RELAY_DATABASE_UNREACHABLE, RELAY_REPLAY_REFUSED
 */
export async function * repairRollups (
  database: Database, settings: RepairSettings, signal: AbortSignal
): AsyncGenerator<RepairedDay> {
  if (!settings.isDryRun) await checkMaySwap(database)
  const homes = await readHomesToday(database, settings.topic)
  for (const dayMs of await findDays(database, settings)) {
    signal.throwIfAborted()
    yield await repairDay(database, settings, homes, dayMs)
  }
}

async function findDays (database: Database, { fromMs, toMs }: RepairSettings): Promise<number[]> {
  const rows = await database.query<{ day_s: number }>(`
    select distinct date_part('epoch', date_trunc('day', bucket_start, 'UTC')) as day_s from (
      select bucket_start from ${minuteLevel.table} join series using (series_id)
      where device_id is not null and bucket_start >= $1 and bucket_start < $2
      group by series_id, bucket_start having count(*) > 1) several
    order by 1`, [new Date(Math.ceil(fromMs / DAY_MS) * DAY_MS), new Date(Math.floor(toMs / DAY_MS) * DAY_MS)])
  return rows.map(it => it.day_s * 1000)
}

async function repairDay (
  database: Database, settings: RepairSettings, homes: Homes, dayMs: number
): Promise<RepairedDay> {
  const { topic, isDryRun } = settings
  await using opened = new AsyncDisposableStack()
  const store = opened.adopt(await openRebuildStore(database, settings), it => it.close())
  const flusher = opened.adopt(new Flusher(store, {
    ...settings, keepDuplicates: false, minutesPerPart: Infinity, keptFromMs: () => levels.map(() => -Infinity)
  }, {
    sendDeadLetters: async () => {}, onWritten: () => {}, onFenced: () => {}
  }, createProcessorMetrics(createMetrics('relay-repair')), (_, work) => work()), it => it.close())

  const partitions = new Map<number, Partition>()
  const stored = await readPartitionsOfDay(store.session, dayMs)
  for (const partition of new Set([...stored, ...Array.from({ length: homes.partitions }, (_, n) => n)])) {
    const claim = { epoch: 0n, historyId: '', nextOffset: 0n, eventTimeMaxMs: -Infinity, homes, journal: [] }
    partitions.set(partition, createPartition(topic, partition, claim))
  }
  await store.lock(topic, [...partitions.keys()])
  try {
    if (!await isDayWhole(store.session, dayMs)) {
      throw new RelayError('RELAY_REPLAY_REFUSED', 'some of its minutes are past their retention')
    }
    const before = await readInto(store, partitions, homes, flusher, dayMs)
    const ranges = [...partitions.keys()].map(partition =>
      ({ partition, startMs: levels.map(() => dayMs), endMs: dayMs + DAY_MS }))
    const { changes } = await store.compare(ranges)
    const after = await countReadings(store.session, dayMs)
    if (!isDryRun) await store.swap(topic.topicId, ranges, false)
    return { dayMs, doubled: before - after, changes, refused: undefined }
  } catch (error) {
    if (!(error instanceof RelayError) || error.code !== 'RELAY_REPLAY_REFUSED') throw error
    return {
      dayMs, doubled: 0, changes: levels.map(() => ({ added: 0, changed: 0, removed: 0 })), refused: error.message
    }
  }
}

/** @returns the number of readings in the minutes of devices, counting those of several partitions each time */
async function readInto (
  store: RebuildStore, partitions: ReadonlyMap<number, Partition>, homes: Homes, flusher: Flusher, dayMs: number
): Promise<number> {
  const all = [...partitions.values()]
  let rowId = 0n
  let readings = 0
  let waiting = 0
  for await (const minute of readMinutes(store.session, dayMs)) {
    if (minute.readings === undefined) {
      throw new RelayError('RELAY_REPLAY_REFUSED',
        `a minute of ${minute.name.deviceId} no longer stores its readings, so duplicates in two partitions can't be found`)
    }
    const home = partitions.get(homeOf(Buffer.from(minute.name.deviceId), homes))!
    takeReadings(home, ++rowId, minute.name, minute.readings, -Infinity)
    readings += minute.readings.timesMs.length
    waiting += minute.readings.timesMs.length
    if (waiting < FLUSH_READINGS_MAX) continue
    await flusher.flush(all, systemClock.steadyMs())
    await flusher.written()
    waiting = 0
  }
  if (all.some(isAhead)) await flusher.flush(all, systemClock.steadyMs())
  await flusher.written()
  return readings
}
