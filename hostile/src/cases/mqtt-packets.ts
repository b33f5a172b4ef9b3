/** Packets that no client sends: an error in the handler of a socket is about that connection alone. */
import { generate, type Packet } from 'mqtt-packet'

import { OWN_PREFIX, OWN_ZONE, type Attack } from '../attack.ts'
import { eventOf, type Attacker } from '../attacker.ts'
import { connectPacket } from '../sockets.ts'

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')

/** Packets that are wrong in themselves, by what is wrong. */
const wrong: Readonly<Record<string, Buffer>> = {
  'SUBSCRIBE without topics': hex('82 02 00 01'),
  'SUBSCRIBE without topics, version 5': hex('82 03 00 01 00'),
  'UNSUBSCRIBE without topics': hex('a2 02 00 01'),
  'UNSUBSCRIBE without topics, version 5': hex('a2 03 00 01 00'),
  'SUBSCRIBE of packet 0': hex('82 06 00 00 00 01 61 00'),
  'SUBSCRIBE with an empty topic': hex('82 05 00 01 00 00 00'),
  'PUBLISH with an empty topic': hex('32 04 00 00 00 01'),
  'PUBLISH with a topic alias': hex('30 07 00 00 03 23 00 01 7b'),
  'PUBLISH of QoS 3': hex('36 05 00 01 61 00 01'),
  'PUBLISH of packet 0': hex('32 05 00 01 61 00 00'),
  'PUBLISH with a topic that is not UTF-8': hex('30 04 00 02 ff fe'),
  PUBREL: hex('62 02 00 01'),
  PUBREC: hex('50 02 00 01'),
  PUBACK: hex('40 02 00 01'),
  SUBACK: hex('90 03 00 01 00'),
  CONNACK: hex('20 02 00 00'),
  PINGRESP: hex('d0 00'),
  'AUTH, version 5': hex('f0 02 18 00'),
  'DISCONNECT with properties': hex('e0 07 00 05 11 ff ff ff ff'),
  'DISCONNECT that is too short': hex('e0 01 00'),
  'a reserved type': hex('00 00'),
  'a length without an end': hex('30 ff ff ff ff ff'),
  'a length of 256 MB': hex('30 ff ff ff 7f 00'),
  'properties longer than the packet': hex('30 05 00 01 61 7f 00'),
  'an unknown property': hex('30 06 00 01 61 02 7e 00'),
  'a user property 20 times': hex(`30 ${(4 + 20 * 7).toString(16).padStart(2, '0').replace('90', '9001')} 00 01 61`)
}

async function sendWrong (attacker: Attacker, isLoggedIn: boolean): Promise<void> {
  for (const [, bytes] of Object.entries(wrong)) {
    for (const version of [4, 5] as const) {
      const raw = await attacker.connect(attacker.target.mqttPort, attacker.freshAddress())
      if (isLoggedIn) {
        raw.write(connectPacket(version, `c${attacker.chance.below(1e9)}`, attacker.target.token))
        await raw.heard(2_000)
      }
      raw.write(bytes)
      attacker.count('sent')
      await attacker.pause(12)
      raw.end()
    }
  }
}

/** Valid packets that are cut, changed, doubled and put behind one another. */
function generatePacket (attacker: Attacker, protocolVersion: 4 | 5): Buffer {
  const { chance } = attacker
  const some: Packet[] = [
    { cmd: 'publish', topic: 'iot-events', payload: eventOf(`${OWN_PREFIX}1`, OWN_ZONE), qos: 1, messageId: 7, dup: false, retain: false },
    { cmd: 'publish', topic: `devices/${OWN_PREFIX}1/events`, payload: '{}', qos: 0, dup: true, retain: true },
    { cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: '#', qos: 0 }] },
    { cmd: 'unsubscribe', messageId: 1, unsubscriptions: ['a'] },
    { cmd: 'pingreq' },
    { cmd: 'disconnect', reasonCode: 0 } as Packet,
    { cmd: 'pubrel', messageId: 1 }
  ]
  const valid = chance.happens(0.1)
    ? connectPacket(protocolVersion, 'again', attacker.target.token)
    : chance.happens(0.3) ? chance.pick(Object.values(wrong)) : generate(chance.pick(some), { protocolVersion })
  const bytes = Buffer.from(valid)
  switch (chance.below(6)) {
    case 0: bytes[chance.below(bytes.length)] = chance.below(256); return bytes
    case 1: bytes[0] = chance.below(256); return bytes
    case 2: return bytes.subarray(0, chance.below(bytes.length + 1))
    case 3: return Buffer.concat([bytes, bytes.subarray(chance.below(bytes.length))])
    case 4: bytes[Math.min(1, bytes.length - 1)] = chance.below(256); return bytes
    default: return Buffer.from(Array.from({ length: chance.below(40) }, () => chance.below(256)))
  }
}

