/** Dead letters as the commands know them: found by filters, in the order in which they were written. */
import { deadLetterReasons, readDeadLetter, type DeadLetterInfo, type LoggedRecord } from 'relay-common'

import type { Site } from './site.ts'

export interface Letter extends DeadLetterInfo {
  /** where the letter itself is: `<partition>:<offset>` */
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
}

/** A letter that was replayed has a marker behind it in the dead letters: this header, with its place. */
export const REPLAYED_HEADER = 'relay-replayed'
export const REPLAYED_AT_HEADER = 'relay-replayed-at'
/** on the record in the events topic: the place of the letter that it comes from */
export const REPLAY_OF_HEADER = 'relay-replay-of'

export const reasons = Object.keys(deadLetterReasons)

/** The letters that a filter lets through. Markers of replays are behind their letters: so first all that is asked for is read. */
export async function * findLetters ({ eventLog, config }: Site, filter: LetterFilter): AsyncGenerator<Letter> {
  const topic = config.DEAD_LETTERS_TOPIC
  const replayed = await readReplayed({ eventLog, config })
  const from = filter.since === undefined ? undefined : await eventLog.findOffsets(topic, filter.since)
  for (const { partition, startOffset, endOffset } of await eventLog.readOffsets(topic)) {
    const first = from?.[partition] ?? startOffset
    for await (const record of eventLog.readRecords(topic, partition, first > startOffset ? first : startOffset, endOffset)) {
      const letter = toLetter(record, replayed)
      if (letter && isAsked(letter, filter)) yield letter
    }
  }
}

/** One letter; undefined where there is none at that place. */
export async function readLetter (site: Site, partition: number, offset: bigint): Promise<Letter | undefined> {
  const records: LoggedRecord[] = await Array.fromAsync(
    site.eventLog.readRecords(site.config.DEAD_LETTERS_TOPIC, partition, offset, offset + 1n))
  return records.length === 0 ? undefined : toLetter(records[0], await readReplayed(site))
}

/** Places of the letters that were replayed, and when. */
async function readReplayed ({ eventLog, config }: Pick<Site, 'eventLog' | 'config'>): Promise<ReadonlyMap<string, string>> {
  const replayed = new Map<string, string>()
  for (const { partition, startOffset, endOffset } of await eventLog.readOffsets(config.DEAD_LETTERS_TOPIC)) {
    for await (const { headers } of eventLog.readRecords(config.DEAD_LETTERS_TOPIC, partition, startOffset, endOffset)) {
      if (headers[REPLAYED_HEADER]) replayed.set(headers[REPLAYED_HEADER], headers[REPLAYED_AT_HEADER] ?? '')
    }
  }
  return replayed
}

function toLetter ({ partition, offset, key, value, headers }: LoggedRecord, replayed: ReadonlyMap<string, string>): Letter | undefined {
  const info = readDeadLetter(headers)
  const place = `${partition}:${offset}`
  return info && { ...info, place, key, value, replayedAt: replayed.get(place) }
}

function isAsked (letter: Letter, { reason, since, until, device, sourcePartition }: LetterFilter): boolean {
  return (reason === undefined || reason.includes(letter.reason)) &&
    (since === undefined || letter.timeMs >= since) &&
    (until === undefined || letter.timeMs < until) &&
    (device === undefined || deviceOf(letter) === device) &&
    (sourcePartition === undefined || letter.sourcePartition === sourcePartition)
}

/** The device of a letter: as its JSON says where it is one with a device id, else the key. */
export function deviceOf ({ key, value }: Pick<Letter, 'key' | 'value'>): string | undefined {
  try {
    const { deviceId } = JSON.parse(String(value)) as { deviceId?: unknown }
    if (typeof deviceId === 'string') return deviceId
  } catch {} // many letters are here for not being JSON
  return key?.toString()
}
