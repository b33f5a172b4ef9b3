/**
 * Sends accepted events to the event log. It connects in the background, so that queries work while the log is
 * unreachable.
 *
 *     send() ──while few sends are under way──▶ producer
 *        └──else waits──▶ what waits goes together in the next one, callers in turn
 *
 * So many small requests need few batches. The callers bound what waits: each request holds its lease. A caller with
 * many requests waits for itself: the first request of every other goes before its second. A large request is
 * divided into parts, each encoded in a short turn of the event loop.
 *
 * A log that accepts nothing for INGEST_BREAKER_MS gets nothing more until it does. Earlier sends wait, because their
 * outcome is unknown; later ones are refused at once.
 */
import { setImmediate } from 'node:timers'
import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises'

import { RelayError, within, type Database, type Logger, type Registry } from 'relay-common'
import {
  eventLogKind, openEventLog, warnOfCompaction, type EventLog, type EventLogConfig, type EventProducer,
  type ProducedRecord, type Topic
} from 'relay-event-log'

import { openBreaker } from '../breaker.ts'

export interface Outbox {
  /**
   * Checks whether the log would accept events.
   * @param waitMaxMs for an answer
   * @returns what prevents it; undefined: nothing
   */
  ask (waitMaxMs: number): Promise<string | undefined>
  /**
   * Resolves when all records are durable. Records of one key and caller are sent in the order of the calls.
   * @param caller id of a principal
   * @param topic default: that of the events
   * @throws RelayError RELAY_EVENT_LOG_UNREACHABLE; then some may be there anyway
   */
  send (caller: string, records: readonly ProducedRecord[], topic?: string): Promise<void>
  close (): Promise<void>
}

/** Parallel sends: one is on its way to the log while the next is prepared; the rest is combined. */
const UNDER_WAY_MAX = 2
/** limits of combined records, which are encoded in one turn of the event loop: some 4 ms */
const TOGETHER_MAX_RECORDS = 10_000
const TOGETHER_MAX_BYTES = 512 * 1024
const REOPEN_DELAY_MS = 2_000

export interface QueuedBatch {
  readonly topic: string
  readonly records: readonly ProducedRecord[]
  readonly bytes: number
  readonly done: () => void
  readonly failed: (error: unknown) => void
}

/** @throws RelayError RELAY_CONFIG_INVALID */
export function openOutbox (
  config: EventLogConfig & { readonly EVENTS_TOPIC: string, readonly INGEST_BREAKER_MS: number },
  database: Database, metrics: Registry, log: Logger
): Outbox {
  if (eventLogKind(config) === 'kafka' && !config.KAFKA_BOOTSTRAP_SERVERS) {
    throw new RelayError('RELAY_CONFIG_INVALID', 'EVENT_LOG is kafka: set KAFKA_BOOTSTRAP_SERVERS')
  }
  const eventsTopic = config.EVENTS_TOPIC
  const closing = new AbortController()
  const opened = new AsyncDisposableStack()
  const waiting = new WaitingLine()
  const underWay = new Set<Promise<void>>()
  let producer: EventProducer | undefined
  let eventLog: EventLog | undefined
  /** a check in progress is shared */
  let asking: Promise<Topic | undefined> | undefined

  const open = async () => {
    while (!closing.signal.aborted) {
      await using opening = new AsyncDisposableStack()
      try {
        const found = opening.adopt(await openEventLog(config, database, log), it => it.close())
        producer = opening.adopt(await found.openProducer(), it => it.close())
        eventLog = found
        opened.use(opening.move())
        await warnOfCompaction(found, eventsTopic, log)
        log.info({ eventLog: found.description, topic: eventsTopic }, 'ingest started')
        return
      } catch (error) {
        log.warn({ err: error }, 'could not open the event log, so events are refused; retrying')
        await delay(REOPEN_DELAY_MS, undefined, { signal: closing.signal }).catch(() => {})
      }
    }
  }
  const opening = open()

  const describe = () => (asking ??= eventLog!.describeTopic(eventsTopic).finally(() => { asking = undefined }))
  const breaker = openBreaker({
    server: 'event log',
    limitMs: config.INGEST_BREAKER_MS,
    async probe (signal) {
      if (!eventLog) return
      const { promise: givenUp, reject } = Promise.withResolvers<never>()
      signal.addEventListener('abort', () => reject(signal.reason), { once: true })
      await Promise.race([describe(), givenUp])
    }
  }, metrics, log)

  const deliver = async (together: readonly QueuedBatch[]) => {
    using watched = breaker.watch()
    try {
      await producer!.send(
        together[0].topic, together.length === 1 ? together[0].records : together.flatMap(it => it.records)
      )
      watched.answered()
      for (const it of together) it.done()
    } catch (error) {
      for (const it of together) it.failed(unreachable(error))
    }
  }

  const pump = () => {
    while (!waiting.isEmpty && underWay.size < UNDER_WAY_MAX) {
      const delivery = deliver(waiting.takeTogether())
      underWay.add(delivery)
      delivery.finally(() => {
        underWay.delete(delivery)
        pumpSoon()
      })
    }
  }

  /**
   * Runs after the input of this turn: what arrives together is sent together. A batch costs far more than an event.
   */
  let isPumpDue = false
  const pumpSoon = () => {
    if (isPumpDue) return
    isPumpDue = true
    setImmediate(() => {
      isPumpDue = false
      pump()
    })
  }

  return {
    async ask (waitMaxMs) {
      if (!eventLog) return 'is not open yet'
      if (breaker.isOpen) return 'does not answer'
      try {
        return await within(waitMaxMs, describe()) ? undefined : `has no topic ${eventsTopic}`
      } catch (error) {
        return (error as Error).name === 'TimeoutError' ? 'does not answer' : 'is unreachable'
      }
    },
    async send (caller, records, topic = eventsTopic) {
      if (!producer || closing.signal.aborted) throw unreachable(new Error('it is not open'))
      if (records.length === 0) return
      if (breaker.isOpen || breaker.isSilent) throw unreachable(new Error('it accepted nothing for INGEST_BREAKER_MS'))
      const sent = divide(records).map(part => new Promise<void>((resolve, reject) => {
        waiting.add(caller, { topic, ...part, done: resolve, failed: reject })
      }))
      pumpSoon()
      const failure = (await Promise.allSettled(sent)).find(it => it.status === 'rejected')
      if (failure) throw failure.reason
    },
    async close () {
      closing.abort()
      breaker.close()
      await opening
      while (underWay.size > 0 || !waiting.isEmpty) await Promise.all([...underWay, nextTurn()])
      await opened.disposeAsync()
    }
  }
}

