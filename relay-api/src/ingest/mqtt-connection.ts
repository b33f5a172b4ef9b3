/**
 * A connection by MQTT 3.1.1 or 5, on which a client publishes events:
 *
 *     (TCP, TLS) ──CONNECT, password = token──▶ open ──PUBLISH──▶ event log ──durable──▶ PUBACK
 *       │ unknown: CONNACK says so                 │ DISCONNECT, silence, a fault, the log is away,
 *       ▼                                          ▼ the token is not accepted any more
 *     closed ◀───────────────────────────────── closed
 *
 * Acknowledgements go out in the order of the messages. A message is acknowledged when its event is durable, and never
 * otherwise: where the log is away the connection is closed, and the client sends again what was not acknowledged.
 * An event that can't be taken is refused with its reason where MQTT 5 has a word for that; else it goes into the log
 * as it came, and becomes a dead letter. While RECEIVE_MAX messages wait nothing more is read.
 */
import type { Socket } from 'node:net'

import { parser as createParser, type IConnectPacket, type IPublishPacket, type Packet } from 'mqtt-packet'
import { EVENT_BYTES_MAX, type RelayError } from 'relay-common'

import type { LogIn } from '../auth/authenticate.ts'
import type { Principal } from '../auth/principal.ts'
import type { Ingest } from './ingest.ts'
import {
  acknowledge, acknowledgeUnsubscribe, answerPing, partWith, refuseConnect, refuseSubscriptions, welcome, type Limits,
  type Reason, type Version
} from './mqtt-packets.ts'
import { deviceOf, isEventTopic } from './mqtt-topic.ts'

export interface MqttParts {
  readonly ingest: Ingest
  readonly logIn: LogIn
  /** name of the topic that all devices may publish to */
  readonly topic: string
  /** called when the client is known; another connection of the same client has to go */
  readonly opened: (connection: MqttConnection) => void
}

const CONNECT_TIMEOUT_MS = 10_000
/** a client is silent for longer than this times its keep-alive only if it is gone */
const KEEP_ALIVE_GRACE = 1.5
const TOPIC_BYTES_MAX = 1_024
const limits: Limits = { receiveMax: 200, packetMaxBytes: EVENT_BYTES_MAX + TOPIC_BYTES_MAX }

export class MqttConnection {
  readonly #socket: Socket
  readonly #parts: MqttParts
  readonly #settings: { protocolVersion?: number } = {}
  /** the end of the chain of acknowledgements */
  #acknowledged: Promise<void> = Promise.resolve()
  #waiting = 0
  #state: 'connecting' | 'identifying' | 'open' | 'closed' = 'connecting'
  #version: Version = 4
  #principal: Principal | undefined
  #reauthenticate: (() => Promise<void>) | undefined
  #clientId = ''
  /** what came with CONNECT; nothing more is read until that is answered */
  #early: Packet[] = []

