/** Which properties of MQTT 5 a client may send with which packet (section 2.2.2 of the standard). */

/** How a value is encoded. A flag is a byte, 0 or 1. */
export type PropertyKind = 'flag' | 'number-2' | 'number-4' | 'varint' | 'text' | 'topic' | 'binary' | 'pair'

export interface Property {
  readonly name: string
  readonly kind: PropertyKind
  /** packets of a client that may have it */
  readonly packets: ReadonlySet<string>
}

const of = (name: string, kind: PropertyKind, ...packets: string[]): Property =>
  ({ name, kind, packets: new Set(packets) })

/** By their number in the packet. */
export const properties: Readonly<Record<number, Property>> = {
  0x01: of('payloadFormatIndicator', 'flag', 'publish', 'will'),
  0x02: of('messageExpiryInterval', 'number-4', 'publish', 'will'),
  0x03: of('contentType', 'text', 'publish', 'will'),
  0x08: of('responseTopic', 'topic', 'publish', 'will'),
  0x09: of('correlationData', 'binary', 'publish', 'will'),
  0x0b: of('subscriptionIdentifier', 'varint', 'subscribe'),
  0x11: of('sessionExpiryInterval', 'number-4', 'connect', 'disconnect'),
  0x12: of('assignedClientIdentifier', 'text'),
  0x13: of('serverKeepAlive', 'number-2'),
  0x15: of('authenticationMethod', 'text', 'connect'),
  0x16: of('authenticationData', 'binary', 'connect'),
  0x17: of('requestProblemInformation', 'flag', 'connect'),
  0x18: of('willDelayInterval', 'number-4', 'will'),
  0x19: of('requestResponseInformation', 'flag', 'connect'),
  0x1a: of('responseInformation', 'text'),
  0x1c: of('serverReference', 'text'),
  0x1f: of('reasonString', 'text', 'pubrel', 'disconnect'),
  0x21: of('receiveMaximum', 'number-2', 'connect'),
  0x22: of('topicAliasMaximum', 'number-2', 'connect'),
  0x23: of('topicAlias', 'number-2', 'publish'),
  0x24: of('maximumQoS', 'flag'),
  0x25: of('retainAvailable', 'flag'),
  0x26: of('userProperties', 'pair', 'connect', 'will', 'publish', 'pubrel', 'subscribe', 'unsubscribe', 'disconnect'),
  0x27: of('maximumPacketSize', 'number-4', 'connect'),
  0x28: of('wildcardSubscriptionAvailable', 'flag'),
  0x29: of('subscriptionIdentifiersAvailable', 'flag'),
  0x2a: of('sharedSubscriptionAvailable', 'flag')
}