/** Divides records into parts of some bytes, in their order; a record alone may be longer. */
export function divide (
  records: readonly ProducedRecord[], maxBytes = TOGETHER_MAX_BYTES
): Array<Pick<QueuedBatch, 'records' | 'bytes'>> {
  const parts = []
  let start = 0
  let bytes = 0
  for (let index = 0; index < records.length; index++) {
    const { key, value } = records[index]
    const own = (key?.length ?? 0) + (value?.length ?? 0)
    if (index > start && bytes + own > maxBytes) {
      parts.push({ records: records.slice(start, index), bytes })
      start = index
      bytes = 0
    }
    bytes += own
  }
  parts.push({ records: start === 0 ? records : records.slice(start), bytes })
  return parts
}

/** Waiting sends, by caller. */
export class WaitingLine {
  /** in the order of turns; no list is empty */
  readonly #byCaller = new Map<string, QueuedBatch[]>()

  get isEmpty (): boolean { return this.#byCaller.size === 0 }

  add (caller: string, it: QueuedBatch): void {
    const own = this.#byCaller.get(caller)
    if (own) own.push(it)
    else this.#byCaller.set(caller, [it])
  }

  /** Takes at least one, one per caller before a second of any, all for one topic, and not too much for a turn. */
  takeTogether (): QueuedBatch[] {
    const together: QueuedBatch[] = []
    const taken = new Map<string, number>()
    let records = 0
    let bytes = 0
    let more = [...this.#byCaller]
    for (let round = 0; more.length > 0; round++) {
      const served = more
      more = []
      for (const [caller, own] of served) {
        if (together.length > 0 && own[round].topic !== together[0].topic) continue // its turn is the next one
        records += own[round].records.length
        bytes += own[round].bytes
        if (together.length > 0 && (records > TOGETHER_MAX_RECORDS || bytes > TOGETHER_MAX_BYTES)) {
          more = []
          break
        }
        together.push(own[round])
        taken.set(caller, round + 1)
        if (own.length > round + 1) more.push([caller, own])
      }
    }
    for (const [caller, count] of taken) { // served callers go to the end
      const own = this.#byCaller.get(caller)!
      this.#byCaller.delete(caller)
      own.splice(0, count)
      if (own.length > 0) this.#byCaller.set(caller, own)
    }
    return together
  }
}

/** A processor is about to create a missing topic, so that is temporary as well. */
function unreachable (cause: unknown): RelayError {
  const { message } = cause as Error
  return new RelayError('RELAY_EVENT_LOG_UNREACHABLE', `the event log does not accept events: ${message}`, { cause })
}
