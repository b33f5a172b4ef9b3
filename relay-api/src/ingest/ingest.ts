/**
 * Ingest: events that clients send, into the event log.
 *
 *     body ──cut──▶ items ──decode, grants──▶ records ──outbox──▶ event log, durable ──▶ answer
 *                                 └──▶ refused, each with its reason
 */
import { createHash } from 'node:crypto'

import {
  Counter, Gauge, keepMsOf, RelayError, splitList, type Database, type EventRules, type Logger, type Registry
} from 'relay-common'

import type { Principal } from '../auth/principal.ts'
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
   * @param deviceId the device that it must be of; undefined: any
   * @returns why it is refused; undefined: it is durable
   * @throws RelayError RELAY_EVENT_LOG_UNREACHABLE
   */
  acceptOne (event: Uint8Array, principal: Principal, deviceId?: string): Promise<Refused | undefined>
  /**
   * Puts what is no event into the log as it came, where its sender can't be told: it becomes a dead letter.
   * @throws RelayError RELAY_EVENT_LOG_UNREACHABLE
   */
  passOn (bytes: Buffer): Promise<void>
  close (): Promise<void>
}

/** Ingest is on where config says which event log there is: a log that nobody reads would swallow what is sent. */
export function isIngestOn ({ EVENT_LOG, KAFKA_BOOTSTRAP_SERVERS }: IngestConfig): boolean {
  return EVENT_LOG !== undefined || KAFKA_BOOTSTRAP_SERVERS !== undefined
}

/** @throws RelayError RELAY_CONFIG_INVALID */
export function openIngest (config: IngestConfig, database: Database, metrics: Registry, log: Logger): Ingest {
  const inFlight = createInFlight(config.INGEST_IN_FLIGHT_MAX_BYTES)
  const outbox = openOutbox(config, database, log)
  const answers = openAnswers(database, config.INGEST_KEYS_KEPT_HOURS, log)
  const rules = rulesOf(config)
  const counts = createCounts(metrics, inFlight)
  const take = async (
    items: readonly Uint8Array[], { grants }: Principal, deviceId?: string
  ): Promise<IngestAnswer> => {
    const { records, refused } = sortItems(items, { rules, grants, deviceId }, Date.now())
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
      return await take(cut.items, principal)
    },
    acceptOne: async (event, principal, deviceId) => (await take([event], principal, deviceId)).refused[0],
    passOn: bytes => outbox.send([{ key: null, value: bytes }]),
    async close () {
      await answers.close()
      await outbox.close()
    }
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
  return {
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
