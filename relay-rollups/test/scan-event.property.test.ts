import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'

import { decodeEvent, type EventRules } from '../src/event/event.ts'
import { runs } from 'relay-test-support/nightly.ts'
import { damagedEvents, writtenEvents } from 'relay-test-support/written-events.ts'
import { decodeNames, scanEvent } from '../src/event/scan-event.ts'
import { createScannedEvent, type ScannedEvent } from '../src/event/scanned-event.ts'

const rules: EventRules = { deviceTypes: new Set(['THERMOSTAT', 'CAR_FUEL', 'Wärmezähler']), futureMaxMs: 300_000 }
const timestampMaxMs = Date.UTC(2100, 0)
const nowMs = Date.UTC(2080, 0) // a fifth of the events is too far in the future

const written = writtenEvents([...rules.deviceTypes], timestampMaxMs)

/** Bytes before and after an event in a fetched buffer, which the scanner must not read. */
const neighbours = fc.constantFrom('', '"', '9', '}', '"}', ',"zone":"Zone B"}', '\\', ' ', 'e5', '.5}', 'Z"}', '\0')

/** One for all cases, as in the processor. */
const scanned = createScannedEvent()

/** Whether decodeEvent accepts another event with the scanned device, type and zone. */
function isKeyTaken (scanned: ScannedEvent): boolean {
  const { buffer, deviceIdStart, deviceIdEnd, deviceTypeStart, deviceTypeEnd, zoneStart, zoneEnd } = scanned
  const other = Buffer.concat([
    Buffer.from('{"value":1,"timestamp":0,"deviceId":"'), buffer.subarray(deviceIdStart, deviceIdEnd),
    Buffer.from('","deviceType":"'), buffer.subarray(deviceTypeStart, deviceTypeEnd),
    Buffer.from('","zone":"'), buffer.subarray(zoneStart, zoneEnd),
    Buffer.from('"}')
  ])
  return decodeEvent(other, rules, nowMs).kind === 'event'
}

/**
 * Compares the scanner with decodeEvent on one record.
 * @returns what happened, so that tests can check that all cases occur
 */
function compare (value: Uint8Array, before: string, behind: string): 'left' | 'refused-key' | 'future' | 'event' {
  const buffer = Buffer.concat([Buffer.from(before), value, Buffer.from(behind)])
  const start = Buffer.byteLength(before)
  const taken = scanEvent(buffer, start, start + value.length, scanned)
  const plain = decodeEvent(value, rules, nowMs)
  if (!taken) return 'left'

  // the obligation of the caller
  const names = decodeNames(scanned, rules)
  if (!isKeyTaken(scanned)) {
    assert.equal(plain.kind, 'rejected')
    assert.equal(names, undefined)
    return 'refused-key'
  }
  const { deviceIdStart, deviceIdEnd, deviceTypeStart, deviceTypeEnd, zoneStart, zoneEnd } = scanned
  const written = {
    deviceId: buffer.toString('utf8', deviceIdStart, deviceIdEnd),
    deviceType: buffer.toString('utf8', deviceTypeStart, deviceTypeEnd),
    zone: buffer.toString('utf8', zoneStart, zoneEnd)
  }
  // either the character itself, or invalid UTF-8
  const isLeft = Object.values(written).some(it => it.includes('\ufffd'))
  assert.deepEqual(names, isLeft ? undefined : written)
  if (scanned.timestampMs > nowMs + rules.futureMaxMs) {
    assert.equal(plain.kind === 'rejected' && plain.reason, 'timestamp-future')
    return 'future'
  }

  assert.deepEqual(plain, {
    kind: 'event',
    event: { ...written, value: scanned.value, timestampMs: scanned.timestampMs } // compared by Object.is
  })
  return 'event'
}

function countOutcomes () {
  return { left: 0, 'refused-key': 0, future: 0, event: 0 }
}

test('the scanner and decodeEvent agree on accepted events, in any spelling', () => {
  const counts = countOutcomes()
  const { numRuns } = runs(15_000)
  fc.assert(fc.property(written, neighbours, neighbours, ({ text }, before, behind) => {
    counts[compare(Buffer.from(text), before, behind)]++
  }), { numRuns })
  assert.ok(Math.min(counts.event, counts.left) > numRuns / 8 && counts.future > numRuns / 80, JSON.stringify(counts))
  assert.equal(counts['refused-key'], 0)
})

test('the scanner and decodeEvent agree on accepted events, with any changed bytes', () => {
  const counts = countOutcomes()
  const { numRuns } = runs(30_000)
  fc.assert(fc.property(damagedEvents(written), neighbours, neighbours, (bytes, before, behind) => {
    counts[compare(bytes, before, behind)]++
  }), { numRuns })
  const { event, left, 'refused-key': refused } = counts
  assert.ok(event > numRuns / 100 && refused > numRuns / 300 && left > numRuns / 6, JSON.stringify(counts))
})

test('the scanner never throws, for any bytes and length, at the end of a buffer or not', () => {
  const scrap = fc.oneof(
    fc.uint8Array({ maxLength: 30 }),
    fc.stringMatching(/^[{}":,.0-9eE\\ a-z-]{0,30}$/).map(text => Buffer.from(text)),
    fc.constantFrom('deviceId', 'deviceType', 'zone', 'value', 'timestamp')
      .map(name => Buffer.from(`{"${name}":"2024-01-01T00:00:00.`)))
  fc.assert(fc.property(scrap, fc.boolean(), neighbours, (bytes, closed, behind) => {
    compare(closed ? Buffer.concat([bytes, Buffer.from('}')]) : bytes, '', behind)
  }), runs(10_000))
})

test('a value is the same double as from JSON.parse, to the last bit', () => {
  const sources = fc.oneof(
    fc.stringMatching(/^-?(0|[1-9]\d{0,15})(\.\d{1,16})?$/),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map(value => JSON.stringify(value)),
    fc.tuple(fc.double({ noNaN: true, min: -1e9, max: 1e9 }), fc.integer({ min: 1, max: 20 }))
      .map(([value, digits]) => value.toPrecision(digits)))
  fc.assert(fc.property(sources, source => {
    const text = `{"value":${source},"deviceId":"a","deviceType":"b","zone":"c","timestamp":0}`
    const buffer = Buffer.from(text)
    assert.ok(scanEvent(buffer, 0, buffer.length, scanned), text)
    assert.ok(Object.is(scanned.value, JSON.parse(source) + 0), text)
  }), runs(20_000))
})
