/**
 * A connection over MQTT 3.1.1 or 5, on which a client publishes events:
 *
 *     (TCP, TLS) ──CONNECT, password = token──▶ open ──PUBLISH──▶ event log ──durable──▶ PUBACK, PUBREC
 *       │ unknown: CONNACK says so                 │ DISCONNECT, silence, a violation, the log is away,
 *       ▼                                          ▼ the token is not accepted any more
 *     closed ◀───────────────────────────────── closed
 *
 * The login is in mqtt-login.ts. A packet waits, and nothing after it is read (mqtt-reader.ts), as long as:
 *
 *     the login is in progress | RECEIVE_MAX messages wait | the client does not read | no room in flight | a budget is used up
 *
 * A will is the last message of a client, unless it says goodbye, loses its permission, or we close the connection.
 */
import type { Socket } from 'node:net'

import type { IConnectPacket, IPublishPacket, Packet } from 'mqtt-packet'
import type { RelayError } from 'relay-common'
import { EVENT_BYTES_MAX } from 'relay-rollups'

import type { LogIn } from '../auth/authenticate.ts'
import type { Budgets } from '../budgets/budgets.ts'
import type { BytesLease } from './in-flight.ts'
import type { Traces } from '../tracing.ts'
import type { Ingest } from './ingest.ts'
import { endedReasonOf, type EndedReason, type MqttCounts } from './mqtt-counts.ts'
import { createDecoder, decodeCutOff } from './mqtt-decode.ts'
import type { Frame } from './mqtt-frames.ts'
import { logInClient, readConnect, refused, type MqttClient, type RefusedLogin, type Will } from './mqtt-login.ts'
import { MqttMessages, type MqttMessage, type MqttSender } from './mqtt-messages.ts'
import {
  acknowledgeUnsubscribe, answerPing, complete, partWith, refuseConnect, refuseSubscriptions, welcome, type MqttLimits,
  type MqttReason, type MqttVersion
} from './mqtt-packets.ts'
import { MqttReader, ROOM_RETRY_MS } from './mqtt-reader.ts'
import { MqttSocket } from './mqtt-socket.ts'
import { TopicAliases, topicOf } from './mqtt-topic.ts'

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

/** first byte of the first packet of a client */
const CONNECT_TYPE = 0x10
/** of a message, without its event: topic, properties, header */
const HEAD_MAX_BYTES = 4 * 1024
const limits: MqttLimits = { receiveMax: 200, packetMaxBytes: EVENT_BYTES_MAX + HEAD_MAX_BYTES, topicAliasMax: 16 }
/** clients of 3.1.1 can't know our limit: they resend an oversized message forever unless it is acknowledged */
const PASSED_MAX_BYTES = 16 * 1024 * 1024
/** delay before a client above a budget is read again */
const BUDGET_RETRY_MS = 1_000
const TOPIC_SHOWN_CHARACTERS = 100
/** MQTT 5 reasons for DISCONNECT that drop the will */
const NORMAL_DISCONNECT = 0

export class MqttConnection {
  readonly #socket: MqttSocket
  readonly #parts: MqttParts
  readonly #reader: MqttReader
  readonly #decoder = createDecoder()
  readonly #messages: MqttMessages
  readonly #aliases = new TopicAliases(limits.topicAliasMax)
  #state: 'connecting' | 'identifying' | 'open' | 'closed' = 'connecting'
  #version: MqttVersion = 4
  /** undefined: it is not known yet */
  #client: MqttClient | undefined
  #isOtherTopicNoted = false
  #will: Will | undefined

