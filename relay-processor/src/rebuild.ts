/**
 * Rebuilds rollups from the event log, beside the live ones, with the same fold, settling and encoding.
 *
 *     1  look       what the log holds, and so which days can be rebuilt       nothing
 *     2  read       up to where the live rollups are, and again until near     temporary tables: they go with the session
 *     3  lock       progress stands still; read the rest                       as 2; processors wait
 *     4  swap       rows and a new epoch, in the transaction of the lock       all or nothing
 *
 * The right column is what a crash after the step leaves behind. After the swap processors are fenced, drop their
 * memory, and claim their partitions again.
 *
 * Only days that the log covers completely are replaced. An event is appended at most `futureMaxMs` before its time. So
 * if the log starts with a record of time t, it is complete for events after t + futureMaxMs. Record times may come
 * from producers, so a swap that would lose readings is refused unless it is allowed.
 */
import { randomUUID } from 'node:crypto'

import { createMetrics, RelayError, type Database } from 'relay-common'
import {
  catchUp, waitForPartitions, type ConsumerNews, type EventConsumer, type EventLog, type RecordSet, type Topic
} from 'relay-event-log'
import { bucketStartMs, DAY_MS, levels, readNextOffsets, type EventRules } from 'relay-rollups'

import { systemClock } from './clock.ts'
import { Flusher } from './flush.ts'
import { Folder } from './fold.ts'
import { createProcessorMetrics } from './metrics.ts'
import { readHomesToday } from './homes.ts'
import { takeReturned } from './misplaced.ts'
import { createPartition, isAhead, type Partition } from './partition.ts'
import { openRebuildStore, type RebuildStore } from './rebuild-store.ts'
import { RefusedRecords, without, type OffsetSets } from './refused-records.ts'
import type { SettleRules } from './settle.ts'
import { checkMaySwap, type Comparison, type PartitionRange } from './swap-rebuilt.ts'

export interface RebuildSettings extends SettleRules {
  readonly topic: string
  readonly deadLettersTopic: string
  readonly rules: Omit<EventRules, 'keepMs'> & { readonly isKeyChecked?: boolean }
  readonly seriesInMemoryMax: number
  /** start of the range, ms since the epoch; left out: everything that the log covers */
  readonly fromMs?: number
  /** first offset of each partition; left out: by time, or the start of the log */
  readonly fromOffset?: bigint
  /** end of the range, exclusive; left out: everything */
  readonly toMs?: number
  /** by index of the level, in ms; Infinity: forever */
  readonly keepMs: readonly number[]
  /**
   * Changes which records stay refused, of those that were refused for their time and would be accepted today; left
   * out: all of them
   */
  readonly correctRefused?: (refused: OffsetSets) => OffsetSets
  /** true: swaps even if rows would have fewer readings than the live ones */
  readonly isLossAllowed: boolean
  /** partitions whose rows may have fewer readings in any case, because the live ones may be wrong; left out: none */
  readonly lossAllowedIn?: ReadonlySet<number>
  /** true: rebuilds and compares without a swap */
  readonly isDryRun: boolean
}

export interface RebuildResult extends Comparison {
  readonly ranges: readonly PartitionRange[]
  readonly records: bigint
  /** false: nothing was changed */
  readonly isSwapped: boolean
}

/** @param done records that were read; `total` may grow while processors continue */
export type RebuildProgress = (done: bigint, total: bigint) => void

const FETCH_BUFFER_MAX_BYTES = 32 * 1024 * 1024
const SESSION_TIMEOUT_MS = 45_000
const FLUSH_READINGS_MAX = 1_000_000
const DEAD_LETTER_BYTES_MAX = 16 * 1024 * 1024
/** so close to the live rollups, the rest is read under the lock, in less than a second */
const NEAR_RECORDS = 100_000n
const CATCH_UPS_MAX = 20

/**
 * @throws RelayError RELAY_TOPIC_MISSING, RELAY_OFFSET_GAP (retention deleted records during the read),
 *   RELAY_REPLAY_REFUSED
 */
