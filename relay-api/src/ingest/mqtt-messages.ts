/**
 * What becomes of messages. They are acknowledged in the order in which they came, each when its event is durable, and
 * never otherwise: where the log is away the connection is closed, and the client sends again what was not acknowledged.
 *
 *     event ──accepted──▶ events topic ─────────────────────────────▶ acknowledged
 *       └──refused──▶ MQTT 5, QoS 1 and 2: acknowledged with the reason
 *               └───▶ else there are no words for it: dead letter ──▶ acknowledged
 */
import type { RelayError } from 'relay-common'

import type { Principal } from '../auth/principal.ts'
import type { RefusedReason } from './accept.ts'
import type { Lease } from './in-flight.ts'
import type { Ingest } from './ingest.ts'
import { acknowledge, type Reason, type Version } from './mqtt-packets.ts'

export interface Message {
  readonly topic: string
  readonly qos: number
  readonly messageId: number | undefined
  readonly payload: Buffer
  /** how long the payload was, where this is only its first part */
  readonly sizeBytes?: number
}

/** Who sends, and on which terms. */
export interface Sender {
  readonly principal: Principal
  readonly version: Version
  /** the one device that the topic is of; undefined: any */
  readonly deviceId: string | undefined
}

export interface MessageEvents {
  /** @returns false: it is longer than the client takes, and was not sent */
  readonly send: (bytes: Buffer) => boolean
  /** fewer messages wait */
  readonly settled: () => void
  /** the event log does not take events */
  readonly away: (detail: string) => void
  /** whether the client wants to hear reasons in words */
  readonly isTold: () => boolean
}

interface Outcome { readonly reason?: Reason, readonly detail?: string }

export class MqttMessages {
  readonly #ingest: Ingest
  readonly #events: MessageEvents
  readonly #fail: (error: unknown) => void
  /** the end of the chain of acknowledgements */
  #acknowledged: Promise<void> = Promise.resolve()
  #waiting = 0

  /** @param fail ends the connection */
  constructor (ingest: Ingest, events: MessageEvents, fail: (error: unknown) => void) {
    this.#ingest = ingest
    this.#events = events
    this.#fail = fail
  }

  /** how many are not acknowledged */
  get waiting (): number { return this.#waiting }

  /** @param lease of the bytes; given back when they are not needed any more */
  accept (message: Message, sender: Sender, lease: Lease): void {
    const handled = this.#handle(message, sender).finally(() => lease[Symbol.dispose]())
    this.#settle(message, sender.version, handled)
  }

  /** Acknowledges a message that is not looked at. */
  pass (message: Message, version: Version, reason?: Reason, detail?: string): void {
    if (message.qos > 0) this.#settle(message, version, Promise.resolve({ reason, detail }))
  }

  #settle ({ qos, messageId }: Message, version: Version, handled: Promise<Outcome>): void {
    this.#waiting++
    handled.catch(() => {}) // it is heard in its turn
    this.#acknowledged = this.#acknowledged.then(async () => {
      try {
        const { reason, detail } = await handled
        const told = version === 5 && this.#events.isTold() ? detail : undefined
        if (qos === 1 || qos === 2) this.#acknowledge(words => acknowledge(version, qos, messageId!, reason, words), told)
      } catch (error) {
        if ((error as RelayError).code !== 'RELAY_EVENT_LOG_UNREACHABLE') throw error
        this.#events.away('the event log is unreachable')
      } finally {
        this.#waiting--
      }
      this.#events.settled()
    }).catch(this.#fail)
  }

  /** The words are left out where the client takes no packet so long: it waits for the answer all the same. */
  #acknowledge (answer: (words: string | undefined) => Buffer, words: string | undefined): void {
    if (!this.#events.send(answer(words)) && words !== undefined) this.#events.send(answer(undefined))
  }

  async #handle (message: Message, { principal, version, deviceId }: Sender): Promise<Outcome> {
    const { payload, sizeBytes, qos, topic } = message
    const refused = await this.#ingest.acceptOne(payload, principal, { deviceId, sizeBytes })
    if (!refused) return {}
    if (version === 5 && qos > 0) {
      return { reason: mqttReasons[refused.reason] ?? 'payloadInvalid', detail: `${refused.reason}: ${refused.detail}` }
    }
    await this.#ingest.keepRefused(payload, refused, principal, { deviceId, sizeBytes, source: `mqtt:${topic}` })
    return {}
  }
}

/** What is no fault of the payload. */
const mqttReasons: Partial<Record<RefusedReason, Reason>> = {
  'not-granted': 'notAuthorized',
  'quota-exceeded': 'quotaExceeded'
}