  constructor (socket: Socket, parts: MqttParts) {
    this.#socket = socket
    this.#parts = parts
    socket.setNoDelay(true)
    socket.setTimeout(CONNECT_TIMEOUT_MS, () => this.close('keepAliveTimeout'))
    socket.on('error', () => {}) // followed by close
    socket.on('close', () => { this.#state = 'closed' })

    const parser = createParser(this.#settings)
    parser.on('packet', packet => this.#take(packet))
    parser.on('error', () => this.close('malformed'))
    socket.on('data', bytes => {
      if (this.#state === 'closed') return
      const restBytes = parser.parse(bytes)
      if (restBytes > limits.packetMaxBytes) this.close('packetTooLarge')
    })
  }

  /** equal for connections of one client */
  get client (): string { return `${this.#principal?.id} ${this.#clientId}` }

  get isOpen (): boolean { return this.#state === 'open' }

  /** @param reason told to clients that MQTT has a word for it */
  close (reason?: Reason, detail?: string): void {
    if (this.#state === 'closed') return
    const isOpen = this.#state === 'open'
    this.#state = 'closed'
    if (isOpen && reason !== undefined) this.#socket.write(partWith(this.#version, reason, detail))
    this.#socket.destroySoon()
  }

  /** Closes it where its token was revoked or has expired; not where nobody can tell just now. */
  async askPermission (): Promise<void> {
    try {
      await this.#reauthenticate?.()
    } catch (error) {
      if ((error as RelayError).code !== 'RELAY_UNAUTHORIZED') return
      this.close('notAuthorized', 'the token is not accepted any more')
    }
  }

  #take (packet: Packet): void {
    if (this.#state === 'closed') return
    if (packet.cmd === 'connect') {
      if (this.#state === 'connecting') this.#connect(packet).catch(() => this.close('unspecified'))
      else this.close('protocolError')
      return
    }
    if (this.#state === 'connecting') return this.close('protocolError')
    if (this.#state === 'identifying') { // a client need not wait for the answer to its CONNECT
      this.#early.push(packet)
      return
    }
    switch (packet.cmd) {
      case 'publish':
        this.#publish(packet)
        return
      case 'pingreq':
        this.#socket.write(answerPing())
        return
      case 'subscribe':
        this.#socket.write(refuseSubscriptions(this.#version, packet.messageId!, packet.subscriptions.length))
        return
      case 'unsubscribe':
        this.#socket.write(acknowledgeUnsubscribe(this.#version, packet.messageId!, packet.unsubscriptions.length))
        return
      case 'disconnect':
        this.close()
        return
      default:
        this.close('protocolError')
    }
  }

  async #connect ({ protocolVersion, clientId, password, keepalive = 0 }: IConnectPacket): Promise<void> {
    this.#state = 'identifying'
    if (protocolVersion !== 4 && protocolVersion !== 5) return this.#refuse(protocolVersion)
    this.#settings.protocolVersion = this.#version = protocolVersion
    this.#socket.pause()
    const token = password?.toString() ?? ''
    const loggedIn = await this.#parts.logIn(token, this.#socket.remoteAddress ?? '').catch(() => undefined)
    if (this.#hasClosed()) return
    if (!loggedIn?.principal.scopes.has('events:write')) return this.#refuse(protocolVersion)
    this.#principal = loggedIn.principal
    this.#reauthenticate = loggedIn.reauthenticate
    this.#clientId = clientId || crypto.randomUUID()
    this.#state = 'open'
    this.#parts.opened(this)
    this.#socket.write(welcome(protocolVersion, limits, clientId ? undefined : this.#clientId))
    this.#socket.setTimeout(keepalive * 1000 * KEEP_ALIVE_GRACE) // 0: it may be silent for as long as it likes
    for (const packet of this.#early.splice(0)) this.#take(packet)
    if (this.#waiting < limits.receiveMax) this.#socket.resume()
  }

  #refuse (version: IConnectPacket['protocolVersion']): void {
    this.#state = 'closed'
    this.#socket.end(refuseConnect(version))
  }

  #publish (packet: IPublishPacket): void {
    const { qos, retain, topic, messageId } = packet
    if (qos === 2) return this.close('qosNotSupported')
    if (retain && this.#version === 5) return this.close('retainNotSupported')
    if (!isEventTopic(topic, this.#parts.topic)) {
      if (this.#version !== 5) return this.close()
      if (qos === 0) return
    }
    if (++this.#waiting >= limits.receiveMax) this.#socket.pause()
    const handled = this.#handle(packet)
    // in the order of the messages, whatever is durable first
    this.#acknowledged = this.#acknowledged.then(async () => {
      try {
        const { reason, detail } = await handled
        if (qos === 1 && this.isOpen) this.#socket.write(acknowledge(this.#version, messageId!, reason, detail))
      } catch (error) {
        const isBusy = (error as RelayError).code === 'RELAY_INGEST_BUSY'
        if (isBusy) this.close('quotaExceeded')
        else this.close('unspecified', 'the event log does not take events now')
      }
      if (--this.#waiting < limits.receiveMax && this.isOpen) this.#socket.resume()
    })
    handled.catch(() => {}) // it is heard in its turn
  }

  /** @returns what to acknowledge: an event that is durable, or that is refused for good */
  async #handle ({ topic, payload, qos }: IPublishPacket): Promise<{ reason?: Reason, detail?: string }> {
    const { ingest } = this.#parts
    if (!isEventTopic(topic, this.#parts.topic)) return { reason: 'topicNameInvalid' }
    const bytes = Buffer.from(payload)
    using lease = ingest.inFlight.open()
    lease.take(bytes.length)
    const refused = await ingest.acceptOne(bytes, this.#principal!, deviceOf(topic))
    if (!refused) return {}
    const isForbidden = refused.reason === 'not-granted'
    if (this.#version === 5 && qos === 1) {
      const reason = isForbidden ? 'notAuthorized' : 'payloadInvalid'
      return { reason, detail: `${refused.reason}: ${refused.detail}` }
    }
    if (isForbidden) this.close('notAuthorized')
    else await ingest.passOn(bytes)
    return {}
  }

  /** It may close while we wait. */
  #hasClosed (): boolean { return this.#state === 'closed' }
}
