/** MQTT bytes are split into packets and decoded in linear time, for any content and pieces. */
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import fc from 'fast-check'
import { generate, type Packet } from 'mqtt-packet'

import { createDecoder, decodeCutOff } from '../src/ingest/mqtt-decode.ts'
import { Frames, type Frame } from '../src/ingest/mqtt-frames.ts'
import { runs } from 'relay-test-support/nightly.ts'

const kept = { keptMaxBytes: 1_000, passedMaxBytes: 5_000 }

/** A packet with a type and the size of its body. */
function packetOf (type: number, bodyBytes: number): Buffer {
  const length: number[] = []
  let rest = bodyBytes
  do {
    length.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0))
    rest >>= 7
  } while (rest > 0)
  return Buffer.concat([Buffer.from([type << 4, ...length]), Buffer.alloc(bodyBytes, bodyBytes % 251)])
}

function * framesOf (frames: Frames, pieces: Iterable<Buffer>): Generator<Frame> {
  for (const piece of pieces) {
    frames.push(piece)
    for (let frame = frames.next(); frame; frame = frames.next()) yield frame
  }
}

function readAll (frames: Frames, pieces: Iterable<Buffer>): void {
  for (const frame of framesOf(frames, pieces)) if (frame.kind === 'malformed') return
}

/** Splits bytes at positions. */
function cutAt (bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = [0, ...places.map(it => it % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]
  return at.slice(1).map((end, n) => bytes.subarray(at[n], end))
}

test('packets come out unchanged, for any pieces', () => {
  const packets = fc.array(
    fc.record({ type: fc.integer({ min: 0, max: 15 }), bodyBytes: fc.oneof(fc.nat(20), fc.nat(4_900)) }),
    { maxLength: 8 }
  )
  fc.assert(fc.property(packets, fc.array(fc.nat(), { maxLength: 40 }), (made, places) => {
    const whole = made.map(it => packetOf(it.type, it.bodyBytes))
    const frames = new Frames(kept)
    const found = [...framesOf(frames, cutAt(Buffer.concat(whole), places))]
    assert.equal(found.length, whole.length)
    for (const [n, frame] of found.entries()) {
      const isKept = whole[n].length <= kept.keptMaxBytes
      assert.equal(frame.kind, isKept ? 'whole' : 'cut-off')
      assert.ok('bytes' in frame && frame.bytes.equals(whole[n].subarray(0, kept.keptMaxBytes)))
      if (frame.kind === 'cut-off') assert.equal(frame.sizeBytes, whole[n].length)
    }
    assert.equal(frames.isPartial, false)
  }))
})

test('an oversized length, or an invalid one, is detected before the packet arrives', () => {
  const kindOf = (bytes: number[]) => [...framesOf(new Frames(kept), bytes.map(it => Buffer.from([it])))].at(-1)?.kind
  assert.equal(kindOf([0x30, 0x85, 0x27]), undefined) // 5,000 with its header
  assert.equal(kindOf([0x30, 0x86, 0x27]), 'too-large')
  assert.equal(kindOf([0x30, 0xff, 0xff, 0xff, 0x7f]), 'too-large')
  assert.equal(kindOf([0x30, 0xff, 0xff, 0xff, 0xff]), 'malformed')
})

test('decoding throws nothing, for any bytes', () => {
  const body = fc.uint8Array({ maxLength: 80 })
  fc.assert(fc.property(fc.integer({ min: 0, max: 255 }), body, fc.constantFrom(
    undefined, 4, 5
  ), (first, bytes, version) => {
    const decoder = createDecoder()
    if (version) decoder.decode(connect(version))
    const packet = Buffer.concat([Buffer.from([first, bytes.length]), bytes])
    assert.ok(['packet', 'violation'].includes(decoder.decode(packet).kind))
    assert.ok(['packet', 'violation'].includes(decoder.decode(Buffer.from(bytes)).kind))
    decodeCutOff(packet)
  }), runs(5_000))
})

function connect (protocolVersion: 4 | 5, fields: object = {}): Buffer {
  return generate({
    cmd: 'connect', protocolId: 'MQTT', protocolVersion, clientId: 'c', clean: true, keepalive: 0, ...fields
  } as Packet, { protocolVersion })
}

const RUNS = 5
/** Work is repeated to this duration, because clocks of CPU time have steps. */
const LEAST_MS = 10

/** CPU time of the cheapest of some runs, ms. */
function costOf (work: () => void): number {
  let least = Infinity
  for (let run = 0; run < RUNS; run++) {
    const before = process.cpuUsage()
    work()
    const { user, system } = process.cpuUsage(before)
    least = Math.min(least, (user + system) / 1_000)
  }
  return least
}

const RATIO_MAX = 2.5
const large = { keptMaxBytes: 2 ** 27, passedMaxBytes: 2 ** 27 }
const publish = (fields: object) =>
  generate(
    { cmd: 'publish', topic: 't', payload: '', qos: 0, dup: false, retain: false, ...fields } as Packet,
    { protocolVersion: 5 }
  )

/** A packet of MQTT 5 with raw properties. */
function withProperties (properties: Buffer): Buffer {
  const varint = (value: number): number[] => value < 128 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >> 7)]
  const body = Buffer.concat([Buffer.from([0, 1, 0x74, ...varint(properties.length)]), properties])
  return Buffer.concat([Buffer.from([0x30, ...varint(body.length)]), body])
}

