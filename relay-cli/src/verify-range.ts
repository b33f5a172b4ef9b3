/**
 * Recomputes a range of event time from the event log, and compares it with the rollup rows that lie entirely in it.
 * Rows of one window are merged over source partitions; a reading in two of them is doubled.
 *
 * Rows and progress come from one snapshot, and the log is read exactly up to that progress, so processors may
 * continue.
 */
import { randomUUID } from 'node:crypto'

import { RelayError, type PoolClient } from 'relay-common'
import { catchUp, waitForPartitions, type ConsumerNews, type RecordVisitor, type Topic } from 'relay-event-log'
import { decodeEvent, readNextOffsets, type DeviceEvent, type EventRules } from 'relay-rollups'
import { RefusedRecords, without, type OffsetSets } from 'relay-processor/refused-records'

import { compare, homeOf, type Difference, type VerifiedRange } from './compare-days.ts'
import { openDayFiles, type DayFiles } from './day-files.ts'
import { formatTime, startProgressBar, type ProgressBar } from './output.ts'
import { readKeepMs, rulesOf, topicOf, type Site } from './site.ts'
import { Journaled } from './journaled.ts'
import { openSnapshot } from './snapshot.ts'
import { OnTheWay } from './stored-buckets.ts'

const FETCH_BUFFER_MAX_BYTES = 32 * 1024 * 1024
const SESSION_TIMEOUT_MS = 45_000

export interface VerifyCounts {
  rows: number
  /** differing rows that may be right: resends in minutes that no longer store their readings */
  uncertain: number
  differences: number
}

/**
 * @param counts is updated
 * @throws RelayError RELAY_RANGE_INVALID if the log does not have the whole range
 */
export async function * verifyRange (
  site: Site, range: VerifiedRange, counts: VerifyCounts
): AsyncGenerator<Difference> {
  await using files = await openDayFiles()
  using snapshot = await openSnapshot(site.database)
  const topic = await topicOf(site, site.config.EVENTS_TOPIC)
  const targets = await readNextOffsets(snapshot, topic.topicId)
  const homes = await readHomes(snapshot.client, topic)
  const starts = await findStarts(site, range, targets)
  const refused = await new RefusedRecords(site.eventLog, site.config.DEAD_LETTERS_TOPIC, topic).read(snapshot)

  {
    using progress = startProgressBar('reading')
    await readEvents(site, topic.partitions, homes, starts, targets, refused, range, files, progress)
  }

  const { READINGS_PER_ROW_MAX: readingsPerRowMax, KEEP_DUPLICATES: keepDuplicates } = site.config
  const checked = {
    client: snapshot.client,
    range,
    onTheWay: await OnTheWay.read(snapshot.client),
    journaled: await Journaled.read(snapshot.client),
    rules: { readingsPerRowMax, keepDuplicates },
    keptFromMs: (await readKeepMs(site.database)).map(it => Date.now() - it),
    counts
  }
  for await (const difference of compare(checked, files, homes)) {
    counts.differences++
    yield difference
  }
}

async function readHomes (client: PoolClient, { partitions }: Topic): Promise<number> {
  const { rows: [row] } = await client.query<{ partitions: number }>('select partitions from homes')
  return row?.partitions ?? partitions
}

/**
 * Start offset of each partition: an event is appended at most `FUTURE_MAX_MS` before its time.
 * @throws RelayError RELAY_RANGE_INVALID if the log does not have the whole range
 */
async function findStarts (
  { eventLog, config }: Site, { fromMs }: VerifiedRange, targets: ReadonlyMap<number, bigint>
): Promise<Map<number, bigint>> {
  const found = await eventLog.findOffsets(config.EVENTS_TOPIC, Math.max(0, fromMs - config.FUTURE_MAX_MS))
  const starts = new Map<number, bigint>()
  for (const { partition, startOffset } of await eventLog.readOffsets(config.EVENTS_TOPIC)) {
    if (!targets.has(partition)) continue
    const offset = found[partition] > startOffset ? found[partition] : startOffset
    if (offset === startOffset && startOffset > 0n) {
      const [first] = await Array.fromAsync(eventLog.readRecords(config.EVENTS_TOPIC, partition, offset, offset + 1n))
      const coveredMs = (first?.appendedMs ?? Date.now()) + config.FUTURE_MAX_MS
      if (coveredMs > fromMs) {
        throw new RelayError('RELAY_RANGE_INVALID', `partition ${partition} of the log is complete only from ` +
          `${formatTime(coveredMs)} on; use --from with that time or later`)
      }
    }
    starts.set(partition, offset)
  }
  return starts
}

async function readEvents (
  { eventLog, config }: Site, partitions: number, homes: number, starts: ReadonlyMap<number, bigint>,
  targets: ReadonlyMap<number, bigint>,
  refused: OffsetSets, range: VerifiedRange, files: DayFiles, progress: ProgressBar
): Promise<void> {
  const consumer = await eventLog.openConsumer({
    topic: config.EVENTS_TOPIC,
    group: `relay-verify-${randomUUID()}`,
    sessionTimeoutMs: SESSION_TIMEOUT_MS,
    fetchBufferMaxBytes: FETCH_BUFFER_MAX_BYTES
  })
  try {
    const next = new Map(starts)
    const sum = (offsets: Iterable<bigint>) => [...offsets].reduce((all, it) => all + it, 0n)
    const total = [...starts].reduce(
      (all, [partition, offset]) => all + (targets.get(partition)! > offset ? targets.get(partition)! - offset : 0n), 0n
    )
    const taker = createTaker(rulesOf(config), range, event => files.add(homeOf(event.deviceId, homes), event))
    await waitForPartitions(consumer, { partitions }, refuse)
    for await (const set of catchUp(consumer, starts, targets, refuse)) {
      const { partition } = set
      const records = without(set, refused.get(partition), targets.get(partition)!)
      records.forEach(taker)
      next.set(partition, records.nextOffset)
      await files.relieve()
      progress.update(sum(next.values()) - sum(starts.values()), total)
    }
  } finally {
    await consumer.close()
  }
}

function refuse ({ kind }: ConsumerNews): RelayError {
  return new RelayError('RELAY_EVENT_LOG_UNREACHABLE', `could not read the log to the end (${kind}); try again`)
}

/** Decodes records one by one, and keeps the events of the range. */
function createTaker (
  rules: EventRules & { readonly isKeyChecked: boolean }, { fromMs, toMs }: VerifiedRange,
  take: (event: DeviceEvent) => void
): RecordVisitor {
  const everRules = { ...rules, futureMaxMs: Infinity } // records that were refused for their time are skipped before
  const nowMs = Date.now()
  return {
    record (buffer, keyStart, keyEnd, valueStart, valueEnd) {
      const decoded = decodeEvent(valueStart < 0 ? null : buffer.subarray(valueStart, valueEnd), everRules, nowMs)
      if (decoded.kind === 'rejected') return
      const { event } = decoded
      if (event.timestampMs < fromMs || event.timestampMs >= toMs) return
      if (rules.isKeyChecked && (keyStart < 0 || buffer.toString('utf8', keyStart, keyEnd) !== event.deviceId)) return
      take(event)
    },
    corrupt () {} // it became a dead letter then
  }
}