export async function rebuildRollups (
  database: Database, eventLog: EventLog, settings: RebuildSettings, onProgress: RebuildProgress, signal: AbortSignal
): Promise<RebuildResult> {
  const topic = await eventLog.describeTopic(settings.topic)
  if (!topic) throw new RelayError('RELAY_TOPIC_MISSING', `no topic ${settings.topic}`)
  if (!settings.isDryRun) await checkMaySwap(database)
  await using opened = new AsyncDisposableStack()
  const starts = await findStarts(database, eventLog, topic, settings)
  const ranges = starts.map(it => it.range)
  const homes = await readHomesToday(database, topic)
  const store = opened.adopt(await openRebuildStore(database, settings), it => it.close())
  const consumer = opened.adopt(await eventLog.openConsumer({
    topic: topic.name,
    group: `relay-rebuild-${randomUUID()}`,
    sessionTimeoutMs: SESSION_TIMEOUT_MS,
    fetchBufferMaxBytes: FETCH_BUFFER_MAX_BYTES
  }), it => it.close())
  await waitForPartitions(consumer, topic, refuse, signal)

  const partitions = new Map(starts.map(({ range, offset }) =>
    [range.partition, createPartition(topic, range.partition, {
      epoch: 0n, historyId: '', nextOffset: offset, eventTimeMaxMs: -Infinity, homes, journal: []
    })]))
  const flusher = new Flusher(store, {
    ...settings,
    minutesPerPart: Infinity, // reads use the connection of the writes
    // of the earliest partition: rows before the range of another one are not swapped
    keptFromMs: () => levels.map((_, index) => Math.min(...ranges.map(it => it.startMs[index])))
  }, {
    sendDeadLetters: async () => {}, // they were sent with the live rollups
    onWritten: () => {},
    onFenced: () => {}
  }, createProcessorMetrics(createMetrics('relay-rebuild')), (_, work) => work())
  opened.defer(() => flusher.close())
  // its time has come, or it is among the refused ones
  const folder = new Folder({ ...settings.rules, futureMaxMs: Infinity })

  const startOffsets = new Map(starts.map(it => [it.range.partition, it.offset]))
  const refusedRecords = new RefusedRecords(eventLog, settings.deadLettersTopic, topic)
  const readTo = async (targets: ReadonlyMap<number, bigint>) => {
    // after the targets: dead letters are durable before progress moves, so none before a target is missed
    const all = await refusedRecords.read(database)
    const refused = settings.correctRefused?.(all) ?? all
    const total = sumOf(targets) - sumOf(startOffsets)
    const report = () => onProgress(
      sumOf(new Map([...partitions].map(([n, it]) => [n, it.nextOffset]))) - sumOf(startOffsets), total
    )
    await read(consumer, partitions, targets, (partition, records) => {
      folder.fold(partition, without(
        records, refused.get(partition.partition), targets.get(partition.partition)!
      ), Date.now())
      report()
    }, flusher, store, signal)
    report()
  }

  let targets: ReadonlyMap<number, bigint> = await readTargets(database, topic, ranges)
  for (let round = 0; round < CATCH_UPS_MAX; round++) {
    await readTo(targets)
    const moved = await readTargets(database, topic, ranges)
    const behind = sumOf(moved) - sumOf(targets)
    targets = moved
    if (behind < NEAR_RECORDS) break
  }

  targets = await store.lock(topic, ranges.map(it => it.partition))
  if ((await readHomesToday(database, topic)).partitions !== homes.partitions) {
    throw new RelayError(
      'RELAY_REPLAY_REFUSED',
      `partitions were added to ${topic.name} during the rebuild; nothing was changed. Try again`
    )
  }
  await readTo(targets)
  const { changes, fewer } = await store.compare(ranges)
  const records = sumOf(targets) - sumOf(startOffsets)
  if (settings.isDryRun) return { ranges, records, fewer, changes, isSwapped: false }
  const guarded = ranges.filter(it => !settings.lossAllowedIn?.has(it.partition))
  const lost = fewer > 0 && guarded.length < ranges.length ? (await store.compare(guarded)).fewer : fewer
  if (lost > 0 && !settings.isLossAllowed) {
    throw new RelayError('RELAY_REPLAY_REFUSED',
      `${lost} rows would have fewer readings than now: the log no longer has all of their events. ` +
      'Nothing was changed; --allow-fewer replaces them anyway')
  }
  signal.throwIfAborted()
  await store.swap(topic.topicId, ranges, true)
  return { ranges, records, fewer, changes, isSwapped: true }
}

/** The first day that a rebuild could replace completely, for any partition, ms; -Infinity: all. */
export async function findRebuildableMs (
  database: Database, eventLog: EventLog, topic: Topic, settings: Pick<StartSettings, 'keepMs' | 'rules'>
): Promise<number> {
  const [{ range }] = await findStarts(database, eventLog, topic, settings)
  return Math.min(...range.startMs)
}

type StartSettings = Pick<RebuildSettings, 'fromMs' | 'fromOffset' | 'toMs' | 'keepMs' | 'rules'>

interface Start {
  readonly range: PartitionRange
  readonly offset: bigint
}

