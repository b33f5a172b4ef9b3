import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'

import { createScannedEvent, scanEvent } from 'relay-rollups'
import { Chance } from 'relay-test-support/chance.ts'
import { KnownHeads } from '../src/known-heads.ts'

interface Sent { readonly key: string, readonly text: string }

/** The first one three times out of four. */
const mostly = <T>(usual: T, ...others: T[]) =>
  fc.oneof({ weight: 3, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constantFrom(...others) })

/** Records of a few devices as their serializers write them, and invalid ones. */
const sent: fc.Arbitrary<Sent> = fc.record({
  key: mostly('device-17', 'a', 'device-18', 'ünï', '', '\0'.repeat(8)),
  id: mostly('as the key', 'device-17', 'a device by another name'),
  zone: mostly('Zone A', 'Zone B'),
  style: mostly([',', ':'], [', ', ': '], [' ,\n', ' :\t']),
  extra: mostly('', '"unit":"C"', '"deviceId":"b"', '"timestamp":0', '"value":1'),
  place: fc.nat(5),
  order: mostly('itzvs', 'tzivs', 'itzsv', 'vitzs', 'itvzs'),
  value: fc.oneof(
    { weight: 4, arbitrary: fc.double({ noNaN: true, min: -1e6, max: 1e6 }).map(it => JSON.stringify(it)) },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        '-0', '1e5', '22.', '.5', '007', 'null', '"22.5"', '', '[1]', '123456789012345678.5'
      )
    }),
  time: fc.oneof(
    {
      weight: 4,
      arbitrary: fc.date({ min: new Date(0), max: new Date('2100-01-01'), noInvalidDate: true }).map(it =>
        JSON.stringify(it))
    },
    { weight: 2, arbitrary: fc.nat(2_000_000_000).map(it => `${it}.123456789`) },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        '"2024-02-30T00:00:00Z"', '1e9', '-1', 'true', '""', '"2024-01-01T00:00:00Z'
      )
    }),
  tail: mostly('}', '} ', ',"seq":1}', '}}', '')
}).map(({ key, id, zone, style: [comma, colon], extra, place, order, value, time, tail }) => {
  const members: Record<string, string> = {
    i: `"deviceId"${colon}"${id === 'as the key' ? key : id}"`,
    t: `"deviceType"${colon}"THERMOSTAT"`,
    z: `"zone"${colon}"${zone}"`,
    v: `"value"${colon}${value}`,
    s: `"timestamp"${colon}${time}`
  }
  const written = [...order].map(it => members[it])
  if (extra) written.splice(place, 0, extra)
  return { key, text: `{${written.join(comma)}${tail}` }
})

const idsOf = ({
  buffer, deviceIdStart, deviceIdEnd, deviceTypeStart, deviceTypeEnd, zoneStart, zoneEnd
}: ReturnType<typeof createScannedEvent>) => [
  buffer.toString('utf8', deviceIdStart, deviceIdEnd), buffer.toString('utf8', deviceTypeStart, deviceTypeEnd),
  buffer.toString('utf8', zoneStart, zoneEnd)
].join('\n')

test('a record with a known head gives the same result as the scanner, whatever was learned before', () => {
  const known = createScannedEvent()
  const plain = createScannedEvent()
  let taken = 0
  fc.assert(fc.property(fc.array(sent, { minLength: 2, maxLength: 30 }), fc.infiniteStream(
    fc.nat(400)
  ), (records, damage) => {
    const heads = new KnownHeads()
    const series: string[] = []
    for (const { key, text } of records) {
      const buffer = Buffer.from(`"${key}${text}"9`) // neighbours that must not be read
      const start = 1 + Buffer.byteLength(key)
      const end = buffer.length - 2
      const { value: place } = damage.next()
      if (place < end && place % 3 === 0) buffer[place] ^= 1 << (place % 7)

      const index = heads.scan(buffer, 1, start, start, end, known)
      const isTaken = scanEvent(buffer, start, end, plain)
      if (index >= 0) {
        taken++
        assert.ok(isTaken, text)
        assert.ok(Object.is(known.value, plain.value), text)
        assert.equal(known.timestampMs, plain.timestampMs, text)
        assert.equal(
          series[index], `${buffer.toString('utf8', 1, start)} ${idsOf(plain)}`,
          'key and ids are those that were learned'
        )
      } else if (isTaken) {
        heads.learn(
          plain, 1, start, start, end, series.push(`${buffer.toString('utf8', 1, start)} ${idsOf(plain)}`) - 1
        )
      }
    }
  }), { numRuns: 5_000 })
  assert.ok(taken > 1_000, `${taken} were taken`)
})

