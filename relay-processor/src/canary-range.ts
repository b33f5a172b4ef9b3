/**
 * What a canary may have touched, by the records that it read: which days its abort has to rebuild, and which records
 * should have become dead letters. Computed by this version from the log, because a canary may write anything.
 */
import { randomUUID } from 'node:crypto'

import { RelayError } from 'relay-common'
import {
  catchUp, waitForPartitions, type ConsumerNews, type EventLog, type RecordSet, type RecordVisitor, type Topic
} from 'relay-event-log'
import { decodeEvent, type EventRules } from 'relay-rollups'

import type { DeadLetter } from './dead-letters.ts'
import type { NotedPartition } from './deployment.ts'
import { Folder } from './fold.ts'
import { homeOf, type Homes } from './home.ts'
import { createPartition } from './partition.ts'
import { without } from './refused-records.ts'

export interface CanaryRange {
  /** event time of the oldest reading that the canary may have counted, ms; Infinity: none */
  readonly oldestMs: number
  /** records that the canary read */
  readonly records: bigint
  /** those of them that the log has deleted since */
  readonly deleted: bigint
  /** by partition and offset: the dead letters that these records should have become */
  readonly letters: ReadonlyMap<number, ReadonlyMap<bigint, DeadLetter>>
}

export interface CanaryRangeSettings {
  readonly topic: Topic
  /** after `giveBack` (deployment.ts) */
  readonly partitions: readonly NotedPartition[]
  readonly homes: Homes
  readonly rules: EventRules & { readonly isKeyChecked: boolean }
}

const FETCH_BUFFER_MAX_BYTES = 32 * 1024 * 1024
const SESSION_TIMEOUT_MS = 45_000

/** @throws RelayError RELAY_EVENT_LOG_UNREACHABLE */
export async function readCanaryRange (
  eventLog: EventLog, settings: CanaryRangeSettings, signal: AbortSignal
): Promise<CanaryRange> {
  const { topic, partitions } = settings
  const canary = partitions.filter(it => it.isCanary)
  const starts = new Map<number, bigint>()
  const ends = new Map<number, bigint>()
  let deleted = 0n
  const startOffsets = new Map((await eventLog.readOffsets(topic.name)).map(it => [it.partition, it.startOffset]))
  for (const { partition, topicId, isCanary, fromOffset, toOffset = fromOffset } of partitions) {
    if (topicId !== topic.topicId || toOffset <= fromOffset) continue
    const startOffset = startOffsets.get(partition) ?? 0n
    const first = startOffset < fromOffset ? fromOffset : startOffset < toOffset ? startOffset : toOffset
    if (isCanary) deleted += first - fromOffset
    starts.set(partition, first)
    ends.set(partition, toOffset)
  }
  const found = {
    oldestMs: Math.min(Infinity, ...canary.map(it => it.oldestMs)),
    letters: new Map<number, Map<bigint, DeadLetter>>()
  }
  if (starts.size > 0) await readAll(eventLog, settings, starts, ends, found, signal)
  const records = canary.reduce((sum, { fromOffset, toOffset = fromOffset }) => sum + toOffset - fromOffset, 0n)
  return { ...found, records, deleted }
}

interface Found {
  oldestMs: number
  readonly letters: Map<number, Map<bigint, DeadLetter>>
}

async function readAll (
  eventLog: EventLog, { topic, partitions, homes, rules }: CanaryRangeSettings, starts: ReadonlyMap<number, bigint>,
  ends: ReadonlyMap<number, bigint>, found: Found, signal: AbortSignal
): Promise<void> {
  const canary = new Set(partitions.filter(it => it.isCanary).map(it => it.partition))
  const consumer = await eventLog.openConsumer({
    topic: topic.name,
    group: `relay-deploy-${randomUUID()}`,
    sessionTimeoutMs: SESSION_TIMEOUT_MS,
    fetchBufferMaxBytes: FETCH_BUFFER_MAX_BYTES
  })
  try {
    await waitForPartitions(consumer, topic, refuse, signal)
    for await (const set of catchUp(consumer, starts, ends, refuse, signal)) {
      const held = hold(set)
      const records = without(held.records, undefined, ends.get(set.partition)!)
      if (canary.has(set.partition)) noteOwn(records, held.appendedMs, topic, homes, rules, found)
      else noteForwarded(records, held.appendedMs, canary, homes, rules, found)
    }
  } finally {
    await consumer.close()
  }
}

