/** Ids chosen to collide: a look-up still visits few slots. Slots are counted, not time. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { HashKeys } from '../src/keyed-hash.ts'
import { SeriesTable, type SeriesKey } from '../src/series-table.ts'

const COUNT = 20_000
const type = 'THERMOSTAT'

interface Name { readonly deviceId: string, readonly zone: string }

function keyOf ({ deviceId, zone }: Name): SeriesKey {
  const [device, deviceType, place] = [deviceId, type, zone].map(it => Buffer.from(it))
  const typeStart = device.length
  const zoneStart = typeStart + deviceType.length
  return {
    buffer: Buffer.concat([device, deviceType, place]),
    deviceIdStart: 0,
    deviceIdEnd: device.length,
    deviceTypeStart: typeStart,
    deviceTypeEnd: zoneStart,
    zoneStart,
    zoneEnd: zoneStart + place.length
  }
}

/** Most and mean slots visited by a look-up of one of these, in a table of them and as many honest ones. */
function probesOf (names: readonly Name[]): { most: number, mean: number } {
  const table = new SeriesTable(0, { partitions: 1, horizonMs: -Infinity }, -Infinity)
  const honest = Array.from({ length: COUNT }, (_, n) => ({ deviceId: `device-${n}`, zone: 'Zone A' }))
  const all = [...names, ...honest]
  for (const name of all) table.findOrAdd({ ...name, deviceType: type })
  for (const name of all) assert.equal(table.find(keyOf(name))?.deviceId, name.deviceId)
  const probes = all.map(it => table.probesOf(keyOf(it)))
  return { most: Math.max(...probes), mean: probes.reduce((sum, it) => sum + it) / probes.length }
}

function assertFew (names: readonly Name[]): void {
  assert.equal(new Set(names.map(it => `${it.deviceId}\n${it.zone}`)).size, names.length, 'names are told apart')
  const { most, mean } = probesOf(names)
  // at most half full: 1.5 on average, and the longest run about 40 of 100,000
  assert.ok(mean < 2, `${mean} places on average`)
  assert.ok(most < 150, `${most} places`)
}

/** FNV-1a of 32 bits, which has no secret. */
function fnv (text: string, start = 0x811c9dc5): number {
  let hash = start | 0
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x01000193)
  return hash ^ (hash >>> 15)
}

test('ids that collide under FNV-1a are found as fast as others', () => {
  const names: Name[] = []
  for (let n = 0; names.length < COUNT; n++) {
    const deviceId = `x${n.toString(36)}`
    if ((fnv(deviceId) & 0x3f) === 7) names.push({ deviceId, zone: 'Zone A' })
  }
  assertFew(names)
})

test('ids of blocks that collide under FNV-1a with any prefix are found as fast as others', () => {
  // pairs of blocks that change one state to the same next state: 2^n ids of n blocks have one hash, from that start
  const states = [0x811c9dc5 | 0]
  const pairs: Array<[string, string]> = []
  for (let n = 0; n < 15; n++) {
    const seen = new Map<number, string>()
    for (let k = 0; pairs.length === n; k++) {
      const block = (Math.imul(k, 0x9e3779b1) >>> 0).toString(36).padStart(7, '0')
      let hash = states[n]
      for (let at = 0; at < block.length; at++) hash = Math.imul(hash ^ block.charCodeAt(at), 0x01000193)
      const other = seen.get(hash)
      if (other !== undefined) {
        pairs.push([other, block])
        states.push(hash)
      }
      seen.set(hash, block)
    }
  }
  const names = Array.from({ length: COUNT }, (_, n) => ({
    deviceId: pairs.map((pair, bit) => pair[n >> bit & 1]).join(''), zone: 'Zone A'
  }))
  assert.equal(new Set(names.map(it => fnv(it.deviceId))).size, 1)
  assertFew(names)
})

/** An earlier hash of record keys: by words, with a fixed factor, or any odd one. */
function mixWords (view: DataView, factor: number): number {
  let hash = view.byteLength
  for (let at = 0; at < view.byteLength; at += 4) {
    hash = Math.imul(hash ^ view.getInt32(at, true), factor)
    hash ^= hash >>> 15
  }
  return hash
}

test('keys whose differences survive xor and multiplication with any seed have different hashes', () => {
  // the top bit of a word is unchanged by any odd factor, and becomes two bits by the shift: the next word cancels them
  const hashes = new HashKeys()
  const places = new Map<number, number>()
  const mixed = [new Set<number>(), new Set<number>()]
  for (let n = 0; n < 2 ** 14; n++) {
    const view = new DataView(new ArrayBuffer(14 * 8))
    for (let bit = 0; bit < 14; bit++) {
      if ((n >> bit & 1) === 0) continue
      view.setUint32(bit * 8, 2 ** 31, true)
      view.setUint32(bit * 8 + 4, 2 ** 31 + 2 ** 16, true)
    }
    mixed[0].add(mixWords(view, 0x9e3779b1))
    mixed[1].add(mixWords(view, 0x2545f491))
    const place = hashes.hash(view, 0, view.byteLength) & 0x7fff
    places.set(place, (places.get(place) ?? 0) + 1)
  }
  assert.deepEqual(mixed.map(it => it.size), [1, 1])
  const most = Math.max(...places.values())
  assert.ok(most < 12, `${most} of ${2 ** 14} keys in one of ${2 ** 15} places`)
})

test('a device in 20,000 zones is found in each as fast as others', () => {
  assertFew(Array.from({ length: COUNT }, (_, n) => ({ deviceId: 'device', zone: `Zone ${n}` })))
})

test('names that are one text, split at different places, are found as fast as others', () => {
  assertFew(Array.from({ length: 100 }, (_, n) => ({ deviceId: 'x'.repeat(n + 1), zone: 'x'.repeat(100 - n) })))
})

test('consecutive ids are found as fast as others', () => {
  assertFew(Array.from(
    { length: COUNT }, (_, n) => ({ deviceId: `sensor-${String(n).padStart(8, '0')}`, zone: 'Zone A' })
  ))
})

test('two processes use different numbers: what collides in one does not in the other', () => {
  const one = new HashKeys()
  const other = new HashKeys()
  const view = new DataView(new ArrayBuffer(16))
  const byHash = new Map<number, number>()
  let pairs = 0
  let shared = 0
  for (let n = 0; n < 300_000; n++) {
    view.setInt32(4, n)
    const before = byHash.get(one.hash(view, 0, 16) & 0xffffff)
    byHash.set(one.hash(view, 0, 16) & 0xffffff, n)
    if (before === undefined) continue
    pairs++
    const hash = other.hash(view, 0, 16)
    view.setInt32(4, before)
    if (((other.hash(view, 0, 16) ^ hash) & 0xffffff) === 0) shared++
  }
  assert.ok(pairs > 100, `${pairs} pairs`)
  assert.equal(shared, 0)
})