/** Heads that learn and scan events of a device, one thermostat of Zone A, under a key. */
function openHeads () {
  const heads = new KnownHeads()
  const scanned = createScannedEvent()
  const record = (key: string, device: string, value: number) =>
    Buffer.from(
      `${key}{"deviceId":"${device}","deviceType":"THERMOSTAT","zone":"Zone A","value":${value},"timestamp":"2024-01-01T00:00:00Z"}`
    )
  return {
    scanned,
    learn (key: string, device: string, series: number) {
      const buffer = record(key, device, 1)
      assert.ok(scanEvent(buffer, key.length, buffer.length, scanned))
      heads.learn(scanned, 0, key.length, key.length, buffer.length, series)
    },
    scan (key: string, device: string, value: number): number {
      const buffer = record(key, device, value)
      return heads.scan(buffer, 0, key.length, key.length, buffer.length, scanned)
    }
  }
}

test('heads of many devices are all found, and for one key beyond a few the scanner takes over', () => {
  const { learn, scan, scanned } = openHeads()
  const devices = 20_000
  for (let n = 0; n < devices; n++) learn(`device-${n}`, `device-${n}`, n)
  let found = 0
  for (let n = 0; n < devices; n++) {
    const index = scan(`device-${n}`, `device-${n}`, n / 10)
    assert.ok(index === n || index === -1)
    if (index === n) found++
    if (index === n) assert.equal(scanned.value, n / 10)
  }
  assert.ok(found > devices * 0.99, `${found} of ${devices}`)

  for (let n = devices; n < 2 * devices; n++) learn('one key', `device-${n}`, n)
  assert.equal(scan('one key', `device-${devices}`, 2), devices)
  assert.equal(scan('one key', `device-${2 * devices - 1}`, 2), -1)
})

test('keys with equal hashes are not confused', () => {
  const { learn, scan } = openHeads()
  const chance = new Chance(1)
  const key = () => Array.from({ length: 12 }, () => String.fromCharCode(chance.between(0x61, 0x7a))).join('')
  const keys = 150_000 // of 2^32 hashes: with as many others, five pairs are expected
  for (let n = 0; n < keys; n++) {
    const known = key()
    learn(known, 'one device', n)
  }
  for (let n = 0; n < keys; n++) {
    const unknown = key()
    assert.equal(scan(unknown, 'one device', 1), -1)
  }
})

test('a zero byte in a key or head is left to the scanner', () => {
  const event = (device: string) =>
    `{"deviceId":"${device}","deviceType":"THERMOSTAT","zone":"Zone A","value":1,"timestamp":"2024-01-01T00:00:00Z"}`
  for (const [key, text, isKnown] of [
    ['device-1', event('device-1'), true],
    ['\0'.repeat(8), event('device-1'), false],
    ['device-1', event('\0'.repeat(8)), false]
  ] as const) {
    const heads = new KnownHeads()
    const scanned = createScannedEvent()
    const buffer = Buffer.from(key + text)
    assert.ok(scanEvent(buffer, key.length, buffer.length, scanned))
    heads.learn(scanned, 0, key.length, key.length, buffer.length, 7)
    assert.equal(heads.scan(buffer, 0, key.length, key.length, buffer.length, scanned), isKnown ? 7 : -1)
  }
})

test('memory of heads does not grow with the length of records', () => {
  const heads = new KnownHeads()
  const learn = (key: string, padding: number) => {
    const text =
      `{"pad":"${'x'.repeat(padding)}","deviceId":"${key}","deviceType":"THERMOSTAT","zone":"Zone A","value":1,"timestamp":0}`
    const buffer = Buffer.from(key + text)
    const scanned = createScannedEvent()
    assert.ok(scanEvent(buffer, key.length, buffer.length, scanned))
    heads.learn(scanned, 0, key.length, key.length, buffer.length, 1)
  }
  for (let n = 0; n < 1_000; n++) learn(`device-${n}`, 60_000)
  assert.equal(heads.sizeBytes, 0, 'a head of 60 KB is left to the scanner')
  for (let n = 0; n < 100_000; n++) learn(`device-${n}`, 850)
  const { sizeBytes } = heads
  assert.ok(sizeBytes > 60e6 && sizeBytes <= 64 * 1024 * 1024, `${sizeBytes} bytes`)
})
