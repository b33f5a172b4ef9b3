/**
 * Appends records to topics: one transaction per send, so all of it is written or nothing.
 *
 *     send() ──▶ waiting ──those of one topic, together──▶ encode ──▶ append_to_event_log ──▶ commit
 *
 * One transaction at a time, in the order of the calls. Sends that arrive meanwhile share the next one, so that many
 * small sends need few commits. Nothing is sent twice: if the connection is lost during a commit, the outcome is
 * unknown, and the caller gets that error.
 */
import { type Database, type PoolClient, RelayError, within } from 'relay-common'
import type { EventProducer, ProducedRecord, Topic } from '../port.ts'
import { encodeAppends, type Append } from './batch.ts'
import { explain, topicMissing } from './connection.ts'
import { describeTopic } from './topics.ts'

/** A call of send() whose records are waiting. */
interface Waiting {
  readonly topic: string
  readonly records: readonly ProducedRecord[]
  readonly done: () => void
  readonly failed: (error: unknown) => void
}

/** waiting calls of send() share a transaction, up to this many records */
const TOGETHER_MAX_RECORDS = 20_000
/** longest transaction: a server that disappeared never answers, so only a limit ends the wait */
const SEND_TIMEOUT_MS = 30_000
/** partitions may be added at any time, which moves keys */
const TOPIC_MAX_AGE_MS = 60_000
const NO_DATA_FOUND = 'P0002'

export function openPostgresProducer (database: Database, description: string): EventProducer {
  return new PostgresProducer(database, description)
}

class PostgresProducer implements EventProducer {
  readonly #database: Database
  readonly #description: string
  readonly #topics = new Map<string, { readonly topic: Topic, readonly seenMs: number }>()
  #waiting: Waiting[] = []
  #underWay: Promise<void> | undefined
  #isClosed = false
  /** counts keyless records, which rotate over partitions; every producer starts at another one */
  #round = Math.floor(Math.random() * 2 ** 20)

  constructor (database: Database, description: string) {
    this.#database = database
    this.#description = description
  }

  send (topic: string, records: readonly ProducedRecord[]): Promise<void> {
    if (records.length === 0) return Promise.resolve()
    return new Promise((resolve, reject) => {
      if (this.#isClosed) {
        reject(new RelayError('RELAY_EVENT_LOG_UNREACHABLE', 'the producer is closed'))
        return
      }
      this.#waiting.push({ topic, records, done: resolve, failed: reject })
      this.#underWay ??= this.#deliverAll()
    })
  }

  /** Waits for sends in progress, so that their callers get the outcome. */
  async close (): Promise<void> {
    this.#isClosed = true
    await this.#underWay
  }

  async #deliverAll (): Promise<void> {
    while (this.#waiting.length > 0) {
      const together = this.#takeTogether()
      try {
        const records = together.length === 1 ? together[0].records : together.flatMap(it => it.records)
        await this.#deliver(together[0].topic, records)
        for (const it of together) it.done()
      } catch (error) {
        const reason = explain(error, this.#description)
        for (const it of together) it.failed(reason)
      }
    }
    this.#underWay = undefined // in the same turn as the check of #waiting: a send in between would wait forever
  }

  /** The first send and those after it to the same topic, up to a number of records. */
  #takeTogether (): Waiting[] {
    const [{ topic }] = this.#waiting
    let records = 0
    let count = 0
    for (const it of this.#waiting) {
      records += it.records.length
      if (count > 0 && (it.topic !== topic || records > TOGETHER_MAX_RECORDS)) break
      count++
    }
    return this.#waiting.splice(0, count)
  }

  async #deliver (name: string, records: readonly ProducedRecord[]): Promise<void> {
    const { topic: known, seenMs } = this.#topics.get(name) ?? { seenMs: -Infinity }
    const isFresh = performance.now() - seenMs < TOPIC_MAX_AGE_MS
    try {
      await this.#append(known && isFresh ? known : await this.#describe(name), records)
    } catch (error) {
      // the known topic was deleted and nothing was written; there may be another one with that name
      if (!known || (error as { code?: string }).code !== NO_DATA_FOUND) throw error
      await this.#append(await this.#describe(name), records)
    }
  }

  async #describe (name: string): Promise<Topic> {
    this.#topics.delete(name)
    const topic = await describeTopic(this.#database, name)
    if (!topic) throw topicMissing(name, this.#description)
    this.#topics.set(name, { topic, seenMs: performance.now() })
    return topic
  }

  async #append ({ topicId, partitions }: Topic, records: readonly ProducedRecord[]): Promise<void> {
    const { appends, round } = encodeAppends(records, partitions, this.#round)
    this.#round = round
    const client = await this.#database.connect()
    let isWhole = false
    try {
      await within(SEND_TIMEOUT_MS, appendAll(client, topicId, appends))
      isWhole = true
    } finally {
      client.release(!isWhole) // ends the connection, and any open transaction with it
    }
  }
}

async function appendAll (client: PoolClient, topicId: string, appends: readonly Append[]): Promise<void> {
  const isOne = appends.length === 1 // a single statement is a transaction
  if (!isOne) await client.query('begin')
  for (const { partitions, counts, sizesBytes, keys, values, headers } of appends) {
    await client.query({
      name: 'append-to-event-log',
      text: 'select append_to_event_log($1, $2, $3, $4, $5, $6, $7)',
      // buffers are sent unchanged, in their binary format
      values: [topicId, partitions, counts, sizesBytes, keys, values, headers]
    })
  }
  if (!isOne) await client.query('commit')
}
