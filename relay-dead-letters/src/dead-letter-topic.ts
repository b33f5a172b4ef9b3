/**
 * Finds letters in the topic of dead letters, for operators: by filter, newest first, or by place.
 *
 * A replayed letter has a marker later in the topic (dead-letter-replay.ts). So the topic is read to its end before a
 * letter is shown.
 */
import { deadLetterReasons, decodeDeadLetter, type DeadLetterInfo } from './dead-letter.ts'
import type { EventLog, LoggedRecord } from 'relay-event-log'

export interface LetterTopic {
  readonly eventLog: Pick<EventLog, 'readOffsets' | 'findOffsets' | 'readRecords'>
  /** where the dead letters are */
  readonly topic: string
}

/** Where a letter is in its topic. */
export interface LetterPlace {
  readonly partition: number
  readonly offset: bigint
}

export interface Letter extends DeadLetterInfo, LetterPlace {
  /** where it is, as people write it: `<partition>:<offset>` */
  readonly place: string
  readonly key: Buffer | null
  readonly value: Buffer | null
  /** when it was sent to the events topic again, ISO-8601; undefined: never */
  readonly replayedAt: string | undefined
}

export interface LetterFilter {
  readonly reason?: readonly string[]
  readonly since?: number
  readonly until?: number
  readonly device?: string
  readonly sourcePartition?: number
  readonly principal?: string
}

/**
 * Called with each record that is read. It may report progress, or return a promise to make the reading wait for
 * others. If it throws, the reading ends.
 */
export type OnRecord = (read: bigint, total: bigint) => Promise<void> | undefined | void

/** Header of the marker of a replayed letter, later in the topic; its value is the place of the letter. */
export const REPLAYED_HEADER = 'relay-replayed'
export const REPLAYED_AT_HEADER = 'relay-replayed-at'

const PLACE = /^(\d{1,9}):(\d{1,19})$/

/** @returns undefined if the text is not `<partition>:<offset>` */
export function parseLetterPlace (text: string): LetterPlace | undefined {
  const place = PLACE.exec(text)
  return place ? { partition: Number(place[1]), offset: BigInt(place[2]) } : undefined
}

/** Memory for letters while the topic is read to its end. */
const KEPT_MAX_BYTES = 16 * 1024 * 1024
/** of a letter, besides its key and value */
const RECORD_BYTES = 500

/**
 * Finds letters, with their bytes, in the order of their partitions and offsets. Letters that were kept while the topic
 * was read to its end are not read again.
 */
export async function findLetters (
  from: LetterTopic, filter: LetterFilter, onRecord?: OnRecord
): Promise<AsyncIterable<Letter>> {
  const parts = await topicPartsSince(from, filter.since)
  const replays: Replays = new Map()
  const kept: LoggedRecord[] = []
  let keptBytes = 0
  let more: LoggedRecord | undefined
  for await (const record of readTopicParts(from, parts, onRecord)) {
    noteReplay(record, replays)
    if (more || !isAsked(toLetter(record, replays), filter)) continue
    keptBytes += RECORD_BYTES + (record.key?.length ?? 0) + (record.value?.length ?? 0)
    if (keptBytes > KEPT_MAX_BYTES) more = record
    else kept.push(copyOfRecord(record))
  }
  return lettersOf(from, parts, filter, { replays, kept, more })
}

interface Found {
  readonly replays: Replays
  readonly kept: readonly LoggedRecord[]
  /** first offset that was not kept */
  readonly more: LoggedRecord | undefined
}

async function * lettersOf (
  from: LetterTopic, parts: readonly Part[], filter: LetterFilter, { replays, kept, more }: Found
): AsyncGenerator<Letter> {
  for (const record of kept) yield toLetter(record, replays)!
  if (!more) return
  const rest = parts.filter(it => it.partition >= more.partition)
    .map(it => it.partition === more.partition ? { ...it, first: more.offset } : it)
  for await (const record of readTopicParts(from, rest)) {
    const letter = toLetter(record, replays)
    if (isAsked(letter, filter)) yield letter
  }
}

/** A letter without its bytes, because many of them are kept. */
export interface ListedLetter extends Omit<Letter, 'key' | 'value'> {
  readonly device: string | undefined
  /** size of its value; undefined: it has none */
  readonly keptBytes: number | undefined
}

/** Senders may write long texts, and a list has many letters. */
const LISTED_CHARACTERS_MAX = 1_000

export function listedLetter ({ key, value, ...rest }: Letter): ListedLetter {
  const device = deviceOf({ key, value })
  return {
    ...rest,
    detail: excerpt(rest.detail),
    device: device === undefined ? undefined : excerpt(device),
    keptBytes: value?.length
  }
}

/** A copy, because a substring would keep the whole text in memory. */
function excerpt (text: string): string {
  return text.length <= LISTED_CHARACTERS_MAX ? text : Buffer.from(text.slice(0, LISTED_CHARACTERS_MAX)).toString()
}

/** A list continues after this letter. */
export interface ListPosition extends LetterPlace {
  readonly timeMs: number
}

export interface LetterList {
  /** the newest first; letters of equal time in reverse order of the log */
  readonly letters: readonly ListedLetter[]
  /** number of older letters */
  readonly older: number
  /** number of all letters that match the filter, by reason; `other`: reasons unknown to this version */
  readonly reasons: ReadonlyMap<string, number>
}

/**
 * Lists the newest letters.
 * @param options limit: 1 or more; behind: only older ones than this; isSeen: whether the caller may see a letter
 */
