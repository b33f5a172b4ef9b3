/**
 * The fate of events: what became of each record of a device in the event log.
 *
 *     record ──▶ not read yet ──▶ waiting
 *        │
 *        ├─────▶ refused ───────▶ dead letter
 *        └─────▶ counted: in a row or in the journal of its minute; the same reading again is a duplicate
 *
 * Progress and rows are of one moment, and a record before the progress is in the rows or among the dead letters. So a
 * record that is in neither was lost, which must never happen.
 */
import { parseTraceparent, TRACEPARENT, type PoolClient } from 'relay-common'
import { copyOfRecord, findLetters, readTopicParts, topicPartsSince, type Letter } from 'relay-dead-letters'
import type { LoggedRecord } from 'relay-event-log'
import {
  bucketStartMs, decodeBody, decodeEvent, decodeJournal, deviceBlockOf, lateBlockOf, MINUTE_MS, type DeviceEvent,
  type EventRules
} from 'relay-rollups'

import { readKeepMs, rulesOf, topicOf, type Site } from './site.ts'
import { openSnapshot } from './snapshot.ts'
import { OnTheWay, type StoredRow } from './stored-buckets.ts'

export type FateKind =
  'counted' | 'duplicate' | 'waiting' | 'on-its-way' | 'dead-letter' | 'refused' | 'expired' | 'missing'

export interface EventFate {
  /** partition and offset of the record; undefined: the API refused the event, so it never was in the topic */
  readonly place: string | undefined
  /** ms since the epoch */
  readonly appendedMs: number
  /** undefined: it can't be read as an event */
  readonly event: DeviceEvent | undefined
  /** undefined: it was not traced */
  readonly traceId: string | undefined
  readonly fate: FateKind
  /** for people: where it is, or why it is not */
  readonly detail: string
}

export interface WantedEvents {
  readonly deviceId: string
  /** only events of this time, and records that can't be read; ms since the epoch */
  readonly timeMs: number | undefined
  /** only records that were appended from here on; ms since the epoch */
  readonly sinceMs: number
  readonly onRecord?: (read: bigint, total: bigint) => void
}

/**
 * Finds the records of a device, in the order in which they were appended, and the fate of each.
 * @throws RelayError RELAY_TOPIC_MISSING, RELAY_EVENT_LOG_UNREACHABLE, RELAY_DATABASE_UNREACHABLE
 */
export async function findFates (site: Site, wanted: WantedEvents): Promise<EventFate[]> {
  const { config, database } = site
  const { topicId, name } = await topicOf(site, config.EVENTS_TOPIC)
  using snapshot = await openSnapshot(database)
  const progress = await readProgress(snapshot.client, topicId)
  const letters = await readLettersOf(site, wanted)
  const letterOf = new Map(letters.filter(it => it.sourceTopic === name)
    .map(it => [`${it.sourcePartition}:${it.sourceOffset}`, it]))
  const onTheWay = await OnTheWay.read(snapshot.client)
  const rules = rulesOf(config)
  const stored = new StoredReadings(snapshot.client)
  const keptFromMs = Date.now() - (await readKeepMs(database))[0]

  const found: EventFate[] = []
  const before = new Map<string, string>()
  for (const record of await findRecords(site, name, wanted)) {
    const place = `${record.partition}:${record.offset}`
    const event = eventOf(record, rules)
    if (wanted.timeMs !== undefined && event !== undefined && event.timestampMs !== wanted.timeMs) continue
    const note = (fate: FateKind, detail: string) => found.push({
      place, appendedMs: record.appendedMs, event, traceId: traceIdOf(record), fate, detail
    })
    const letter = letterOf.get(place)
    const { nextOffset = 0n, owner } = progress.get(record.partition) ?? {}
    if (letter) note('dead-letter', describeLetter(letter))
    else if (record.offset >= nextOffset) {
      note('waiting', `${owner ?? 'no processor'} has read partition ${record.partition} up to offset ${nextOffset}`)
    } else if (event === undefined) note('refused', 'invalid, and its dead letter is no longer in the log')
    else {
      const key = [event.zone, event.deviceType, event.timestampMs, event.value].join('\n')
      const first = before.get(key)
      before.set(key, first ?? place)
      if (first !== undefined && !config.KEEP_DUPLICATES) note('duplicate', `of ${first}, which counts`)
      else note(...await stored.fateOf(event, onTheWay, keptFromMs))
    }
  }
  for (const letter of letters.filter(it => it.sourcePartition === undefined)) {
    const event = eventOf(letter, rules)
    if (wanted.timeMs !== undefined && event !== undefined && event.timestampMs !== wanted.timeMs) continue
    const detail = describeLetter(letter)
    found.push({
      place: undefined, appendedMs: letter.timeMs, event, traceId: undefined, fate: 'dead-letter', detail
    })
  }
  return found.sort((a, b) => a.appendedMs - b.appendedMs)
}

interface Progress { readonly nextOffset: bigint, readonly owner: string }

