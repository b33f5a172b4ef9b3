/**
 * Decodes whole packets with `mqtt-packet`, and finds protocol errors. It gets one packet at a time, because the
 * library joins the pieces of an incomplete one in quadratic time.
 */
import { parser as createParser, type IConnectPacket, type Packet } from 'mqtt-packet'

import { faultOfEncoding } from './mqtt-encoding.ts'
import type { MqttReason, MqttVersion } from './mqtt-packets.ts'

export type DecodedPacket =
  | { readonly kind: 'packet', readonly packet: Packet }
  /** the answer required by the standard, in versions that have one */
  | { readonly kind: 'violation', readonly reason: MqttReason, readonly detail: string }

export interface Decoder {
  /** @param bytes one whole packet; never throws */
  decode (bytes: Buffer): DecodedPacket
}

export function createDecoder (): Decoder {
  const parser = createParser({})
  let found: { packet?: Packet, fault?: Error } = {}
  let version: number | undefined
  parser.on('packet', packet => { found.packet = packet })
  parser.on('error', fault => { found.fault ??= fault })

  return {
    decode (bytes) {
      found = {}
      if (version === 5 && bytes[0] === AUTH_TYPE) { // the library can't read one of length 0, which is well-formed
        return violation('protocolError', 'AUTH without an authentication method in CONNECT')
      }
      try {
        const restBytes = parser.parse(bytes)
        const { packet, fault } = found
        if (!packet || fault || restBytes > 0) {
          return violation('malformed', fault?.message ?? 'a packet whose length does not match its header')
        }
        if (packet.cmd === 'connect') version = packet.protocolVersion
        return faultOf(packet, bytes, version === 5 ? 5 : 4) ?? { kind: 'packet', packet }
      } catch (error) { // the library reads past the end of some packets
        return violation('malformed', (error as Error).message)
      }
    }
  }
}

export interface CutOffMessage {
  readonly topic: string
  readonly qos: number
  readonly messageId: number | undefined
  /** its first bytes */
  readonly payload: Buffer
}

/**
 * Reads the start of an oversized message of MQTT 3.1.1.
 * @returns undefined: it is not a message, or its header is incomplete
 */
export function decodeCutOff (bytes: Buffer): CutOffMessage | undefined {
  const qos = bytes[0] >> 1 & 3
  if (bytes[0] >> 4 !== PUBLISH || qos > 2) return undefined
  const at = bodyStart(bytes)
  if (at + 2 > bytes.length) return undefined
  const topicEnd = at + 2 + bytes.readUInt16BE(at)
  const head = topicEnd + (qos > 0 ? 2 : 0)
  if (head > bytes.length) return undefined
  const messageId = qos > 0 ? bytes.readUInt16BE(topicEnd) : undefined
  if (messageId === 0) return undefined
  return { topic: bytes.toString('utf8', at + 2, topicEnd), qos, messageId, payload: bytes.subarray(head) }
}

const AUTH_TYPE = 0xf0
const CONNECT = 1
const PUBLISH = 3
const BRIDGE_BIT = 0x80

/**
 * The protocol version of a first packet, so that clients of unsupported versions get an answer.
 * @returns undefined: not a CONNECT of MQTT
 */
export function askedVersion (bytes: Buffer): number | undefined {
  if (bytes[0] >> 4 !== CONNECT) return undefined
  const at = bodyStart(bytes)
  if (at + 2 > bytes.length) return undefined
  const nameEnd = at + 2 + bytes.readUInt16BE(at)
  if (nameEnd >= bytes.length) return undefined
  const name = bytes.toString('latin1', at + 2, nameEnd)
  if (name !== 'MQTT' && name !== 'MQIsdp') return undefined
  return bytes[nameEnd] & ~BRIDGE_BIT // set by bridges
}

/** Errors that the library accepts and the standard does not. */
function faultOf (packet: Packet, bytes: Buffer, version: MqttVersion): DecodedPacket | undefined {
  const fault = faultOfEncoding(bytes, packet, version)
  if (fault) return violation(fault.reason, fault.detail)
  switch (packet.cmd) {
    case 'connect': return faultOfConnect(packet)
    case 'publish': {
      if (/[+#]/.test(packet.topic)) return violation('topicNameInvalid', 'a topic with wildcards')
      if (packet.qos === 0 && packet.dup) return violation('malformed', 'a duplicate of QoS 0')
      if (packet.qos > 0 && !isId(packet.messageId)) return violation('protocolError', 'a message without an id')
      const alias: unknown = packet.properties?.topicAlias
      if (alias !== undefined && (typeof alias !== 'number' || alias < 1)) {
        return violation('topicAliasInvalid', 'a topic alias of 0')
      }
      if (packet.topic === '' && alias === undefined) {
        return violation(version === 5 ? 'protocolError' : 'malformed', 'a message without a topic')
      }
      return undefined
    }
    case 'subscribe': case 'unsubscribe': {
      if (!isId(packet.messageId)) return violation('protocolError', `${packet.cmd} without an id`)
      const count = packet.cmd === 'subscribe' ? packet.subscriptions.length : packet.unsubscriptions.length
      return count > 0 ? undefined : violation('protocolError', `${packet.cmd} without topics`)
    }
    case 'pubrel':
      return isId(packet.messageId) ? undefined : violation('protocolError', 'pubrel without an id')
    default:
      return undefined
  }
}

function faultOfConnect (
  { protocolVersion, password, username, will, properties }: IConnectPacket
): DecodedPacket | undefined {
  if (protocolVersion === 4 && password !== undefined && username === undefined) {
    return violation('malformed', 'a password without a user name, which MQTT 3.1.1 does not allow')
  }
  if (will && will.qos! > 2) return violation('malformed', 'a will of QoS 3')
  if (properties?.receiveMaximum === 0 || properties?.maximumPacketSize === 0) {
    return violation('protocolError', 'a limit of 0')
  }
  if (properties?.authenticationMethod !== undefined) {
    return violation('badAuthenticationMethod', 'an authentication method; send the token as the password')
  }
  if (properties?.authenticationData !== undefined) {
    return violation('protocolError', 'authentication data without a method')
  }
  return undefined
}

/** Start of a packet after its header. */
function bodyStart (bytes: Buffer): number {
  let at = 1
  while (at < bytes.length && bytes[at] & 0x80) at++
  return at + 1
}

function isId (messageId: number | undefined): messageId is number {
  return messageId !== undefined && messageId > 0
}

function violation (reason: MqttReason, detail: string): DecodedPacket {
  return { kind: 'violation', reason, detail }
}