export async function listLetters (
  from: LetterTopic, filter: LetterFilter,
  { limit, behind, isSeen = () => true, onRecord }: {
    readonly limit: number
    readonly behind?: ListPosition | undefined
    readonly isSeen?: (letter: Letter) => boolean
    readonly onRecord?: OnRecord
  }
): Promise<LetterList> {
  const replays: Replays = new Map()
  const reasons = new Map<string, number>()
  let letters: ListedLetter[] = []
  let older = 0
  const cut = () => {
    letters.sort(newestFirst)
    older += Math.max(0, letters.length - limit)
    letters = letters.slice(0, limit)
  }
  for await (const record of readTopicParts(from, await topicPartsSince(from, filter.since), onRecord)) {
    noteReplay(record, replays)
    const letter = toLetter(record, replays)
    if (!isAsked(letter, filter) || !isSeen(letter)) continue
    const reason = letter.reason in deadLetterReasons ? letter.reason : 'other'
    reasons.set(reason, (reasons.get(reason) ?? 0) + 1)
    if (behind && newestFirst(letter, behind) <= 0) continue
    letters.push(listedLetter(letter))
    if (letters.length >= 2 * limit) cut()
  }
  cut()
  return { letters: letters.map(it => ({ ...it, replayedAt: replays.get(it.place) })), older, reasons }
}

function newestFirst (a: ListPosition, b: ListPosition): number {
  return b.timeMs - a.timeMs || b.partition - a.partition || Number(b.offset - a.offset)
}

/** Markers are younger than their letter, except for differences between clocks. */
const CLOCKS_APART_MS = 60 * 60 * 1000

/** Reads letters by their places; places without a letter are omitted. */
export async function readLetters (
  from: LetterTopic, places: readonly LetterPlace[], onRecord?: OnRecord
): Promise<Letter[]> {
  const { eventLog, topic } = from
  const offsets = await eventLog.readOffsets(topic)
  const found: LoggedRecord[] = []
  for (const { partition, offset } of places) {
    const part = offsets.find(it => it.partition === partition)
    if (!part || offset < part.startOffset || offset >= part.endOffset) continue
    for await (const record of eventLog.readRecords(topic, partition, offset, offset + 1n)) {
      if (record.offset === offset && decodeDeadLetter(record.headers)) found.push(copyOfRecord(record))
    }
  }
  if (found.length === 0) return []
  const replays: Replays = new Map()
  const sinceMs = found.reduce((oldestMs, it) => Math.min(oldestMs, it.appendedMs), Infinity) - CLOCKS_APART_MS
  const parts = await topicPartsSince(from, sinceMs)
  for await (const record of readTopicParts(from, parts, onRecord)) noteReplay(record, replays)
  return found.map(it => toLetter(it, replays)!)
}

/** The device of a letter: the device id in its JSON, else its key. */
export function deviceOf ({ key, value }: Pick<Letter, 'key' | 'value'>): string | undefined {
  try {
    const { deviceId } = JSON.parse(String(value)) as { deviceId?: unknown }
    if (typeof deviceId === 'string') return deviceId
  } catch {} // many letters are not JSON
  return key?.toString()
}

/** A range of a partition. */
export interface Part {
  readonly partition: number
  readonly first: bigint
  readonly end: bigint
}

/** What was appended at a time or later, up to the current end. @param sinceMs left out: everything */
export async function topicPartsSince ({ eventLog, topic }: LetterTopic, sinceMs: number | undefined): Promise<Part[]> {
  // times below 0 mean something else to Kafka
  const from = sinceMs === undefined || sinceMs <= 0 ? undefined : await eventLog.findOffsets(topic, sinceMs)
  return (await eventLog.readOffsets(topic)).map(({ partition, startOffset, endOffset }) =>
    ({ partition, first: greatest(from?.[partition] ?? 0n, startOffset), end: endOffset }))
}

export async function * readTopicParts (
  { eventLog, topic }: LetterTopic, parts: readonly Part[], onRecord?: OnRecord
): AsyncGenerator<LoggedRecord> {
  const total = parts.reduce((sum, { first, end }) => end > first ? sum + end - first : sum, 0n)
  let read = 0n
  for (const { partition, first, end } of parts) {
    for await (const record of eventLog.readRecords(topic, partition, first, end)) {
      const wait = onRecord?.(++read, total)
      if (wait) await wait
      yield record
    }
  }
}

/** By place of the replayed letters, the time of the replay. */
type Replays = Map<string, string>

function noteReplay ({ headers }: LoggedRecord, replays: Replays): void {
  if (headers[REPLAYED_HEADER]) replays.set(headers[REPLAYED_HEADER], headers[REPLAYED_AT_HEADER] ?? '')
}

function toLetter ({ partition, offset, key, value, headers }: LoggedRecord, replays: Replays): Letter | undefined {
  const info = decodeDeadLetter(headers)
  const place = `${partition}:${offset}`
  return info && { ...info, partition, offset, place, key, value, replayedAt: replays.get(place) }
}

/** A copy, because the record is a slice of a whole network read, which would stay in memory too. */
export function copyOfRecord (record: LoggedRecord): LoggedRecord {
  const copy = (bytes: Buffer | null) => bytes && Buffer.from(bytes)
  return { ...record, key: copy(record.key), value: copy(record.value) }
}

function greatest (a: bigint, b: bigint): bigint {
  return a > b ? a : b
}

function isAsked (
  letter: Letter | undefined, { reason, since, until, device, sourcePartition, principal }: LetterFilter
): letter is Letter {
  return letter !== undefined &&
    (reason === undefined || reason.includes(letter.reason)) &&
    (since === undefined || letter.timeMs >= since) &&
    (until === undefined || letter.timeMs < until) &&
    (device === undefined || deviceOf(letter) === device) &&
    (sourcePartition === undefined || letter.sourcePartition === sourcePartition) &&
    (principal === undefined || letter.principal === principal)
}