async function readProgress (client: PoolClient, topicId: string): Promise<Map<number, Progress>> {
  const { rows } = await client.query<{ source_partition: number, next_offset: bigint, owner: string }>(
    'select source_partition, next_offset, owner from progress where topic_id = $1', [topicId])
  return new Map(rows.map(it => [it.source_partition, { nextOffset: it.next_offset, owner: it.owner }]))
}

async function readLettersOf ({ config, eventLog }: Site, { deviceId, sinceMs }: WantedEvents): Promise<Letter[]> {
  const topic = config.DEAD_LETTERS_TOPIC
  if (!await eventLog.describeTopic(topic)) return []
  return await Array.fromAsync(await findLetters({ eventLog, topic }, { device: deviceId, since: sinceMs }))
}

/** Reads all partitions: a producer may use any partitioner, and resend with another one. */
async function findRecords (
  { eventLog }: Site, topic: string, { deviceId, sinceMs, onRecord }: WantedEvents
): Promise<LoggedRecord[]> {
  const id = Buffer.from(deviceId)
  const from = { eventLog, topic }
  const found: LoggedRecord[] = []
  for await (const record of readTopicParts(from, await topicPartsSince(from, sinceMs), onRecord)) {
    if (isOf(record, deviceId, id)) found.push(copyOfRecord(record))
  }
  return found.sort((a, b) => a.appendedMs - b.appendedMs)
}

/** Escapes in JSON spell an id in many ways, so each value with one is parsed. */
function isOf ({ key, value }: LoggedRecord, deviceId: string, id: Buffer): boolean {
  if (value === null || !(value.includes(id) || value.includes('\\'))) return key?.equals(id) ?? false
  try {
    return (JSON.parse(value.toString()) as { deviceId?: unknown } | null)?.deviceId === deviceId
  } catch {
    return key?.equals(id) ?? true
  }
}

function eventOf ({ value }: Pick<LoggedRecord, 'value'>, rules: EventRules): DeviceEvent | undefined {
  const decoded = decodeEvent(value, { ...rules, futureMaxMs: Infinity }, Date.now())
  return decoded.kind === 'rejected' ? undefined : decoded.event
}

function traceIdOf ({ headers }: LoggedRecord): string | undefined {
  return parseTraceparent(headers[TRACEPARENT])?.traceId
}

function describeLetter ({ place, reason, detail, replayedAt }: Letter): string {
  return `${place}, ${reason}: ${detail}${replayedAt === undefined ? '' : `; replayed at ${replayedAt}`}`
}

/** Looks for single readings in rows and journal. */
class StoredReadings {
  readonly #client: PoolClient

  constructor (client: PoolClient) {
    this.#client = client
  }

  async fateOf (event: DeviceEvent, onTheWay: OnTheWay, keptFromMs: number): Promise<[FateKind, string]> {
    const { deviceId, zone, deviceType, timestampMs, value } = event
    const { rows: [series] } = await this.#client.query<{ series_id: number }>(
      'select series_id from series where device_id = $1 and zone = $2 and device_type = $3',
      [deviceId, zone, deviceType])
    if (series === undefined) return ['missing', 'its device is not known in this zone with this type']
    const minuteMs = bucketStartMs(MINUTE_MS, timestampMs)
    const minute = `the minute ${new Date(minuteMs).toISOString()}`
    const { rows } = await this.#client.query<StoredRow & { source_partition: number }>(
      'select * from rollups_minute where series_id = $1 and bucket_start = to_timestamp($2::float8)',
      [series.series_id, minuteMs / 1000])
    for (const { source_partition: partition, count, ...row } of rows) {
      const { readings } = decodeBody({ ...row, count: Number(count), bucketStartMs: minuteMs })
      if (readings === undefined) return ['counted', `${minute} has ${count} readings, too many to store each`]
      if (readings.timesMs.some((it, n) => it === timestampMs && readings.values[n] === value)) {
        return ['counted', `in the row of ${minute}, partition ${partition}`]
      }
    }
    const partition = await this.#findJournaled(series.series_id, timestampMs, value)
    if (partition !== undefined) return ['counted', `in the journal, for ${minute}, partition ${partition}`]
    if (onTheWay.has(series.series_id, timestampMs, value)) return ['on-its-way', 'to the partition of its device']
    if (minuteMs < keptFromMs) return ['expired', `${minute} is past its retention`]
    return ['missing', `it is not in ${minute}: run relay verify`]
  }

  /** @returns the source partition */
  async #findJournaled (seriesId: number, timeMs: number, value: number): Promise<number | undefined> {
    const { rows } = await this.#client.query<{ source_partition: number, body: Buffer }>(
      'select source_partition, body from journal where block = any($1)',
      [[deviceBlockOf(seriesId), lateBlockOf(seriesId)]])
    let found: number | undefined
    for (const { source_partition: partition, body } of rows) {
      decodeJournal(body, {
        readings (_, { timesMs, values }) {
          if (timesMs.some((it, n) => it === timeMs && values[n] === value)) found = partition
        },
        rollup () {}
      }, id => id === seriesId)
    }
    return found
  }
}
