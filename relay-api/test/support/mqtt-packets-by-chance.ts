/** Random MQTT packets: valid ones, and damaged ones. */
import { generate, type Packet } from 'mqtt-packet'

import type { Chance } from 'relay-test-support/chance.ts'
import { eventOf } from './ingest-site.ts'

export type Version = 4 | 5

const topicsOf = (events: string) => [
  events, `/${events}`, 'devices/d/events', 'devices/d-1/events', '/devices/d/events', 'devices/events',
  'devices/a/b/events',
  '$SYS/broker/connection/b/state', 'zigbee2mqtt/bridge/state', 'tele/tasmota/LWT', 'homeassistant/x/config', 'é✓😀',
  ' ', '/', 'x'.repeat(500)
]

const payloadOf = (chance: Chance): Buffer | string => chance.pick([
  () => JSON.stringify(eventOf(chance.below(100_000))),
  () => JSON.stringify(eventOf(1, { deviceId: 'd', timestamp: '2099-01-01T00:00:00Z' })),
  () => JSON.stringify(eventOf(1, { deviceType: 'TOASTER' })),
  () => '{"deviceId":', () => '', () => '\0', () => '['.repeat(chance.below(3_000)),
  () => Buffer.from(Array.from({ length: chance.below(50) }, () => chance.below(256)))
])()

const texts = ['', 'a', 'é', '\u0001', '__proto__', 'constructor', 'toString', 'x'.repeat(300)]

function userProperties (chance: Chance): Record<string, string | string[]> {
  return Object.fromEntries(Array.from({ length: chance.below(4) }, () =>
    [chance.pick(texts), chance.happens(0.3) ? [chance.pick(texts), chance.pick(texts)] : chance.pick(texts)]))
}

/** A packet that a client may send after its login, and that more may follow. */
export function validPacket (chance: Chance, version: Version, events: string): Buffer {
  const messageId = chance.between(1, 65_535)
  const properties = (fields: object = {}) => version === 5
    ? { properties: { userProperties: userProperties(chance), ...fields } }
    : {}
  const topics = topicsOf(events)
  const packet = chance.pick<() => object>([
    () => ({ cmd: 'pingreq' }),
    () => ({ cmd: 'pubrel', messageId, ...version === 5 ? { reasonCode: 0 } : {} }),
    () => ({
      cmd: 'subscribe',
      messageId,
      subscriptions: Array.from(
        { length: chance.between(1, 4) }, () => ({ topic: chance.pick(topics), qos: chance.below(3) })
      ),
      ...properties()
    }),
    () => ({
      cmd: 'unsubscribe',
      messageId,
      unsubscriptions: Array.from(
        { length: chance.between(1, 4) }, () => chance.pick(topics)
      ),
      ...properties()
    }),
    ...Array<() => object>(4).fill(() => ({
      cmd: 'publish',
      topic: chance.pick(topics),
      payload: payloadOf(chance),
      qos: chance.below(3),
      messageId,
      dup: false,
      retain: chance.happens(0.2),
      ...properties(chance.happens(0.3) ? { topicAlias: chance.between(1, 16), contentType: chance.pick(texts) } : {})
    }))
  ])()
  return generate(packet as Packet, { protocolVersion: version })
}

export function connectPacket (chance: Chance, version: Version, password: string, fields: object = {}): Buffer {
  return generate({
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion: version,
    clientId: `c-${chance.below(1e9)}`,
    clean: true,
    keepalive: chance.below(100),
    username: 'u',
    password: Buffer.from(password),
    ...chance.happens(0.3)
      ? { will: { topic: 'state', payload: 'gone', qos: chance.below(3), retain: chance.happens(0.5) } }
      : {},
    ...version === 5
      ? { properties: { sessionExpiryInterval: chance.below(1000), userProperties: userProperties(chance) } }
      : {},
    ...fields
  } as Packet, { protocolVersion: version })
}

/** A packet that is never sent to a server, or only once. */
export function misplacedPacket (chance: Chance, version: Version): Buffer {
  const messageId = chance.below(3)
  return chance.pick([
    () => generate({ cmd: 'puback', messageId, reasonCode: 0 } as Packet, { protocolVersion: version }),
    () => generate({ cmd: 'pubcomp', messageId, reasonCode: 0 } as Packet, { protocolVersion: version }),
    () => generate({ cmd: 'suback', messageId, granted: [0] } as Packet, { protocolVersion: version }),
    () => generate({ cmd: 'pingresp' } as Packet),
    () => generate(
      { cmd: 'connack', returnCode: 0, reasonCode: 0, sessionPresent: false } as Packet, { protocolVersion: version }
    ),
    () => connectPacket(chance, version, 'again'),
    () => Buffer.from([0x82, 2, 0, 1]), () => Buffer.from([0x82, 3, 0, 1, 0]), // without topics
    () => Buffer.from([0xa2, 2, 0, 1]), () => Buffer.from([0xa2, 3, 0, 1, 0]),
    () => Buffer.from([0x82, 0]), () => Buffer.from([0xa2, 0]), () => Buffer.from([0x82, 1, 0]),
    () => Buffer.from([0xf0, 0]), () =>
      Buffer.from([0xf0, 2, 0, 0]), () => Buffer.from([0xe0, 1, 0xff]), () => Buffer.from([0x00, 0]),
    () => Buffer.from([0x36, 0]), () =>
      Buffer.from([0x32, 3, 0, 1, 0x61]), () => Buffer.from([0x30, 2, 0xff, 0xff]), () => Buffer.from([0x30, 0])
  ])()
}

/** A damaged packet. */
export function mutate (chance: Chance, packet: Buffer): Buffer {
  const bytes = Buffer.from(packet)
  const at = chance.below(bytes.length)
  switch (chance.below(7)) {
    case 0:
      bytes[at] ^= 1 << chance.below(8)
      return bytes
    case 1:
      bytes[at] = chance.pick([0, 1, 0x7f, 0x80, 0xff])
      return bytes
    case 2: // truncated
      return bytes.subarray(0, at)
    case 3: // truncated with a matching length: the length of all but long packets is in one byte
      return withLength(bytes.subarray(0, Math.max(2, at)))
    case 4:
      return withLength(Buffer.concat([
        bytes.subarray(0, at), Buffer.from([chance.below(256), chance.below(256)]), bytes.subarray(at)
      ]))
    case 5: {
      for (let n = chance.between(1, 8); n > 0; n--) bytes[chance.below(bytes.length)] = chance.below(256)
      return bytes
    }
    default:
      return Buffer.from(Array.from({ length: chance.between(1, 64) }, () => chance.below(256)))
  }
}

function withLength (bytes: Buffer): Buffer {
  if (bytes.length - 2 < 0x80 && bytes.length >= 2) bytes[1] = bytes.length - 2
  return bytes
}
