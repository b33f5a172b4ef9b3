/**
 * A connection over MQTT 3.1.1 or 5, on which a client publishes events:
 *
 *     (TCP, TLS) ──CONNECT, password = token──▶ open ──PUBLISH──▶ event log ──durable──▶ PUBACK, PUBREC
 *       │ unknown: CONNACK says so                 │ DISCONNECT, silence, a violation, the log is away,
 *       ▼                                          ▼ the token is not accepted any more
 *     closed ◀───────────────────────────────── closed
 *
 * Packets are handled one by one. A packet that can't be handled now keeps its place, and nothing more is read:
 *
 *     login under way | RECEIVE_MAX messages wait | the client does not read | no room in flight | a budget is used up
 *
 * A client may leave a will with its CONNECT: a message that is handled as its last one. It is dropped if the client
 * says goodbye, loses its permission, or if we close the connection.
 */
import type { Socket } from 'node:net'

import type { IConnectPacket, IPublishPacket, Packet } from 'mqtt-packet'
import { EVENT_BYTES_MAX, type RelayError } from 'relay-common'

import type { LogIn } from '../auth/authenticate.ts'
import type { Principal } from '../auth/principal.ts'
import type { Budgets } from '../budgets/budgets.ts'
import type { BytesLease } from './in-flight.ts'
import type { Traces } from '../tracing.ts'
import type { Ingest } from './ingest.ts'
import { endedReasonOf, type EndedReason, type MqttCounts, type RefusedConnect } from './mqtt-counts.ts'
import { askedVersion, createDecoder, decodeCutOff } from './mqtt-decode.ts'
import { Frames, type Frame } from './mqtt-frames.ts'
import { MqttMessages, type MqttMessage } from './mqtt-messages.ts'
import {
  acknowledgeUnsubscribe, answerPing, complete, partWith, refuseConnect, refuseSubscriptions, welcome, type MqttLimits,
  type MqttReason, type MqttVersion
} from './mqtt-packets.ts'
import { MqttSocket } from './mqtt-socket.ts'
import { topicOf } from './mqtt-topic.ts'

export interface MqttParts {
  readonly ingest: Ingest
  readonly logIn: LogIn
  readonly budgets: Budgets
  /** undefined: tracing is off */
  readonly traces: Traces | undefined
  readonly counts: MqttCounts
  /** topic that all devices may publish to */
  readonly topic: string
  /** time for a started packet to be complete, and for answers to be read */
  readonly packetTimeoutMs: number
  /**
   * Called when the client is known: another connection of the same client must end.
   * @returns why there is no place for it; undefined: it is open
   */
  readonly opened: (connection: MqttConnection) => 'full' | 'caller-budget' | undefined
  readonly closed: (connection: MqttConnection) => void
  /** Logs why a connection ended, or which message was ignored. */
  readonly note: (connection: MqttConnection, what: string, details: Record<string, unknown>) => void
}

/** a client that is silent for this multiple of its keep-alive is gone */
const KEEP_ALIVE_GRACE = 1.5
/** first byte of the first packet of a client */
const CONNECT_TYPE = 0x10
const CONNECT_MAX_BYTES = 16 * 1024
/** of a message, without its event: topic, properties, header */
const HEAD_MAX_BYTES = 4 * 1024
const limits: MqttLimits = { receiveMax: 200, packetMaxBytes: EVENT_BYTES_MAX + HEAD_MAX_BYTES, topicAliasMax: 16 }
/** clients of 3.1.1 can't know our limit: they resend an oversized message forever unless it is acknowledged */
const PASSED_MAX_BYTES = 16 * 1024 * 1024
/** this part of an incomplete packet needs no room in flight */
const FREE_PARTIAL_BYTES = 4 * 1024
/** packets of one client per turn */
const PACKETS_PER_TURN = 200
/** delay before a packet without room in flight is retried */
const ROOM_RETRY_MS = 100
/** delay before a client above a budget is read again */
const BUDGET_RETRY_MS = 1_000
const TOPIC_SHOWN_CHARACTERS = 100
/** MQTT 5 reasons for DISCONNECT that drop the will */
const NORMAL_DISCONNECT = 0

interface Will {
  readonly topic: string
  readonly payload: Buffer
  /** whether its will may be delayed until another connection takes over */
  readonly isDelayed: boolean
}