async function fuzz (attacker: Attacker, isLoggedIn: boolean): Promise<void> {
  let raw = undefined as Awaited<ReturnType<Attacker['connect']>> | undefined
  let onThis = 0
  for (let n = 0; n < attacker.generated; n++) {
    const version = attacker.chance.happens(0.5) ? 4 : 5
    if (!raw?.isOpen || onThis++ > 8) {
      raw?.end()
      onThis = 0
      raw = await attacker.connect(attacker.target.mqttPort, attacker.freshAddress())
      if (isLoggedIn) {
        raw.write(connectPacket(version, `c${n}`, attacker.target.token))
        await raw.heard(2_000)
      }
    }
    raw.write(generatePacket(attacker, version))
    attacker.count('sent')
    await attacker.pause(3)
  }
  raw?.end()
}

export const mqttPackets: readonly Attack[] = [
  { name: 'mqtt-packets/wrong-before-login', who: 'stranger', input: `${Object.keys(wrong).length} wrong packets of 2 to 20 bytes, a connection each, both versions`, holds: 'the connection ends alone', run: it => sendWrong(it, false) },
  { name: 'mqtt-packets/wrong-after-login', who: 'write key', input: `the same ${Object.keys(wrong).length} packets behind a CONNECT that is let in`, holds: 'the connection ends alone', run: it => sendWrong(it, true) },
  {
    name: 'mqtt-packets/generated-before-login',
    who: 'stranger',
    input: 'generated packets: cut, changed, doubled; one after the other',
    holds: 'the connection ends alone',
    spanMs: 12_000,
    run: it => fuzz(it, false)
  },
  {
    name: 'mqtt-packets/generated-after-login',
    who: 'write key',
    input: 'the same behind a CONNECT that is let in',
    holds: 'the connection ends alone',
    spanMs: 16_000,
    run: it => fuzz(it, true)
  },
  {
    name: 'mqtt-packets/connects',
    who: 'stranger',
    input: '60 CONNECTs: unknown versions, wills, 60 KB names, two behind each other, packets before the answer',
    holds: 'refused',
    async run (attacker) {
      const connect = connectPacket(5, 'x', 'nobody')
      const changed = (at: number, to: number) => { const it = Buffer.from(connect); it[at] = to; return it }
      const packets = [
        changed(8, 3), changed(8, 6), changed(8, 255), changed(9, 0xff), changed(9, 0x03), changed(4, 0x6d),
        connectPacket(5, 'x'.repeat(60_000), 'nobody'),
        Buffer.concat([connect, connect]), Buffer.concat([connect, wrong['SUBSCRIBE without topics, version 5']]),
        Buffer.concat([connectPacket(4, 'y', ''), ...Array<Buffer>(500).fill(hex('c0 00'))])
      ]
      for (let n = 0; n < 60; n++) {
        const raw = await attacker.connect(attacker.target.mqttPort, attacker.freshAddress())
        raw.write(packets[n % packets.length])
        attacker.count('sent')
        await attacker.pause(30)
        raw.end()
      }
    }
  }
]

