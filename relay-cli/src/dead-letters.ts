/** Dead letters for the commands: filtered, in the order of writing. */
import {
  claimFault, deadLetterReasons, findApiKey, intersectGrants, readDeadLetter, type Database, type DeadLetterInfo,
  type EventGrants,
  type LoggedRecord
} from 'relay-common'

import { startProgress } from './output.ts'
import type { Site } from './site.ts'

export interface Letter extends DeadLetterInfo {
  /** position of the letter itself: `<partition>:<offset>` */
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

/** A replayed letter has a later marker in the dead letters: this header, with its position. */
export const REPLAYED_HEADER = 'relay-replayed'
export const REPLAYED_AT_HEADER = 'relay-replayed-at'
/** on the record in the events topic: the position of its letter */
export const REPLAY_OF_HEADER = 'relay-replay-of'

export const reasons = Object.keys(deadLetterReasons)

/** kept part of the first read: bytes of keys and values, and a constant per record */
const KEPT_MAX_BYTES = 16 * 1024 * 1024
const RECORD_BYTES = 500

/**
 * The letters that pass a filter. Replay marks come later in the topic, so it is read to its end before the first
 * letter is returned. Letters found until then are kept, up to a limit, and not read again.
 */
export async function * findLetters ({ eventLog, config }: Site, filter: LetterFilter): AsyncGenerator<Letter> {
  const topic = config.DEAD_LETTERS_TOPIC
  const from = filter.since === undefined ? undefined : await eventLog.findOffsets(topic, filter.since)
  const parts = (await eventLog.readOffsets(topic)).map(({ partition, startOffset, endOffset }) =>
    ({ partition, first: greatest(from?.[partition] ?? 0n, startOffset), end: endOffset }))

  const replayed: Replays = new Map()
  const kept: LoggedRecord[] = []
  let keptBytes = 0
  let more: LoggedRecord | undefined
  let read = 0n
  const total = parts.reduce((sum, { first, end }) => sum + end - first, 0n)
  const progress = startProgress('reading')
  try {
    for (const { partition, first, end } of parts) {
      for await (const record of eventLog.readRecords(topic, partition, first, end)) {
        progress.update(++read, total)
        noteReplay(record, replayed)
        if (more || !isAsked(toLetter(record, replayed), filter)) continue
        keptBytes += RECORD_BYTES + (record.key?.length ?? 0) + (record.value?.length ?? 0)
        if (keptBytes > KEPT_MAX_BYTES) more = record
        else kept.push({ ...record, key: copyOf(record.key), value: copyOf(record.value) })
      }
    }
  } finally {
    progress[Symbol.dispose]() // before any output
  }
  for (const record of kept) yield toLetter(record, replayed)!
  if (!more) return
  for (const { partition, first, end } of parts) {
    if (partition < more.partition) continue
    const start = partition === more.partition ? more.offset : first
    for await (const record of eventLog.readRecords(topic, partition, start, end)) {
      const letter = toLetter(record, replayed)
      if (isAsked(letter, filter)) yield letter
    }
  }
}

/** A letter without its bytes, so that many can be kept. */
export interface ListedLetter extends Omit<Letter, 'key' | 'value'> {
  readonly device: string | undefined
  /** of its value; undefined: none */
  readonly keptBytes: number | undefined
}

export function listedLetter ({ key, value, ...rest }: Letter): ListedLetter {
  return { ...rest, device: deviceOf({ key, value }), keptBytes: value?.length }
}

/**
 * The newest of some letters, the newest last.
 * @param limit their number, 1 or more
 * @returns also the number of older ones
 */
export async function findNewest (
  letters: AsyncIterable<Letter>, limit: number
): Promise<{ letters: ListedLetter[], before: number }> {
  let newest: ListedLetter[] = []
  let before = 0
  const cut = () => {
    newest.sort((a, b) => a.timeMs - b.timeMs) // stable: letters of one time stay in the order of the log
    before += Math.max(0, newest.length - limit)
    newest = newest.slice(-limit)
  }
  for await (const letter of letters) {
    newest.push(listedLetter(letter))
    if (newest.length >= 2 * limit) cut()
  }
  cut()
  return { letters: newest, before }
}

/** One letter; undefined if there is none at that position. */
export async function readLetter (
  { eventLog, config }: Site, partition: number, offset: bigint
): Promise<Letter | undefined> {
  const topic = config.DEAD_LETTERS_TOPIC
  const replayed: Replays = new Map()
  let found: LoggedRecord | undefined
  for (const { partition: number, startOffset, endOffset } of await eventLog.readOffsets(topic)) {
    const first = number === partition ? greatest(offset, startOffset) : startOffset
    for await (const record of eventLog.readRecords(topic, number, first, endOffset)) {
      noteReplay(record, replayed)
      if (number === partition && record.offset === offset) found = record
    }
  }
  return found && toLetter(found, replayed)
}

/** By position of replayed letters: the time. */
type Replays = Map<string, string>

function noteReplay ({ headers }: LoggedRecord, replayed: Replays): void {
  if (headers[REPLAYED_HEADER]) replayed.set(headers[REPLAYED_HEADER], headers[REPLAYED_AT_HEADER] ?? '')
}

function toLetter ({ partition, offset, key, value, headers }: LoggedRecord, replayed: Replays): Letter | undefined {
  const info = readDeadLetter(headers)
  const place = `${partition}:${offset}`
  return info && { ...info, place, key, value, replayedAt: replayed.get(place) }
}

/** A copy, because the slice would keep the whole received buffer in memory. */
function copyOf (bytes: Buffer | null): Buffer | null {
  return bytes && Buffer.from(bytes)
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

const KEY_PRINCIPAL = 'key:'

/**
 * Decides which letters may be sent to the events topic: those whose sender was allowed to send the event when it was
 * refused, and still is if its key exists. Letters that were in that topic before may always return.
 * @returns why a letter may not; undefined: it may
 */
export function openReplayGuard (database: Database): (letter: Letter) => Promise<string | undefined> {
  const present = new Map<string, Promise<EventGrants | undefined>>()
  const grantsOf = (principal: string) => {
    if (!principal.startsWith(KEY_PRINCIPAL)) return undefined
    const known = present.get(principal) ??
      findApiKey(database, principal.slice(KEY_PRINCIPAL.length)).then(it => it?.grants)
    present.set(principal, known)
    return known
  }
  return async ({ principal, grants, value }) => {
    if (principal === undefined) return undefined
    if (!grants) return `the permissions of ${principal} are unknown`
    const now = await grantsOf(principal)
    const fault = claimFault(now ? intersectGrants(grants, now) : grants, value)
    if (fault === undefined) return undefined
    return fault === 'unreadable'
      ? `its device and zone can't be read, and ${principal} may not send for all`
      : `${principal} may not send for its ${fault}`
  }
}

/** The device of a letter: from its JSON if that has a device id, otherwise the key. */
export function deviceOf ({ key, value }: Pick<Letter, 'key' | 'value'>): string | undefined {
  try {
    const { deviceId } = JSON.parse(String(value)) as { deviceId?: unknown }
    if (typeof deviceId === 'string') return deviceId
  } catch {} // many letters exist because they are not JSON
  return key?.toString()
}