export class MqttConnection {
  readonly #socket: MqttSocket
  readonly #parts: MqttParts
  readonly #frames = new Frames({ keptMaxBytes: CONNECT_MAX_BYTES, passedMaxBytes: 0 })
  readonly #decoder = createDecoder()
  readonly #messages: MqttMessages
  readonly #topicOfAlias = new Map<number, string>()
  #state: 'connecting' | 'identifying' | 'open' | 'closed' = 'connecting'
  #version: MqttVersion = 4
  #principal: Principal | undefined
  #reauthenticate: (() => Promise<void>) | undefined
  #clientId = ''
  #keepAliveMs = 0
  /** longest packet that the client accepts */
  #clientPacketMaxBytes = Infinity
  #isToldReasons = true
  /** the packet that can't be handled yet: above a budget, or without room in flight */
  #heldFrame: Frame | undefined
  #heldMessage: { readonly message: MqttMessage, readonly isPaid: boolean } | undefined
  #retry: NodeJS.Timeout | undefined
  /** room for an incomplete packet */
  #partialLease: BytesLease | undefined
  #heardMs = performance.now()
  /** start of the incomplete packet */
  #partialSinceMs: number | undefined
  #isPaused = false
  #isOtherTopicNoted = false
  #will: Will | undefined

  constructor (socket: Socket, parts: MqttParts) {
    this.#parts = parts
    this.#socket = new MqttSocket(socket, parts.packetTimeoutMs, {
      data: chunk => {
        this.#frames.push(chunk)
        this.#pump()
      },
      drained: () => this.#pump(),
      closed: () => this.#closed(),
      failed: error => {
        parts.counts.ended('fault')
        parts.note(this, 'an MQTT connection failed', { err: error })
      }
    })
    this.#messages = new MqttMessages(parts.ingest, parts.traces, {
      send: bytes => this.#sendIfTaken(bytes),
      acknowledged: () => this.#pump(),
      away: detail => this.close('unspecified', detail),
      isTold: () => this.#isToldReasons
    }, this.#socket.guarded(error => { throw error }))
  }

  get address (): string { return this.#socket.address }

  get principalId (): string | undefined { return this.#principal?.id }

  /** equal for connections of one client */
  get client (): string { return `${this.#principal?.id} ${this.#clientId}` }

  get isOpen (): boolean { return this.#state === 'open' }

  /** @param reason sent to clients if MQTT has a code for it; undefined: the client said goodbye */
  close (reason?: MqttReason, detail?: string, counted: EndedReason = endedReasonOf(reason)): void {
    if (this.#state === 'closed') return
    const isOpen = this.#state === 'open'
    this.#state = 'closed'
    if (reason === 'shuttingDown' || reason === 'notAuthorized' || (reason === 'takenOver' && this.#will?.isDelayed)) {
      this.#will = undefined
    }
    if (reason !== undefined) this.#parts.counts.ended(counted)
    this.#socket.end(isOpen && reason !== undefined ? this.#goodbye(reason, detail) : undefined)
    if (isOpen && reason !== undefined && reason !== 'shuttingDown' && reason !== 'takenOver') {
      this.#parts.note(this, 'an MQTT connection was closed', { reason: counted, detail })
    }
  }

  /** Closes it if its token was revoked or has expired; not if that is unknown. */
  async askPermission (): Promise<void> {
    try {
      await this.#reauthenticate?.()
    } catch (error) {
      if ((error as RelayError).code !== 'RELAY_UNAUTHORIZED') return
      this.close('notAuthorized', 'the token is no longer accepted')
    }
  }

  /** Ends what has taken too long. Call it periodically. */
  check (nowMs: number): void {
    this.#socket.check(nowMs)
    if (this.#state !== 'open' || this.#isBlocked()) return
    if (this.#partialSinceMs !== undefined && nowMs - this.#partialSinceMs > this.#parts.packetTimeoutMs) {
      this.close('unspecified', 'a packet that does not end', 'packetTimeout')
    } else if (this.#keepAliveMs > 0 && nowMs - this.#heardMs > this.#keepAliveMs * KEEP_ALIVE_GRACE) {
      this.close('keepAliveTimeout')
    }
  }

  #closed (): void {
    this.#state = 'closed'
    clearTimeout(this.#retry)
    this.#partialLease?.[Symbol.dispose]()
    this.#parts.closed(this)
    const will = this.#will
    this.#will = undefined
    if (will) this.#execute(will)
  }

  /** Handles a will: nobody can be told to wait, so one without room is logged and dropped. */
  #execute ({ topic: name, payload }: Will): void {
    const topic = topicOf(name, this.#parts.topic)
    if (topic.kind !== 'events') return this.#noteIgnored(name, topic.kind)
    const isPaid = this.#spend('mqttMessages', 1) && this.#spend('mqttBytes', payload.length)
    const lease = isPaid ? this.#takeRoom(payload.length) : undefined
    if (!lease) {
      return this.#parts.note(
        this, 'an MQTT will was dropped: too many events are waiting', { topic: name.slice(0, TOPIC_SHOWN_CHARACTERS) }
      )
    }
    const message = { topic: name, qos: 0, messageId: undefined, payload }
    this.#messages.accept(
      message, { principal: this.#principal!, version: this.#version, deviceId: topic.deviceId }, lease
    )
  }

  #isBlocked (): boolean {
    return this.#state === 'identifying' || this.#retry !== undefined || this.#socket.isChoked ||
      this.#messages.waiting >= limits.receiveMax
  }

  /** Handles packets as long as possible; then continues to read, or waits. */
  #pump (): void {
    for (let taken = 0; this.#state !== 'closed'; taken++) {
      if (this.#isBlocked()) return this.#pause()
      if (taken === PACKETS_PER_TURN) return this.#tryAgain(0)
      if (this.#heldMessage) {
        const held = this.#heldMessage
        this.#heldMessage = undefined
        this.#publish(held.message, held.isPaid)
        continue
      }
      const frame = this.#heldFrame ?? this.#frames.next()
      this.#heldFrame = undefined
      if (!frame) break
      this.#heardMs = performance.now()
      this.#partialLease?.[Symbol.dispose]()
      this.#partialLease = this.#partialSinceMs = undefined
      this.#takeFrame(frame)
    }
    if (this.#hasClosed()) return
    if (this.#state === 'connecting' && (this.#frames.partialType ?? CONNECT_TYPE) !== CONNECT_TYPE) {
      return this.#refuse('malformed', 4, 'malformed') // it is not MQTT, whatever follows
    }
    if (!this.#hasRoomForPartial()) return
    this.#resume()
  }

  #pause (): void {
    this.#isPaused = true
    this.#socket.pause()
  }

  #resume (): void {
    const nowMs = performance.now()
    if (this.#isPaused) { // we did not read meanwhile
      this.#isPaused = false
      this.#heardMs = nowMs
      this.#partialSinceMs = undefined
    }
    this.#partialSinceMs = this.#frames.isPartial ? this.#partialSinceMs ?? nowMs : undefined
    this.#socket.resume()
  }

  /** Pauses, and continues after a time. */
  #tryAgain (afterMs: number): void {
    this.#pause()
    this.#retry ??= setTimeout(this.#socket.guarded(() => {
      this.#retry = undefined
      this.#pump()
    }), afterMs)
  }

  #hasRoomForPartial (): boolean {
    const bytes = this.#frames.partialBytes
    if (this.#partialLease || bytes <= FREE_PARTIAL_BYTES || this.#state !== 'open') return true
    this.#partialLease = this.#takeRoom(bytes)
    if (!this.#partialLease) this.#tryAgain(ROOM_RETRY_MS)
    return this.#partialLease !== undefined
  }

  /** @returns undefined: none now */
  #takeRoom (bytes: number): BytesLease | undefined {
    const lease = this.#parts.ingest.inFlight.open(this.#principal!.id)
    try {
      lease.take(bytes)
      return lease
    } catch (error) {
      lease[Symbol.dispose]()
      if (!['RELAY_INGEST_BUSY', 'RELAY_BUDGET_EXCEEDED'].includes((error as RelayError).code)) throw error
      return undefined
    }
  }

  #takeFrame (frame: Frame): void {
    if (this.#state === 'connecting') return this.#takeFirst(frame)
    if (frame.kind === 'malformed') return this.close('malformed', 'a length of more than four bytes')
    if (frame.kind === 'too-large') return this.close('packetTooLarge')
    if (!this.#mayTake()) return this.#takeLater(frame)
    if (frame.kind === 'cut-off') {
      const message = decodeCutOff(frame.bytes)
      if (!message) return this.close('packetTooLarge')
      return this.#publish({ ...message, sizeBytes: frame.sizeBytes - frame.bytes.length + message.payload.length })
    }
    const decoded = this.#decoder.decode(frame.bytes)
    if (decoded.kind === 'violation') return this.close(decoded.reason, decoded.detail)
    this.#take(decoded.packet)
  }

  /** Every packet counts: answers to pings and subscriptions are work too. */
  #mayTake (): boolean {
    return this.#spend('mqttMessages', 1)
  }

  /** @returns false: the caller has used it up */
  #spend (budget: 'mqttMessages' | 'mqttBytes', amount: number): boolean {
    try {
      this.#parts.budgets.spend(budget, this.#principal!.id, amount)
      return true
    } catch (error) {
      if ((error as RelayError).code !== 'RELAY_BUDGET_EXCEEDED') throw error
      return false
    }
  }

  /**
   * The budget of the caller is used up. MQTT 5 can report that for a message. Everything else waits, and the
   * connection is not read until then: nothing is lost, and it costs one packet per BUDGET_RETRY_MS.
   */
  #takeLater (frame: Frame): void {
    const decoded = this.#version === 5 && frame.kind === 'whole' ? this.#decoder.decode(frame.bytes) : undefined
    if (decoded?.kind === 'packet' && decoded.packet.cmd === 'publish' && decoded.packet.qos > 0) {
      this.#messages.pass(
        messageOf(decoded.packet), 5, 'quotaExceeded', 'send limit of this caller exceeded; try again later'
      )
    } else {
      this.#heldFrame = frame
    }
    this.#tryAgain(BUDGET_RETRY_MS)
  }

  #takeFirst (frame: Frame): void {
    const version = frame.kind === 'whole' ? askedVersion(frame.bytes) : undefined
    if (frame.kind !== 'whole' || version === undefined) return this.#refuse('malformed', 4, 'malformed')
    if (version !== 4 && version !== 5) return this.#refuse('version', version > 5 ? 5 : 4, 'versionUnsupported')
    const decoded = this.#decoder.decode(frame.bytes)
    if (decoded.kind === 'violation') return this.#refuse('malformed', version, decoded.reason, decoded.detail)
    if (decoded.packet.cmd !== 'connect') return this.#refuse('malformed', version, 'protocolError')
    this.#version = version
    this.#state = 'identifying'
    this.#socket.guarded(() => this.#connect(decoded.packet as IConnectPacket))()
  }

  async #connect ({ clientId, password, keepalive = 0, clean, will, properties }: IConnectPacket): Promise<void> {
    const version = this.#version
    if (version === 4 && clientId === '' && !clean) return this.#refuse('client-id', 4, 'clientIdInvalid')
    const token = password?.toString() ?? ''
    const loggedIn = await this.#parts.logIn(token, this.#socket.address).catch(() => 'unavailable' as const)
    if (this.#hasClosed()) return
    if (loggedIn === 'unavailable') return this.#refuse('unavailable', version, 'unavailable')
    if (!loggedIn?.principal.scopes.has('events:write')) return this.#refuse('not-authorized', version, 'notAuthorized')
    this.#principal = loggedIn.principal
    this.#reauthenticate = loggedIn.reauthenticate
    this.#clientId = clientId || crypto.randomUUID()
    const noPlace = this.#parts.opened(this)
    if (noPlace) return this.#refuse(noPlace, version, noPlace === 'full' ? 'busy' : 'quotaExceeded')

    this.#state = 'open'
    this.#will = will && {
      topic: will.topic,
      payload: Buffer.from(will.payload),
      isDelayed: !clean && (will.properties?.willDelayInterval ?? 0) > 0
    }
    this.#keepAliveMs = keepalive * 1000 // 0: it may be silent forever
    this.#clientPacketMaxBytes = properties?.maximumPacketSize ?? Infinity
    this.#isToldReasons = properties?.requestProblemInformation !== false
    this.#frames.setLimits({
      keptMaxBytes: limits.packetMaxBytes, passedMaxBytes: version === 4 ? PASSED_MAX_BYTES : 0
    })
    this.#send(welcome(version, limits, clientId ? undefined : this.#clientId))
    this.#heardMs = performance.now()
    this.#pump()
  }

  #refuse (counted: RefusedConnect, version: MqttVersion, reason: MqttReason, detail?: string): void {
    this.#state = 'closed'
    this.#parts.counts.refusedConnect(counted)
    this.#socket.end(refuseConnect(version, reason, detail))
  }

  #take (packet: Packet): void {
    switch (packet.cmd) {
      case 'publish': {
        const topic = this.#resolveAlias(packet)
        if (topic === undefined) return this.close('topicAliasInvalid')
        return this.#publish({ ...messageOf(packet), topic })
      }
      case 'pubrel': // its event has been in the log since the PUBREC
        return this.#send(complete(this.#version, packet.messageId!))
      case 'pingreq':
        return this.#send(answerPing())
      case 'subscribe':
        return this.#send(refuseSubscriptions(this.#version, packet.messageId!, packet.subscriptions.length))
      case 'unsubscribe':
        return this.#send(acknowledgeUnsubscribe(this.#version, packet.messageId!, packet.unsubscriptions.length))
      case 'disconnect':
        if (this.#version === 4 || (packet.reasonCode ?? NORMAL_DISCONNECT) === NORMAL_DISCONNECT) {
          this.#will = undefined
        }
        return this.close()
      default:
        this.close('protocolError', `unexpected ${packet.cmd}: not allowed from a client, or sent twice`)
    }
  }

  /** @returns the topic of a message; undefined: an unknown alias */
  #resolveAlias ({ topic, properties }: IPublishPacket): string | undefined {
    const alias = properties?.topicAlias
    if (alias === undefined) return topic
    if (alias > limits.topicAliasMax) return undefined
    if (topic !== '') this.#topicOfAlias.set(alias, topic)
    return this.#topicOfAlias.get(alias)
  }

  /** @param isPaid whether its bytes were already taken from the budget */
  #publish (message: MqttMessage, isPaid = false): void {
    const topic = topicOf(message.topic, this.#parts.topic)
    if (topic.kind !== 'events') {
      this.#noteIgnored(message.topic, topic.kind)
      return this.#messages.pass(message, this.#version, this.#version === 5 ? 'topicNameInvalid' : undefined)
    }
    isPaid ||= this.#spend('mqttBytes', message.payload.length)
    const lease = isPaid ? this.#takeRoom(message.payload.length) : undefined
    if (!lease) {
      this.#heldMessage = { message, isPaid }
      return this.#tryAgain(ROOM_RETRY_MS)
    }
    const payload = Buffer.from(message.payload) // a copy, because the received buffer holds other data too
    this.#messages.accept(
      { ...message, payload }, { principal: this.#principal!, version: this.#version, deviceId: topic.deviceId }, lease
    )
  }

  #noteIgnored (topic: string, kind: 'system' | 'other'): void {
    this.#parts.counts.ignored(`${kind}-topic`)
    if (kind === 'system' || this.#isOtherTopicNoted) return
    this.#isOtherTopicNoted = true
    this.#parts.note(
      this, 'an MQTT client publishes to a topic that is not for events',
      { topic: topic.slice(0, TOPIC_SHOWN_CHARACTERS) }
    )
  }

  #send (bytes: Buffer): void {
    this.#sendIfTaken(bytes)
  }

  /** Sends nothing above the client's limit. @returns whether it was sent */
  #sendIfTaken (bytes: Buffer): boolean {
    if (bytes.length > this.#clientPacketMaxBytes) return false
    this.#socket.send(bytes)
    return true
  }

  /** With the reason as text if the client wants and accepts that. */
  #goodbye (reason: MqttReason, detail: string | undefined): Buffer {
    const inWords = partWith(this.#version, reason, this.#isToldReasons ? detail : undefined)
    return inWords.length <= this.#clientPacketMaxBytes ? inWords : partWith(this.#version, reason)
  }

  /** It may close while we wait. */
  #hasClosed (): boolean { return this.#state === 'closed' }
}

function messageOf ({ topic, qos, messageId, payload, properties }: IPublishPacket): MqttMessage {
  return { topic, qos, messageId, payload: payload as Buffer, traceparent: properties?.userProperties?.traceparent }
}
