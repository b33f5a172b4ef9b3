/**
 * Handles messages. They are acknowledged in their order, each when its event is durable. If the log is unreachable the
 * connection is closed, and the client resends unacknowledged messages.
 *
 *     event ──accepted──▶ events topic ─────────────────────────────▶ acknowledged
 *       └──refused──▶ MQTT 5, QoS 1 and 2: acknowledged with the reason
 *               └───▶ else there are no words for it: dead letter ──▶ acknowledged
 */
import type { RelayError } from 'relay-common'

import type { Principal } from '../auth/principal.ts'
import type { RefusedReason } from './accept.ts'
import type { BytesLease } from './in-flight.ts'
import type { Ingest } from './ingest.ts'
import { acknowledge, type MqttReason, type MqttVersion } from './mqtt-packets.ts'
import type { Trace, Traces } from '../tracing.ts'

export interface MqttMessage {
  readonly topic: string
  readonly qos: number
  readonly messageId: number | undefined
  readonly payload: Buffer
  /** full length, if the payload is truncated */
  readonly sizeBytes?: number
  /** user property of MQTT 5 */
  readonly traceparent?: unknown
}

/** The sender of messages. */
export interface MqttSender {
  readonly principal: Principal
  readonly version: MqttVersion
  /** the device of the topic; undefined: any */
  readonly deviceId: string | undefined
}

export interface MessageEvents {
  /** @returns false: longer than the client accepts, not sent */
  readonly send: (bytes: Buffer) => boolean
  /** fewer messages wait */
  readonly acknowledged: () => void
  /** the event log is unreachable */
  readonly away: (detail: string) => void
  /** whether the client wants reasons as text */
  readonly isTold: () => boolean
}

interface Outcome { readonly reason?: MqttReason, readonly detail?: string }

export class MqttMessages {
  readonly #ingest: Ingest
  readonly #traces: Traces | undefined
  readonly #events: MessageEvents
  readonly #fail: (error: unknown) => void
  /** the end of the chain of acknowledgements */
  #acknowledged: Promise<void> = Promise.resolve()
  #waiting = 0

  /**
   * @param traces undefined: tracing is off
   * @param fail ends the connection
   */
  constructor (
    ingest: Ingest, traces: Traces | undefined, events: MessageEvents, fail: (error: unknown) => void
  ) {
    this.#ingest = ingest
    this.#traces = traces
    this.#events = events
    this.#fail = fail
  }

  /** number of unacknowledged messages */
  get waiting (): number { return this.#waiting }

  /** @param lease of the bytes; released when they are no longer needed */
  accept (message: MqttMessage, sender: MqttSender, lease: BytesLease): void {
    const handled = this.#handle(message, sender).finally(() => lease[Symbol.dispose]())
    this.#acknowledgeWhenHandled(message, sender.version, handled)
  }

  /** Acknowledges a message without handling it. */
  pass (message: MqttMessage, version: MqttVersion, reason?: MqttReason, detail?: string): void {
    if (message.qos > 0) this.#acknowledgeWhenHandled(message, version, Promise.resolve({ reason, detail }))
  }

  #acknowledgeWhenHandled ({ qos, messageId }: MqttMessage, version: MqttVersion, handled: Promise<Outcome>): void {
    this.#waiting++
    handled.catch(() => {}) // handled in its turn
    this.#acknowledged = this.#acknowledged.then(async () => {
      try {
        const { reason, detail } = await handled
        const shownDetail = version === 5 && this.#events.isTold() ? detail : undefined
        if (qos === 1 || qos === 2) {
          this.#acknowledge(words => acknowledge(version, qos, messageId!, reason, words), shownDetail)
        }
      } catch (error) {
        if ((error as RelayError).code !== 'RELAY_EVENT_LOG_UNREACHABLE') throw error
        this.#events.away('the event log is unreachable')
      } finally {
        this.#waiting--
      }
      this.#events.acknowledged()
    }).catch(this.#fail)
  }

  /** The text is omitted if the client accepts no packet of that length, because it waits for the answer. */
  #acknowledge (answer: (words: string | undefined) => Buffer, words: string | undefined): void {
    if (!this.#events.send(answer(words)) && words !== undefined) this.#events.send(answer(undefined))
  }

  async #handle (message: MqttMessage, sender: MqttSender): Promise<Outcome> {
    if (!this.#traces) return await this.#take(message, sender, undefined)
    const { principal: { id } } = sender
    const trace = this.#traces.open('MQTT publish', id, message.traceparent, Date.now())
    const attributes = () => ({
      'messaging.destination.name': message.topic, 'relay.qos': message.qos, 'relay.principal': id
    })
    try {
      const outcome = await this.#take(message, sender, trace)
      trace.end(attributes)
      return outcome
    } catch (error) {
      trace.end(attributes, error)
      throw error
    }
  }

  async #take (
    message: MqttMessage, { principal, version, deviceId }: MqttSender, trace: Trace | undefined
  ): Promise<Outcome> {
    const { payload, sizeBytes, qos, topic } = message
    const refused = await this.#ingest.acceptOne(payload, principal, { deviceId, sizeBytes, trace })
    if (!refused) return {}
    if (version === 5 && qos > 0) {
      return { reason: mqttReasons[refused.reason] ?? 'payloadInvalid', detail: `${refused.reason}: ${refused.detail}` }
    }
    await this.#ingest.keepRefused(payload, refused, principal, {
      deviceId, sizeBytes, trace, source: `mqtt:${topic}`
    })
    return {}
  }
}

/** Reasons that are not about the payload. */
const mqttReasons: Partial<Record<RefusedReason, MqttReason>> = {
  'not-granted': 'notAuthorized',
  'quota-exceeded': 'quotaExceeded'
}
