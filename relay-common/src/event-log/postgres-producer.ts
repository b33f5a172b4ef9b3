/**
 * Appends records to topics: one transaction for a send, so that all of it is there or nothing.
 *
 *     send() ──▶ waiting ──those of one topic, together──▶ encode ──▶ append_to_event_log ──▶ commit
 *
 * One transaction at a time, in the order of the calls; what is sent while one is under way goes together in the next,
 * so that many small sends cost few commits. Nothing is sent twice: a connection that is lost during a commit does not
 * say whether there was one, and the caller is told that instead.
 */
import type { Database, PoolClient } from '../database.ts'
import { RelayError } from '../errors.ts'
import { within } from '../within.ts'
import type { EventProducer, ProducedRecord, Topic } from './port.ts'
import { encodeAppends, type Append } from './postgres-batch.ts'
import { explain, topicMissing } from './postgres-connection.ts'
import { describeTopic } from './postgres-topics.ts'

/** A call of send() whose records are not under way yet. */
interface Waiting {
  readonly topic: string
  readonly records: readonly ProducedRecord[]
  readonly done: () => void
  readonly failed: (error: unknown) => void
}

/** sends are put together up to so many records */
const TOGETHER_MAX_RECORDS = 20_000
/** how long a transaction may take; a server that was cut off says nothing at all */
const SEND_TIMEOUT_MS = 30_000
/** partitions may be added at any time, and keys go to other ones then */
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
  /** counts keyless records, so that they go round the partitions; every producer begins somewhere else */
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

  /** Waits for what is under way, so that whoever sent it hears what became of it. */
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
    this.#underWay = undefined // in the same breath as the look at #waiting: a send in between would wait for ever
  }

  /** The first send and those behind it to the same topic, while they are few records. */
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
      // the topic that we knew was deleted, and nothing was written: there may be another one of that name
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
      client.release(!isWhole) // the connection ends, and a transaction that it may be in with it
    }
  }
}

async function appendAll (client: PoolClient, topicId: string, appends: readonly Append[]): Promise<void> {
  const isOne = appends.length === 1 // a statement is a transaction
  if (!isOne) await client.query('begin')
  for (const { partitions, counts, sizesBytes, keys, values, headers } of appends) {
    await client.query({
      name: 'append-to-event-log',
      text: 'select append_to_event_log($1, $2, $3, $4, $5, $6, $7)',
      // buffers go as they are, in the binary format that they hold
      values: [topicId, partitions, counts, sizesBytes, keys, values, headers]
    })
  }
  if (!isOne) await client.query('commit')
}