/** The start offset of each partition that was ever processed, and the range that can be rebuilt from there. */
async function findStarts (
  database: Database, eventLog: EventLog, topic: Topic, { fromMs, fromOffset, toMs, keepMs, rules }: StartSettings
): Promise<Start[]> {
  const endMs = toMs === undefined ? Infinity : bucketStartMs(DAY_MS, toMs)
  const progress = await database.query<{ source_partition: number, topic_id: string, next_offset: bigint }>(
    'select source_partition, topic_id, next_offset from progress order by source_partition')
  const offsets = await eventLog.readOffsets(topic.name)
  const found = fromMs === undefined || fromOffset !== undefined
    ? undefined
    : await eventLog.findOffsets(topic.name, Math.max(0, fromMs - rules.futureMaxMs))

  const starts: Start[] = []
  for (const { partition, startOffset } of offsets) {
    const own = progress.find(it => it.source_partition === partition && it.topic_id === topic.topicId)
    if (!own) continue // never read, so it has no rows
    const wanted = fromOffset ?? found?.[partition] ?? startOffset
    const offset = least(own.next_offset, wanted > startOffset ? wanted : startOffset)
    const isWhole = offset === 0n && progress.filter(it => it.source_partition === partition).length === 1
    // everything before an offset found by time happened before that time
    const isByTime = found !== undefined && offset > startOffset
    let coveredMs = -Infinity
    if (!isWhole && !isByTime) {
      const [first] = await Array.fromAsync(eventLog.readRecords(topic.name, partition, offset, offset + 1n))
      coveredMs = (first?.appendedMs ?? Date.now()) + rules.futureMaxMs
    }
    const startMs = dayFrom(Math.max(coveredMs, fromMs ?? -Infinity))
    const nowMs = Date.now()
    starts.push({
      offset, range: { partition, startMs: keepMs.map(it => Math.max(startMs, dayFrom(nowMs - it))), endMs }
    })
  }
  if (starts.length === 0) {
    throw new RelayError(
      'RELAY_REPLAY_REFUSED', `no processor has read ${topic.name} into this database yet: nothing to rebuild`
    )
  }
  // a reading may have arrived in any partition, so the range starts where all are covered
  const startMs = levels.map((_, index) => Math.max(...starts.map(it => it.range.startMs[index])))
  return starts.map(({ offset, range }) => ({ offset, range: { ...range, startMs } }))
}

/** Start of the first UTC day at or after a time. */
function dayFrom (timeMs: number): number {
  return Number.isFinite(timeMs) ? bucketStartMs(DAY_MS, timeMs + DAY_MS - 1) : timeMs
}

function least (a: bigint, b: bigint): bigint {
  return a < b ? a : b
}

async function readTargets (
  database: Database, topic: Topic, ranges: readonly PartitionRange[]
): Promise<Map<number, bigint>> {
  const nextOffsets = await readNextOffsets(database, topic.topicId)
  return new Map(ranges.flatMap(({ partition }): Array<[number, bigint]> => {
    const offset = nextOffsets.get(partition)
    return offset === undefined ? [] : [[partition, offset]]
  }))
}

/** Reads partitions, each to its target, with flushes in between and at the end. */
async function read (
  consumer: EventConsumer, partitions: ReadonlyMap<number, Partition>, targets: ReadonlyMap<number, bigint>,
  take: (partition: Partition, records: RecordSet) => void, flusher: Flusher, store: RebuildStore, signal: AbortSignal
): Promise<void> {
  const all = [...partitions.values()]
  const flush = async () => {
    do {
      await flusher.flush(all, systemClock.steadyMs())
      await flusher.written()
      for (const it of store.takeMisplaced()) {
        const home = partitions.get(it.homePartition)
        if (home) takeReturned(home, it)
      }
    } while (all.some(isAhead)) // readings that reached their home
  }
  const from = new Map(all.map(it => [it.partition, it.nextOffset]))
  for await (const records of catchUp(consumer, from, targets, refuse, signal)) {
    take(partitions.get(records.partition)!, records)
    const readings = all.reduce((sum, it) => sum + it.arrivedReadings, 0)
    const letterBytes = all.reduce((sum, it) => sum + it.deadLetters.bytes, 0)
    if (readings >= FLUSH_READINGS_MAX || letterBytes >= DEAD_LETTER_BYTES_MAX) await flush()
  }
  await flush()
}

function refuse (news: ConsumerNews): RelayError {
  return news.kind === 'gap'
    ? new RelayError('RELAY_OFFSET_GAP', `the log lost offset ${news.expectedOffset} of partition ${news.partition} ` +
      'during the rebuild; nothing was changed. Try again')
    : new RelayError('RELAY_EVENT_LOG_UNREACHABLE',
      `the log revoked partitions during the rebuild (${news.kind}); nothing was changed. Try again`)
}

function sumOf (offsets: ReadonlyMap<number, bigint>): bigint {
  return [...offsets.values()].reduce((sum, it) => sum + it, 0n)
}
