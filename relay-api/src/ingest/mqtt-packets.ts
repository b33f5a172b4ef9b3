/**
 * What is said over MQTT, for both versions of it (3.1.1 has few words for why): packets as `mqtt-packet` has them, and
 * the codes of https://docs.oasis-open.org/mqtt/mqtt/v5.0/mqtt-v5.0.html.
 */
import { generate, type IConnectPacket, type Packet } from 'mqtt-packet'

export type Version = 4 | 5

/** Reason codes of MQTT 5. */
export const reasons = {
  unspecified: 0x80,
  malformed: 0x81,
  protocolError: 0x82,
  notAuthorized: 0x87,
  shuttingDown: 0x8b,
  keepAliveTimeout: 0x8d,
  takenOver: 0x8e,
  topicNameInvalid: 0x90,
  packetTooLarge: 0x95,
  quotaExceeded: 0x97,
  payloadInvalid: 0x99,
  retainNotSupported: 0x9a,
  qosNotSupported: 0x9b
} as const

export type Reason = keyof typeof reasons

/** CONNACK return codes of MQTT 3.1.1 */
const VERSION_UNACCEPTABLE = 1
const NOT_AUTHORIZED = 5
/** SUBACK of MQTT 3.1.1: failure */
const SUBSCRIPTION_FAILED = 0x80
const NO_SUBSCRIPTION_EXISTED = 0x11

/** What a server tells a client about itself. */
export interface Limits {
  /** messages that may wait for their acknowledgement */
  readonly receiveMax: number
  readonly packetMaxBytes: number
}

/** @param assignedId of a client that came without one */
export function welcome (
  version: Version, { receiveMax, packetMaxBytes }: Limits, assignedId: string | undefined
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
            maximumQoS: 1,
            retainAvailable: false,
            topicAliasMaximum: 0,
            wildcardSubscriptionAvailable: false,
            subscriptionIdentifiersAvailable: false,
            sharedSubscriptionAvailable: false,
            ...assignedId === undefined ? {} : { assignedClientIdentifier: assignedId }
          }
        }
      : {}
  } as Packet, { protocolVersion: version })
}

/** Refuses a client: of a version that is not spoken here, or that nobody knows. */
export function refuseConnect (version: IConnectPacket['protocolVersion']): Buffer {
  const isKnown = version === 4 || version === 5
  return generate({
    cmd: 'connack',
    returnCode: isKnown ? NOT_AUTHORIZED : VERSION_UNACCEPTABLE,
    reasonCode: reasons.notAuthorized,
    sessionPresent: false
  }, { protocolVersion: version === 5 ? 5 : 4 })
}

export function acknowledge (version: Version, messageId: number, reason?: Reason, detail?: string): Buffer {
  return generate({
    cmd: 'puback',
    messageId,
    reasonCode: reason === undefined ? 0 : reasons[reason],
    ...detail === undefined ? {} : { properties: { reasonString: detail } }
  }, { protocolVersion: version })
}

/** Nobody can subscribe: this is no broker. */
export function refuseSubscriptions (version: Version, messageId: number, count: number): Buffer {
  const granted = Array<number>(count).fill(version === 5 ? reasons.notAuthorized : SUBSCRIPTION_FAILED)
  return generate({ cmd: 'suback', messageId, granted }, { protocolVersion: version })
}

export function acknowledgeUnsubscribe (version: Version, messageId: number, count: number): Buffer {
  return generate({ cmd: 'unsuback', messageId, granted: Array<number>(count).fill(NO_SUBSCRIPTION_EXISTED) } as Packet,
    { protocolVersion: version })
}

export function answerPing (): Buffer {
  return generate({ cmd: 'pingresp' })
}

/** MQTT 3.1.1 has no such packet from a server. */
export function partWith (version: Version, reason: Reason, detail?: string): Buffer {
  if (version !== 5) return Buffer.alloc(0)
  return generate({
    cmd: 'disconnect',
    reasonCode: reasons[reason],
    ...detail === undefined ? {} : { properties: { reasonString: detail } }
  }, { protocolVersion: 5 })
}
