/**
 * Ingest: events of clients go to the event log.
 *
 *     body ──cut──▶ items ──grants, decode, quotas──▶ records ──outbox──▶ events topic, durable ──▶ answer
 *                                 └──▶ refused, each with its reason
 *                                        └── whose sender can't be told: outbox ──▶ dead letters
 *
 * A large body is read in slices (ingest-turns.ts), so that no client delays the others.
 */
import { createHash } from 'node:crypto'

import type { EventGrants } from 'relay-access'
import {
  Counter, Gauge, RelayError, splitList, type Database, type ForWhom, type Logger, type Registry
} from 'relay-common'
import { deadLetterReasons, toDeadLetterRecord } from 'relay-dead-letters'
import type { ProducedRecord } from 'relay-event-log'
import { EVENT_BYTES_MAX, isId, keepMsOf, decodeClaims, type EventRules } from 'relay-rollups'

import type { Principal } from '../auth/principal.ts'
import type { Budgets } from '../budgets/budgets.ts'
import { refusedReasons, Sorting, type MaybeNew, type Refused } from './accept.ts'
import { openIdempotentAnswers, type IdempotentAnswers } from './idempotency-key.ts'
import type { IngestConfig } from './config.ts'
import { createInFlight, type InFlight } from './in-flight.ts'
import type { BodyLimits } from './body.ts'
import { cutItems, type CutLimits, type Framing } from './items.ts'
import { openOutbox, type Outbox } from './outbox.ts'
import { createQuotas, type Quotas } from './quotas.ts'
import { createIngestTurns, runNow } from './ingest-turns.ts'
import type { Trace } from '../tracing.ts'

export interface IngestAnswer {
  /** events that are now durable in the log */
  readonly accepted: number
  readonly refused: readonly Refused[]
}

export interface Ingest {
  readonly inFlight: InFlight
  readonly outbox: Outbox
  readonly answers: IdempotentAnswers
  readonly rules: EventRules
  readonly bodyLimits: BodyLimits
  readonly quotas: Quotas
  /**
   * Accepts the events of a body.
   * @param waiting its signal ends the work when nobody waits for it
   * @param trace of the request; undefined: tracing is off
   * @throws RelayError RELAY_REQUEST_INVALID, RELAY_BODY_TOO_LARGE for too many events, RELAY_EVENT_LOG_UNREACHABLE
   */
  accept (
    body: Buffer, framing: Framing, principal: Principal, waiting?: ForWhom, trace?: Trace
  ): Promise<IngestAnswer>
  /**
   * Accepts one event.
   * @returns why it is refused; undefined: it is durable
   * @throws RelayError RELAY_EVENT_LOG_UNREACHABLE
   */
  acceptOne (event: Buffer, principal: Principal, from: EventOrigin): Promise<Refused | undefined>
  /** SHA-256 of a body of any length, without delaying others. */
  hash (caller: string, framing: Framing, body: Uint8Array): Promise<Buffer>
  /**
   * Stores a refused event as a dead letter, if its sender can't be told. It was never in the events topic. Above the
   * caller's budget of letters it is only counted.
   * @param source protocol and topic of the event
   * @throws RelayError RELAY_EVENT_LOG_UNREACHABLE
   */
  keepRefused (
    bytes: Buffer, refused: Refused, principal: Principal, from: EventOrigin & { readonly source: string }
  ): Promise<void>
  close (): Promise<void>
}

/** Origin of one event. */
export interface EventOrigin {
  /** the required device; undefined: any */
  readonly deviceId: string | undefined
  /** full length, if the bytes are truncated */
  readonly sizeBytes?: number | undefined
  /** undefined: tracing is off */
  readonly trace?: Trace | undefined
}

/** Ingest is enabled if the event log is configured: a log without readers would lose events. */
export function isIngestOn ({ EVENT_LOG, KAFKA_BOOTSTRAP_SERVERS }: IngestConfig): boolean {
  return EVENT_LOG !== undefined || KAFKA_BOOTSTRAP_SERVERS !== undefined
}

/** A body of up to this size is read at once, in a fifth of a ms. */
const SMALL_BODY_BYTES = 8 * 1024
/** Further refusals have no detail: an answer about 10,000 events is stored, and must not have 2 MB. */
const DETAILS_MAX = 1_000
const HASHED_BYTES = 256 * 1024

