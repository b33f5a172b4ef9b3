/** Errors in the bytes of packets, which end a connection with the code of the standard. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createDecoder } from '../src/ingest/mqtt-decode.ts'
import type { MqttVersion } from '../src/ingest/mqtt-packets.ts'
import { properties, type PropertyKind } from '../src/ingest/mqtt-properties.ts'

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')
const text = (value: string) => Buffer.concat([hex(value.length.toString(16).padStart(4, '0')), Buffer.from(value)])
const sized = (bytes: Buffer) => Buffer.concat([Buffer.of(bytes.length), bytes])
const packetOf = (type: number, ...fields: Buffer[]) => Buffer.concat([Buffer.of(type), sized(Buffer.concat(fields))])
const none = Buffer.of(0)

const connect = (version: MqttVersion, own: Buffer = none) =>
  packetOf(0x10, text('MQTT'), Buffer.of(version, 2), hex('0000'), version === 5 ? own : hex(''), text('c'))
/** A packet of MQTT 5 with properties, by its owner in the table of properties. */
const packets: Record<string, (own: Buffer) => Buffer> = {
  connect: own => connect(5, own),
  will: own => packetOf(0x10, text('MQTT'), Buffer.of(5, 6), hex('0000'), none, text('c'), own, text('w'), text('')),
  publish: own => packetOf(0x30, text('a'), own),
  pubrel: own => packetOf(0x62, hex('0001 00'), own),
  subscribe: own => packetOf(0x82, hex('0001'), own, text('a'), Buffer.of(0)),
  unsubscribe: own => packetOf(0xa2, hex('0001'), own, text('a')),
  disconnect: own => packetOf(0xe0, hex('00'), own)
}

/** @returns the reason of a violation; undefined: none */
function reasonOf (bytes: Buffer, version: MqttVersion = 5): string | undefined {
  const decoder = createDecoder()
  decoder.decode(connect(version))
  const decoded = decoder.decode(bytes)
  return decoded.kind === 'violation' ? decoded.reason : undefined
}

/** By kind: a value of zero or nothing, and another one. */
const values: Record<PropertyKind, readonly [string, string]> = {
  flag: ['00', '01'],
  'number-2': ['0000', '0001'],
  'number-4': ['00000000', '00000001'],
  varint: ['00', '01'],
  text: ['0000', '0001 61'],
  topic: ['0000', '0001 61'],
  binary: ['0000', '0001 61'],
  pair: ['0000 0000', '0001 61 0000']
}
/** a valid value that the server does not support */
const unsupported = ['authenticationMethod', 'authenticationData']

test('a property is accepted once, in its own packets alone, and refused twice, also with the value 0', () => {
  for (const [number, { name, kind, packets: owners }] of Object.entries(properties)) {
    for (const [owner, packet] of Object.entries(packets)) {
      const times = (count: number, value: string) => {
        const one = Buffer.concat([Buffer.of(Number(number)), hex(value)])
        return reasonOf(packet(sized(Buffer.concat(Array<Buffer>(count).fill(one)))))
      }
      const what = `${name} of ${owner}`
      if (!owners.has(owner)) {
        assert.match(times(1, values[kind][1]) ?? 'accepted', /malformed|protocolError/, what)
        continue
      }
      if (!unsupported.includes(name)) assert.equal(times(1, values[kind][1]), undefined, what)
      for (const value of values[kind]) {
        assert.equal(times(2, value), kind === 'pair' ? undefined : 'protocolError', `${what}, twice ${value}`)
      }
    }
  }
})

test('a length in more bytes than needed is malformed in MQTT 5, and accepted in MQTT 3.1.1', () => {
  assert.equal(reasonOf(hex('c0 00')), undefined)
  assert.equal(reasonOf(hex('c0 8000')), 'malformed')
  assert.equal(reasonOf(hex('c0 808000')), 'malformed')
  assert.equal(reasonOf(hex('30 8400 0001 61 00')), 'malformed')
  assert.equal(reasonOf(hex('30 8300 0001 61'), 4), undefined)
  for (const [owner, packet] of Object.entries(packets)) {
    assert.equal(reasonOf(packet(hex('00'))), undefined, owner)
    assert.equal(reasonOf(packet(hex('8000'))), 'malformed', owner)
    assert.equal(reasonOf(packet(hex('ffffffff01'))), 'malformed', owner)
  }
  assert.equal(reasonOf(packets.subscribe(hex('02 0b01'))), undefined)
  assert.equal(reasonOf(packets.subscribe(hex('03 0b8100'))), 'malformed')
})

test('texts that are not UTF-8, and values out of range, have the code of the standard', () => {
  const bad = hex('0002 c328')
  for (const version of [4, 5] as const) {
    const own = version === 5 ? none : hex('')
    const hello = (flags: number, ...rest: Buffer[]) =>
      packetOf(0x10, text('MQTT'), Buffer.of(version, flags), hex('0000'), own, ...rest)
    for (const [what, bytes] of [
      ['client id', hello(2, bad)],
      ['client id with a NUL', hello(2, text('\0'))],
      ['user name', hello(0x82, text('c'), bad)],
      ['topic of the will', hello(6, text('c'), own, bad, text(''))],
      ['topic', packetOf(0x30, bad, own)],
      ['half a surrogate pair', packetOf(0x30, hex('0003 eda080'), own)],
      ['filter', packetOf(0x82, hex('0001'), own, bad, Buffer.of(0))],
      ['filter of UNSUBSCRIBE', packetOf(0xa2, hex('0001'), own, bad)]
    ] as const) assert.equal(reasonOf(bytes, version), 'malformed', `${what}, MQTT ${version}`)
    assert.equal(reasonOf(hello(6, text('c'), own, text('a/#'), text('')), version), 'topicNameInvalid')
    assert.equal(reasonOf(hello(0xc2, text('c'), text('u'), bad), version), undefined, 'a password may be any bytes')
  }
  for (const [what, owner, own, reason] of [
    ['a content type', 'publish', '05 03 0002c328', 'malformed'],
    ['a user property', 'publish', '08 26 0001 61 0002c328', 'malformed'],
    ['a reason', 'disconnect', '05 1f 0002c328', 'malformed'],
    ['a flag of 2', 'connect', '02 17 02', 'protocolError'],
    ['a flag of 2', 'publish', '02 01 02', 'protocolError'],
    ['a subscription identifier of 0', 'subscribe', '02 0b 00', 'protocolError'],
    ['authentication data without a method', 'connect', '04 16 0001 61', 'protocolError'],
    ['a value beyond the end of the properties', 'publish', '02 03 0001 61', 'malformed'],
    ['an unknown property', 'subscribe', '01 7f', 'malformed']
  ]) assert.equal(reasonOf(packets[owner](hex(own))), reason, `${what} of ${owner}`)
})

test('bytes after the end of a packet are malformed in MQTT 5', () => {
  const withMore = (bytes: Buffer) =>
    Buffer.concat([Buffer.of(bytes[0], bytes[1] + 1), bytes.subarray(2), Buffer.of(0)])
  for (const bytes of [connect(5), packets.will(none), packets.pubrel(none), packets.disconnect(none), hex('c0 00')]) {
    assert.equal(reasonOf(bytes), undefined)
    assert.equal(reasonOf(withMore(bytes)), 'malformed')
  }
  assert.equal(reasonOf(withMore(packets.publish(none))), undefined, 'it is the payload')
})