/** Records that the canary read itself. */
function noteOwn (
  records: RecordSet, nowMs: number, topic: Topic, homes: Homes, rules: CanaryRangeSettings['rules'], found: Found
): void {
  const partition = createPartition(topic, records.partition, {
    epoch: 0n, historyId: '', nextOffset: records.baseOffset, eventTimeMaxMs: -Infinity, homes, journal: []
  })
  new Folder(rules).fold(partition, records, nowMs)
  const { timesMs, length } = partition.arrivals
  for (let n = 0; n < length; n++) found.oldestMs = Math.min(found.oldestMs, timesMs[n])
  for (const letter of partition.deadLetters.take()) {
    let ofPartition = found.letters.get(records.partition)
    if (!ofPartition) found.letters.set(records.partition, ofPartition = new Map())
    ofPartition.set(letter.offset, letter)
  }
}

/** Records that others read, and that may have been forwarded to the canary. */
function noteForwarded (
  records: RecordSet, nowMs: number, canary: ReadonlySet<number>, homes: Homes, rules: CanaryRangeSettings['rules'],
  found: Found
): void {
  records.forEach({
    record (buffer, _keyStart, _keyEnd, valueStart, valueEnd) {
      const decoded = decodeEvent(valueStart < 0 ? null : buffer.subarray(valueStart, valueEnd), rules, nowMs)
      if (decoded.kind === 'rejected' || !canary.has(homeOf(Buffer.from(decoded.event.deviceId), homes))) return
      found.oldestMs = Math.min(found.oldestMs, decoded.event.timestampMs)
    },
    corrupt () {}
  })
}

interface HeldRecords {
  readonly records: RecordSet
  /** when the newest was appended: a processor that keeps up judges events by this time */
  readonly appendedMs: number
}

/** Copies a set, because it can be visited once, and the time of its newest record is needed for the first. */
function hold (set: RecordSet): HeldRecords {
  const visits: Array<(visitor: RecordVisitor) => void> = []
  let newestMs = -Infinity
  set.forEach({
    batch (appendedMs) { newestMs = Math.max(newestMs, appendedMs) },
    record (buffer, keyStart, keyEnd, valueStart, valueEnd, offsetDelta) {
      const starts = [keyStart, valueStart].filter(it => it >= 0)
      const start = starts.length > 0 ? Math.min(...starts) : 0
      const own = Buffer.from(buffer.subarray(start, Math.max(start, keyEnd, valueEnd)))
      const at = (place: number) => place < 0 ? -1 : place - start
      visits.push(it => it.record(own, at(keyStart), at(keyEnd), at(valueStart), at(valueEnd), offsetDelta))
    },
    corrupt (bytes, offsetDelta, recordCount, detail) {
      const own = Buffer.from(bytes)
      visits.push(it => it.corrupt(own, offsetDelta, recordCount, detail))
    }
  })
  return {
    records: { ...fieldsOf(set), forEach: visitor => { for (const visit of visits) visit(visitor) } },
    appendedMs: Number.isFinite(newestMs) ? newestMs : Date.now()
  }
}

/** Getters of a class are not copied by spreading it. */
function fieldsOf ({ partition, baseOffset, nextOffset, endOffset, sizeBytes, lastRecord }: RecordSet) {
  return { partition, baseOffset, nextOffset, endOffset, sizeBytes, lastRecord }
}

function refuse ({ kind }: ConsumerNews): RelayError {
  return new RelayError('RELAY_EVENT_LOG_UNREACHABLE', `could not read the records of the canary (${kind}); run abort again`)
}
