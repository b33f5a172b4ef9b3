/**
 * Packets that the server sends, for both versions of MQTT (3.1.1 has few reasons): built with `mqtt-packet`, with the
 * codes of https://docs.oasis-open.org/mqtt/mqtt/v5.0/mqtt-v5.0.html.
 */
import { generate, writeToStream, type Packet } from 'mqtt-packet'

writeToStream.cacheNumbers = false // otherwise the first packet creates a buffer for each 16-bit number: 16 MB

export type MqttVersion = 4 | 5

/** Reason codes of MQTT 5. */
export const reasons = {
  unspecified: 0x80,
  malformed: 0x81,
  protocolError: 0x82,
  versionUnsupported: 0x84,
  clientIdInvalid: 0x85,
  notAuthorized: 0x87,
  unavailable: 0x88,
  busy: 0x89,
  shuttingDown: 0x8b,
  badAuthenticationMethod: 0x8c,
  keepAliveTimeout: 0x8d,
  takenOver: 0x8e,
  topicNameInvalid: 0x90,
  topicAliasInvalid: 0x94,
  packetTooLarge: 0x95,
  quotaExceeded: 0x97,
  payloadInvalid: 0x99
} as const

export type MqttReason = keyof typeof reasons

/** CONNACK return codes of MQTT 3.1.1, by the reason code of MQTT 5; without one the connection is closed silently. */
const returnCodes: Partial<Record<MqttReason, number>> = {
  versionUnsupported: 1,
  clientIdInvalid: 2,
  unavailable: 3,
  busy: 3,
  quotaExceeded: 3,
  notAuthorized: 5
}
/** SUBACK of MQTT 3.1.1: failure */
const SUBSCRIPTION_FAILED = 0x80
const NO_SUBSCRIPTION_EXISTED = 0x11

/** Limits that a server announces to a client. */
export interface MqttLimits {
  /** messages that may wait for their acknowledgement */
  readonly receiveMax: number
  readonly packetMaxBytes: number
  readonly topicAliasMax: number
}

/** @param assignedId for a client without an id */
export function welcome (
  version: MqttVersion, { receiveMax, packetMaxBytes, topicAliasMax }: MqttLimits, assignedId: string | undefined
): Buffer {
  return generate({
    cmd: 'connack',
    returnCode: 0,
    reasonCode: 0,
    sessionPresent: false,
    ...version === 5
      ? {
          properties: {
            sessionExpiryInterval: 0,
            receiveMaximum: receiveMax,
            maximumPacketSize: packetMaxBytes,
            topicAliasMaximum: topicAliasMax,
            wildcardSubscriptionAvailable: false,
            subscriptionIdentifiersAvailable: false,
            sharedSubscriptionAvailable: false,
            ...assignedId === undefined ? {} : { assignedClientIdentifier: assignedId }
          }
        }
      : {}
  } as Packet, { protocolVersion: version })
}

/**
 * Characters that the standard forbids in texts, or lets clients reject:
 * https://docs.oasis-open.org/mqtt/mqtt/v5.0/mqtt-v5.0.html, 1.5.4. A byte order mark is allowed there, but Eclipse
 * Paho closes the connection over it.
 */
const UNSPEAKABLE = /[\p{Cc}\p{Noncharacter_Code_Point}\ufeff]/gu

/** A reason as text, which may quote the client. */
function inWords (detail: string | undefined) {
  return detail === undefined ? {} : { properties: { reasonString: detail.toWellFormed().replace(UNSPEAKABLE, ' ') } }
}

/** Refuses a client. @returns nothing if its version has no code for it */
export function refuseConnect (version: MqttVersion, reason: MqttReason, detail?: string): Buffer {
  if (version === 4 && returnCodes[reason] === undefined) return Buffer.alloc(0)
  return generate({
    cmd: 'connack',
    returnCode: returnCodes[reason] ?? 0,
    reasonCode: reasons[reason],
    sessionPresent: false,
    ...version === 4 ? {} : inWords(detail)
  } as Packet, { protocolVersion: version })
}

/** @param qos 1: PUBACK; 2: PUBREC, followed by PUBREL and PUBCOMP unless it refuses */
export function acknowledge (
  version: MqttVersion, qos: 1 | 2, messageId: number, reason?: MqttReason, detail?: string
): Buffer {
  return generate({
    cmd: qos === 1 ? 'puback' : 'pubrec',
    messageId,
    reasonCode: reason === undefined ? 0 : reasons[reason],
    ...inWords(detail)
  } as Packet, { protocolVersion: version })
}

/** The end of a message of QoS 2. */
export function complete (version: MqttVersion, messageId: number): Buffer {
  return generate({ cmd: 'pubcomp', messageId, reasonCode: 0 } as Packet, { protocolVersion: version })
}

/** Nobody can subscribe: this is not a broker. */
export function refuseSubscriptions (version: MqttVersion, messageId: number, count: number): Buffer {
  const granted = Array<number>(count).fill(version === 5 ? reasons.notAuthorized : SUBSCRIPTION_FAILED)
  return generate({ cmd: 'suback', messageId, granted }, { protocolVersion: version })
}

export function acknowledgeUnsubscribe (version: MqttVersion, messageId: number, count: number): Buffer {
  return generate({ cmd: 'unsuback', messageId, granted: Array<number>(count).fill(NO_SUBSCRIPTION_EXISTED) } as Packet,
    { protocolVersion: version })
}

const pong = generate({ cmd: 'pingresp' })

export function answerPing (): Buffer {
  return pong
}

/** MQTT 3.1.1 has no such packet from a server. */
export function partWith (version: MqttVersion, reason: MqttReason, detail?: string): Buffer {
  if (version !== 5) return Buffer.alloc(0)
  return generate({
    cmd: 'disconnect',
    reasonCode: reasons[reason],
    ...inWords(detail)
  }, { protocolVersion: 5 })
}