  constructor (socket: Socket, parts: MqttParts) {
    this.#parts = parts
    this.#socket = new MqttSocket(socket, parts.packetTimeoutMs, {
      data: chunk => this.#reader.push(chunk),
      drained: () => this.#reader.pump(),
      closed: () => this.#closed(),
      failed: error => {
        parts.counts.ended('fault')
        parts.note(this, 'an MQTT connection failed', { err: error })
      }
    })
    this.#reader = new MqttReader(this.#socket, {
      take: frame => this.#takeFrame(frame),
      begun: type => {
        // it is not MQTT, whatever follows
        if (this.#state === 'connecting' && type !== CONNECT_TYPE) this.#refuse(refused('malformed', 4, 'malformed'))
      },
      isBlocked: () =>
        this.#state === 'identifying' || this.#socket.isChoked || this.#messages.waiting >= limits.receiveMax,
      hasClosed: () => this.#hasClosed(),
      takeRoom: bytes => this.#takeRoom(bytes)
    })
    this.#messages = new MqttMessages(parts.ingest, parts.traces, {
      send: bytes => this.#sendIfTaken(bytes),
      acknowledged: () => this.#reader.pump(),
      away: detail => this.close('unspecified', detail),
      isTold: () => this.#client?.wantsReasons ?? true
    }, this.#socket.guarded(error => { throw error }))
  }

  get address (): string { return this.#socket.address }

  get principalId (): string | undefined { return this.#client?.principal.id }

  /** equal for connections of one client */
  get client (): string { return `${this.#client?.principal.id} ${this.#client?.id ?? ''}` }

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
      await this.#client?.reauthenticate()
    } catch (error) {
      if ((error as RelayError).code !== 'RELAY_UNAUTHORIZED') return
      this.close('notAuthorized', 'the token is no longer accepted')
    }
  }

  /** Ends what has taken too long. Call it periodically. */
  check (nowMs: number): void {
    this.#socket.check(nowMs)
    if (this.#state !== 'open') return
    const fault = this.#reader.check(nowMs, this.#parts.packetTimeoutMs)
    if (fault === 'packet-timeout') this.close('unspecified', 'a packet that does not end', 'packetTimeout')
    else if (fault === 'silence') this.close('keepAliveTimeout')
  }

  #closed (): void {
    this.#state = 'closed'
    this.#reader.close()
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
    this.#messages.accept(message, this.#senderOf(topic.deviceId), lease)
  }

  /** @returns undefined: none now */
  #takeRoom (bytes: number): BytesLease | undefined {
    const lease = this.#parts.ingest.inFlight.open(this.#client!.principal.id)
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
    // every packet counts: answers to pings and subscriptions are work too
    if (!this.#spend('mqttMessages', 1)) return this.#takeLater(frame)
    if (frame.kind === 'cut-off') {
      const message = decodeCutOff(frame.bytes)
      if (!message) return this.close('packetTooLarge')
      return this.#publish({ ...message, sizeBytes: frame.sizeBytes - frame.bytes.length + message.payload.length })
    }
    const decoded = this.#decoder.decode(frame.bytes)
    if (decoded.kind === 'violation') return this.close(decoded.reason, decoded.detail)
    this.#take(decoded.packet)
  }

  /** @returns false: the caller has used it up */
  #spend (budget: 'mqttMessages' | 'mqttBytes', amount: number): boolean {
    try {
      this.#parts.budgets.spend(budget, this.#client!.principal.id, amount)
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
      this.#reader.wait(BUDGET_RETRY_MS)
    } else {
      this.#reader.hold(() => this.#takeFrame(frame), BUDGET_RETRY_MS)
    }
  }

  #takeFirst (frame: Frame): void {
    const first = readConnect(frame, this.#decoder)
    if (first.kind === 'refused') return this.#refuse(first)
    this.#version = first.version
    this.#state = 'identifying'
    this.#socket.guarded(() => this.#connect(first.packet))()
  }

  async #connect (packet: IConnectPacket): Promise<void> {
    const client = await logInClient(this.#version, packet, this.#socket.address, this.#parts.logIn)
    if (this.#hasClosed()) return
    if (client.kind === 'refused') return this.#refuse(client)
    this.#client = client
    const noPlace = this.#parts.opened(this)
    if (noPlace) return this.#refuse(refused(noPlace, this.#version, noPlace === 'full' ? 'busy' : 'quotaExceeded'))

    this.#state = 'open'
    this.#will = client.will
    this.#send(welcome(this.#version, limits, client.assignedId))
    this.#reader.open({
      keptMaxBytes: limits.packetMaxBytes,
      passedMaxBytes: this.#version === 4 ? PASSED_MAX_BYTES : 0,
      keepAliveMs: client.keepAliveMs
    })
    this.#reader.pump()
  }

  #refuse ({ counted, version, reason, detail }: RefusedLogin): void {
    this.#state = 'closed'
    this.#parts.counts.refusedConnect(counted)
    this.#socket.end(refuseConnect(version, reason, detail))
  }

  #take (packet: Packet): void {
    switch (packet.cmd) {
      case 'publish': {
        const topic = this.#aliases.resolve(packet.topic, packet.properties?.topicAlias)
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

  /** @param isPaid whether its bytes were already taken from the budget */
  #publish (message: MqttMessage, isPaid = false): void {
    const topic = topicOf(message.topic, this.#parts.topic)
    if (topic.kind !== 'events') {
      this.#noteIgnored(message.topic, topic.kind)
      return this.#messages.pass(message, this.#version, this.#version === 5 ? 'topicNameInvalid' : undefined)
    }
    isPaid ||= this.#spend('mqttBytes', message.payload.length)
    const lease = isPaid ? this.#takeRoom(message.payload.length) : undefined
    if (!lease) return this.#reader.hold(() => this.#publish(message, isPaid), ROOM_RETRY_MS)
    const payload = Buffer.from(message.payload) // a copy, because the received buffer holds other data too
    this.#messages.accept({ ...message, payload }, this.#senderOf(topic.deviceId), lease)
  }

  #senderOf (deviceId: string | undefined): MqttSender {
    return { principal: this.#client!.principal, version: this.#version, deviceId }
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
    if (bytes.length > this.#packetMaxBytes) return false
    this.#socket.send(bytes)
    return true
  }

  /** With the reason as text if the client wants and accepts that. */
  #goodbye (reason: MqttReason, detail: string | undefined): Buffer {
    const inWords = partWith(this.#version, reason, this.#client?.wantsReasons === false ? undefined : detail)
    return inWords.length <= this.#packetMaxBytes ? inWords : partWith(this.#version, reason)
  }

  /** longest packet that the client accepts */
  get #packetMaxBytes (): number { return this.#client?.packetMaxBytes ?? Infinity }

  /** It may close while we wait. */
  #hasClosed (): boolean { return this.#state === 'closed' }
}

function messageOf ({ topic, qos, messageId, payload, properties }: IPublishPacket): MqttMessage {
  return { topic, qos, messageId, payload: payload as Buffer, traceparent: properties?.userProperties?.traceparent }
}
