/**
 * Ingest: events that clients send, into the event log.
 *
 *     body ──cut──▶ items ──grants, decode──▶ records ──outbox──▶ events topic, durable ──▶ answer
 *                                 └──▶ refused, each with its reason
 *                                        └── whose sender can't be told: outbox ──▶ dead letters
 */
import { createHash } from 'node:crypto'

import {
  Counter, deadLetterReasons, EVENT_BYTES_MAX, Gauge, isId, keepMsOf, readClaims, RelayError, splitList, toDeadLetterRecord, type Database, type EventGrants,
  type EventRules, type Logger, type Registry
} from 'relay-common'

import type { Principal } from '../auth/principal.ts'
import type { Budgets } from '../budgets/budgets.ts'
import { sortItems, type Refused } from './accept.ts'
import { openAnswers, type Answers } from './answers.ts'
import type { IngestConfig } from './config.ts'
import { createInFlight, type InFlight } from './in-flight.ts'
import { cutItems, type Framing } from './items.ts'
import { openOutbox, type Outbox } from './outbox.ts'

export interface IngestAnswer {
  /** events that are durable in the log now */
  readonly accepted: number
  readonly refused: readonly Refused[]
}

export interface Ingest {
  readonly inFlight: InFlight
  readonly outbox: Outbox
  readonly answers: Answers
  readonly rules: EventRules
  readonly bodyMaxBytes: number
  /**
   * Takes the events of a body.
   * @throws RelayError RELAY_REQUEST_INVALID, RELAY_BODY_TOO_LARGE for too many events, RELAY_EVENT_LOG_UNREACHABLE
   */
  accept (body: Uint8Array, framing: Framing, principal: Principal): Promise<IngestAnswer>
  /**
   * Takes one event.
   * @returns why it is refused; undefined: it is durable
   * @throws RelayError RELAY_EVENT_LOG_UNREACHABLE
   */
  acceptOne (event: Uint8Array, principal: Principal, from: EventOrigin): Promise<Refused | undefined>
  /**
   * Keeps what was refused as a dead letter, where its sender can't be told. It never was in the events topic. A caller
   * that has used up its budget of letters has none kept; that is counted.
   * @param source by which way and topic it came
   * @throws RelayError RELAY_EVENT_LOG_UNREACHABLE
   */
  keepRefused (bytes: Buffer, refused: Refused, principal: Principal, from: EventOrigin & { readonly source: string }): Promise<void>
  close (): Promise<void>
}

/** How one event came. */
export interface EventOrigin {
  /** the device that it must be of; undefined: any */
  readonly deviceId: string | undefined
  /** how long it was, where there is only its first part */
  readonly sizeBytes?: number | undefined
}

/** Ingest is on where config says which event log there is: a log that nobody reads would swallow what is sent. */
export function isIngestOn ({ EVENT_LOG, KAFKA_BOOTSTRAP_SERVERS }: IngestConfig): boolean {
  return EVENT_LOG !== undefined || KAFKA_BOOTSTRAP_SERVERS !== undefined
}

/** @throws RelayError RELAY_CONFIG_INVALID */
export function openIngest (
  config: IngestConfig, database: Database, budgets: Budgets, metrics: Registry, log: Logger
): Ingest {
  const inFlight = createInFlight(config.INGEST_IN_FLIGHT_MAX_BYTES)
  const outbox = openOutbox(config, database, log)
  const answers = openAnswers(database, config.INGEST_KEYS_KEPT_HOURS, log)
  const rules = rulesOf(config)
  const counts = createCounts(metrics, inFlight)
  const take = async (
    items: readonly Uint8Array[], grants: EventGrants
  ): Promise<IngestAnswer> => {
    const { records, refused } = sortItems(items, { rules, grants }, Date.now())
    await outbox.send(records)
    counts.accepted.inc(records.length)
    for (const { reason } of refused) counts.refused.inc({ reason })
    return { accepted: records.length, refused }
  }
  return {
    inFlight,
    outbox,
    answers,
    rules,
    bodyMaxBytes: config.INGEST_BODY_MAX_BYTES,
    async accept (body, framing, principal) {
      const cut = cutItems(body, framing, config.INGEST_EVENTS_MAX)
      if (cut.kind === 'broken') throw new RelayError('RELAY_REQUEST_INVALID', `the body can't be read: ${cut.detail}`)
      if (cut.kind === 'too-many') {
        throw new RelayError('RELAY_BODY_TOO_LARGE',
          `there are more than ${config.INGEST_EVENTS_MAX} events in the body; send them in several`)
      }
      return await take(cut.items, principal.grants)
    },
    async acceptOne (event, principal, from) {
      if (from.sizeBytes !== undefined) {
        counts.refused.inc({ reason: 'oversized' })
        return { index: 0, reason: 'oversized', detail: `${from.sizeBytes} bytes, over ${EVENT_BYTES_MAX}` }
      }
      return (await take([event], grantsOf(principal, from))).refused[0]
    },
    async keepRefused (bytes, { reason, field, detail }, principal, from) {
      if (!mayKeepLetter(budgets, principal.id)) return
      const source = { topic: from.source, principal: principal.id, grants: grantsOf(principal, from) }
      const letter = { key: keyOf(bytes), value: bytes, valueBytes: from.sizeBytes, reason, field, detail, source }
      await outbox.send([toDeadLetterRecord(letter, Date.now())], config.DEAD_LETTERS_TOPIC)
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

/** A letter that is replayed goes where the events of its device are, as far as that can be read. */
function keyOf (bytes: Buffer): Buffer | null {
  const [deviceId, ...others] = readClaims(bytes)?.deviceIds ?? []
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

function rulesOf (config: IngestConfig): EventRules {
  return { deviceTypes: new Set(splitList(config.DEVICE_TYPES)), futureMaxMs: config.FUTURE_MAX_MS, keepMs: keepMsOf(config) }
}

function createCounts (metrics: Registry, inFlight: InFlight) {
  const registers = [metrics]
  new Gauge({ // eslint-disable-line no-new
    name: 'relay_api_ingest_in_flight_bytes',
    help: 'Bytes of events that are in memory until the event log has them',
    registers,
    collect () { this.set(inFlight.bytes) }
  })
  const deadLetters = new Counter({
    name: 'relay_api_dead_letters_total',
    help: 'Events that were refused and became dead letters, as their sender could not be told, by reason',
    labelNames: ['reason'],
    registers
  })
  for (const reason of Object.keys(deadLetterReasons)) deadLetters.inc({ reason }, 0)
  return {
    deadLetters,
    accepted: new Counter({
      name: 'relay_api_ingest_accepted_total', help: 'Events that were put into the event log', registers
    }),
    refused: new Counter({
      name: 'relay_api_ingest_refused_total',
      help: 'Events that were refused, by reason',
      labelNames: ['reason'],
      registers
    })
  }
}

export function sha256 (...parts: ReadonlyArray<string | Uint8Array>): Buffer {
  const hash = createHash('sha256')
  for (const it of parts) hash.update(it)
  return hash.digest()
}