/** Many small pieces of one packet, request or body. */
export const fragments: readonly Attack[] = [
  {
    name: 'fragments/connect-byte-by-byte',
    who: 'stranger',
    input: 'a CONNECT of MQTT 5 of 40 KB, one byte at a time as fast as the socket takes them',
    holds: 'linear time, and an end',
    async run (attacker) {
      const packet = bigConnect(40_000)
      const raw = await attacker.connect(attacker.target.mqttPort)
      for (let at = 0; at < packet.length && raw.isOpen; at++) {
        raw.write(packet.subarray(at, at + 1))
        if (at % 10 === 0) await new Promise(resolve => setImmediate(resolve))
      }
      attacker.count('sent')
      await attacker.pause(500)
      raw.end()
    }
  },
  {
    name: 'fragments/properties-byte-by-byte',
    who: 'stranger',
    input: '4 CONNECTs of 10 KB of user properties, 7 bytes at a time',
    holds: 'linear time',
    run: attacker => Promise.all(Array.from({ length: 4 }, async () => {
      const packet = bigConnect(10_000)
      const raw = await attacker.connect(attacker.target.mqttPort)
      for (let at = 0; at < packet.length && raw.isOpen; at += 7) {
        raw.write(packet.subarray(at, at + 7))
        await new Promise(resolve => setImmediate(resolve))
      }
      attacker.count('sent')
      raw.end()
    })).then(() => {})
  },
  {
    name: 'fragments/publish-byte-by-byte',
    who: 'write key',
    input: 'a PUBLISH of 60 KB after login, 2 bytes at a time',
    holds: 'linear time',
    async run (attacker) {
      const mqtt = await attacker.mqtt({ version: 5 })
      const packet = generate({
        cmd: 'publish', topic: 'iot-events', payload: eventOf(`${OWN_PREFIX}1`, OWN_ZONE, { x: 'x'.repeat(60_000) }), qos: 1, messageId: 1, dup: false, retain: false
      }, { protocolVersion: 5 })
      for (let at = 0; at < packet.length && mqtt?.raw.isOpen; at += 2) {
        mqtt.raw.write(packet.subarray(at, at + 2))
        if (at % 20 === 0) await new Promise(resolve => setImmediate(resolve))
      }
      attacker.count('sent')
      await attacker.pause(300)
    }
  },
  {
    name: 'fragments/chunked-body',
    who: 'write key',
    input: 'a body of 60,000 chunks of one byte, 360 KB on the wire',
    holds: 'linear time',
    async run (attacker) {
      const raw = await attacker.connect(attacker.target.apiPort)
      raw.write(`POST /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${attacker.target.token}\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n`)
      for (let n = 0; n < 600 && raw.isOpen; n++) {
        raw.write('1\r\n\n\r\n'.repeat(100))
        await attacker.pause(3)
      }
      raw.write('0\r\n\r\n')
      await raw.heard(5_000)
      attacker.count(raw.status)
      raw.end()
    }
  },
  {
    name: 'fragments/gzip-bytes',
    who: 'write key',
    input: 'a gzipped body of 10 KB as 10,000 chunks of a byte',
    holds: 'linear time',
    async run (attacker) {
      const { gzipSync } = await import('node:zlib')
      const { randomBytes } = await import('node:crypto')
      const bytes = gzipSync(randomBytes(10_000).toString('base64').slice(0, 10_000))
      const raw = await attacker.connect(attacker.target.apiPort)
      raw.write(`POST /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${attacker.target.token}\r\nContent-Type: application/x-ndjson\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n`)
      for (let at = 0; at < bytes.length && raw.isOpen; at++) {
        raw.write(Buffer.concat([Buffer.from('1\r\n'), bytes.subarray(at, at + 1), Buffer.from('\r\n')]))
        if (at % 20 === 0) await attacker.pause(2)
      }
      raw.write('0\r\n\r\n')
      await raw.heard(5_000)
      attacker.count(raw.status)
      raw.end()
    }
  },
  {
    name: 'fragments/head-byte-by-byte',
    who: 'stranger',
    input: '4 heads of HTTP of 15 KB, one byte at a time as fast as the socket takes them',
    holds: 'linear time',
    run: attacker => Promise.all(Array.from({ length: 4 }, async () => {
      const head = Buffer.from(`GET /api/v1/zones HTTP/1.1\r\nHost: 127.0.0.1\r\n${Array.from({ length: 300 }, (_, n) => `X-${n}: ${'a'.repeat(40)}`).join('\r\n')}\r\n\r\n`)
      const raw = await attacker.connect(attacker.target.apiPort)
      for (let at = 0; at < head.length && raw.isOpen; at++) {
        raw.write(head.subarray(at, at + 1))
        if (at % 10 === 0) await new Promise(resolve => setImmediate(resolve))
      }
      await raw.heard(2_000)
      attacker.count(raw.status)
      raw.end()
    })).then(() => {})
  }
]

/** A CONNECT with so many bytes of user properties. */
function bigConnect (bytes: number): Buffer {
  const userProperties = Object.fromEntries(Array.from({ length: Math.ceil(bytes / 40) }, (_, n) => [`k${n}`, 'v'.repeat(30)]))
  return generate({
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion: 5,
    clean: true,
    clientId: 'x',
    keepalive: 60,
    properties: { userProperties }
  }, { protocolVersion: 5 })
}