/** Inputs that grow with n. Each returns the work to measure. */
const growing: Record<string, (n: number) => () => void> = {
  'a packet byte by byte' (n) {
    const pieces = cutAt(packetOf(1, n), Array.from({ length: n }, (_, at) => at))
    return () => { readAll(new Frames(large), pieces) }
  },
  'a long packet in pieces of 16 bytes' (n) {
    const pieces = cutAt(packetOf(3, 16 * n), Array.from({ length: n }, (_, at) => 16 * at))
    return () => { readAll(new Frames(large), pieces) }
  },
  'a packet that is passed over, in pieces' (n) {
    const pieces = cutAt(packetOf(3, 16 * n), Array.from({ length: n }, (_, at) => 16 * at))
    return () => { readAll(new Frames({ ...large, keptMaxBytes: 100 }), pieces) }
  },
  'small packets in one piece' (n) {
    const bytes = Buffer.concat(Array<Buffer>(n).fill(packetOf(12, 0)))
    return () => { readAll(new Frames(large), [bytes]) }
  },
  'a length that never ends' (n) {
    const bytes = Buffer.alloc(n, 0xff)
    return () => { readAll(new Frames(large), [bytes]) }
  },
  'a topic' (n) { return decoding(publish({ topic: 't'.repeat(n) })) },
  'a payload' (n) { return decoding(publish({ payload: 'x'.repeat(10 * n) })) },
  'user properties of one name' (n) {
    return decoding(publish({
      properties: { userProperties: { a: Array<string>(n).fill('b') } }
    }))
  },
  'user properties of many names' (n) {
    return decoding(publish({
      properties: {
        userProperties: Object.fromEntries(Array.from(
          { length: n }, (_, at) => [`n${at}`, 'b']
        ))
      }
    }))
  },
  'one property again and again' (n) {
    return decoding(
      withProperties(Buffer.concat(Array<Buffer>(n).fill(Buffer.from([1, 1]))))
    )
  },
  'numbers as properties' (n) {
    return decoding(
      withProperties(Buffer.concat(Array<Buffer>(n).fill(Buffer.from([0x0b, 1]))))
    )
  },
  subscriptions (n) {
    return decoding(generate({
      cmd: 'subscribe', messageId: 1, subscriptions: Array.from({ length: n }, () => ({ topic: 'a', qos: 0 }))
    } as Packet, { protocolVersion: 5 }))
  },
  unsubscriptions (n) {
    return decoding(generate(
      { cmd: 'unsubscribe', messageId: 1, unsubscriptions: Array<string>(n).fill('a') } as Packet,
      { protocolVersion: 5 }
    ))
  },
  'a client id' (n) {
    const bytes = connect(5, { clientId: 'c'.repeat(n) })
    return () => { createDecoder().decode(bytes) }
  }
}

/** The longest strings of MQTT, below the longest accepted packets. */
const SIZE = 30_000

function decoding (bytes: Buffer): () => void {
  const decoder = createDecoder()
  decoder.decode(connect(5))
  return () => { decoder.decode(bytes) }
}

suite('twice the input takes at most 2.5 times as long', () => {
  for (const [name, workOf] of Object.entries(growing)) {
    test(name, () => {
      const [half, whole] = [workOf(SIZE / 2), workOf(SIZE)]
      let times = 1
      const repeated = (work: () => void) => () => { for (let n = 0; n < times; n++) work() }
      const before = process.cpuUsage().user
      for (times = 0; process.cpuUsage().user - before < LEAST_MS * 1_000; times++) half()
      const ratios = [] // the machine is shared: one undisturbed pair of runs shows that the work is linear
      do ratios.push(costOf(repeated(whole)) / costOf(repeated(half)))
      while (ratios.at(-1)! > RATIO_MAX && ratios.length < 5)
      assert.ok(Math.min(...ratios) <= RATIO_MAX, `ratios ${ratios.map(it => it.toFixed(2)).join(', ')}`)
    })
  }
})