/** @throws RelayError RELAY_CONFIG_INVALID */
export function openIngest (
  config: IngestConfig, database: Database, budgets: Budgets, metrics: Registry, log: Logger
): Ingest {
  const inFlight = createInFlight(config.INGEST_IN_FLIGHT_MAX_BYTES, budgets)
  const outbox = openOutbox(config, database, metrics, log)
  const answers = openIdempotentAnswers(database, config.INGEST_KEYS_KEPT_HOURS, log)
  const rules = rulesOf(config)
  const counts = createCounts(metrics, inFlight)
  const quotas = createQuotas(database, budgets, log)
  const turns = createIngestTurns()
  const cutLimits: CutLimits = { itemsMax: config.INGEST_EVENTS_MAX, blankLinesMax: config.INGEST_EVENTS_MAX }

  const send = async (caller: string, records: readonly ProducedRecord[], topic: string, trace?: Trace) => {
    if (!trace) return await outbox.send(caller, records, topic)
    const { records: traced, span } = trace.send(records, topic)
    try {
      await outbox.send(caller, traced, topic)
      span?.end()
    } catch (error) {
      span?.end(error)
      throw error
    }
  }
  const take = async (
    sorted: Sorting, caller: string, nowMs: number, waiting: ForWhom | undefined, trace: Trace | undefined
  ): Promise<IngestAnswer> => {
    let it: Pick<Sorting, 'records' | 'refused'> = sorted
    if (sorted.maybeNew.length > 0) {
      it = withoutRefused(sorted, await quotas.spend(caller, sorted.maybeNew, nowMs))
      waiting?.signal?.throwIfAborted()
    }
    const { records, refused } = it
    await send(caller, records, config.EVENTS_TOPIC, trace)
    counts.accepted.inc(records.length)
    for (const { reason } of refused) counts.refused.inc({ reason })
    return { accepted: records.length, refused: refused.length > DETAILS_MAX ? refused.map(withoutDetail) : refused }
  }
  return {
    inFlight,
    outbox,
    answers,
    rules,
    bodyLimits: { maxBytes: config.INGEST_BODY_MAX_BYTES, timeoutMs: config.INGEST_BODY_TIMEOUT_MS },
    quotas,
    async accept (body, framing, { id, grants }, waiting, trace) {
      const nowMs = Date.now()
      const sorted = new Sorting(body, { rules, grants }, quotas, nowMs)
      const work = sortBody(body, framing, cutLimits, sorted)
      if (body.length <= SMALL_BODY_BYTES) runNow(work)
      else await turns.run(id, work, waiting?.signal)
      return await take(sorted, id, nowMs, waiting, trace)
    },
    async acceptOne (event, principal, from) {
      if (from.sizeBytes !== undefined) {
        counts.refused.inc({ reason: 'oversized' })
        return { index: 0, reason: 'oversized', detail: `${from.sizeBytes} bytes, over ${EVENT_BYTES_MAX}` }
      }
      const nowMs = Date.now()
      const sorted = new Sorting(event, { rules, grants: grantsOf(principal, from) }, quotas, nowMs)
      sorted.add(event)
      const { refused } = await take(sorted, principal.id, nowMs, undefined, from.trace)
      return refused[0]
    },
    async hash (caller, framing, body) {
      const work = hashSlowly(framing, body)
      return body.length <= HASHED_BYTES ? runNow(work) : await turns.run(caller, work)
    },
    async keepRefused (bytes, { reason, field, detail }, principal, from) {
      if (!mayKeepLetter(budgets, principal.id)) return
      const source = { topic: from.source, principal: principal.id, grants: grantsOf(principal, from) }
      const letter = { key: keyOf(bytes), value: bytes, valueBytes: from.sizeBytes, reason, field, detail, source }
      from.trace?.ask() // each dead letter is traced
      await send(principal.id, [toDeadLetterRecord(letter, Date.now())], config.DEAD_LETTERS_TOPIC, from.trace)
      counts.deadLetters.inc({ reason })
    },
    async close () {
      await answers.close()
      await outbox.close()
    }
  }
}

function grantsOf ({ grants }: Principal, { deviceId }: EventOrigin): EventGrants {
  return deviceId === undefined ? grants : { ...grants, deviceId }
}

/** A replayed letter goes to the partition of its device, if that can be read. */
function keyOf (bytes: Buffer): Buffer | null {
  const [deviceId, ...others] = decodeClaims(bytes)?.deviceIds ?? []
  return typeof deviceId === 'string' && isId(deviceId) && others.length === 0 ? Buffer.from(deviceId) : null
}

function mayKeepLetter (budgets: Budgets, caller: string): boolean {
  try {
    budgets.spend('deadLetters', caller)
    return true
  } catch (error) {
    if ((error as RelayError).code !== 'RELAY_BUDGET_EXCEEDED') throw error
    return false
  }
}

/**
 * Splits a body and sorts its items, one per step.
 * @throws RelayError RELAY_REQUEST_INVALID, RELAY_BODY_TOO_LARGE for too many events
 */
function * sortBody (body: Buffer, framing: Framing, limits: CutLimits, sorted: Sorting): Generator<undefined, void> {
  const cutting = cutItems(body, framing, limits)
  for (let step = cutting.next(); ; step = cutting.next()) {
    if (step.done) {
      const fault = step.value
      if (fault?.kind === 'broken') {
        throw new RelayError('RELAY_REQUEST_INVALID', `could not parse the body: ${fault.detail}`)
      }
      if (fault?.kind === 'too-many') {
        throw new RelayError(
          'RELAY_BODY_TOO_LARGE', `the body has more than ${fault.what}; split it over several requests`
        )
      }
      return
    }
    if (step.value) sorted.add(step.value)
    yield
  }
}

/** @param byEvent refusals, of these events among others */
function withoutRefused (
  { records, refused, maybeNew }: Sorting, byEvent: ReadonlyMap<MaybeNew, Refused>
): Pick<Sorting, 'records' | 'refused'> {
  const more = maybeNew.filter(it => byEvent.has(it))
  if (more.length === 0) return { records, refused }
  const left = new Set(more.map(it => it.record))
  return {
    records: records.filter(it => !left.has(it)),
    refused: [...refused, ...more.map(it => byEvent.get(it)!)].sort((a, b) => a.index - b.index)
  }
}

function withoutDetail (refused: Refused, place: number): Refused {
  return place < DETAILS_MAX ? refused : { ...refused, detail: '' }
}

function * hashSlowly (framing: Framing, body: Uint8Array): Generator<undefined, Buffer> {
  const hash = createHash('sha256').update(`${framing}\n`)
  for (let at = 0; at < body.length; at += HASHED_BYTES) {
    hash.update(body.subarray(at, at + HASHED_BYTES))
    yield
  }
  return hash.digest()
}

function rulesOf (config: IngestConfig): EventRules {
  return {
    deviceTypes: new Set(splitList(config.DEVICE_TYPES)), futureMaxMs: config.FUTURE_MAX_MS, keepMs: keepMsOf(config)
  }
}

function createCounts (metrics: Registry, inFlight: InFlight) {
  const registers = [metrics]
  new Gauge({ // eslint-disable-line no-new
    name: 'relay_api_ingest_in_flight_bytes',
    help: 'Bytes of events in memory that wait for the event log',
    registers,
    collect () { this.set(inFlight.bytes) }
  })
  const deadLetters = new Counter({
    name: 'relay_api_dead_letters_total',
    help: 'Refused events written as dead letters because the protocol can\'t report the refusal, by reason',
    labelNames: ['reason'],
    registers
  })
  for (const reason of Object.keys(deadLetterReasons)) deadLetters.inc({ reason }, 0)
  const refused = new Counter({
    name: 'relay_api_ingest_refused_total',
    help: 'Refused events, by reason',
    labelNames: ['reason'],
    registers
  })
  for (const reason of Object.keys(refusedReasons)) refused.inc({ reason }, 0)
  return {
    refused,
    deadLetters,
    accepted: new Counter({
      name: 'relay_api_ingest_accepted_total', help: 'Events written to the event log', registers
    })
  }
}

export function sha256 (text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
