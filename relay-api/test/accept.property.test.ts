/** Events are sorted equally whether their series are known, and so read by the scanner, or not. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'
import type { EventGrants } from 'relay-access'
import type { DeviceEvent, EventRules } from 'relay-rollups'
import { damagedEvents, writtenEvents } from 'relay-test-support/written-events.ts'
import { Sorting, type Known } from '../src/ingest/accept.ts'
import { KnownSeries } from '../src/ingest/known-series.ts'

const rules: EventRules = {
  deviceTypes: new Set(['THERMOSTAT', 'CAR_FUEL', 'Wärmezähler']),
  futureMaxMs: 300_000,
  keepMs: [1, 2, 3].map(it => it * 20 * 365 * 86_400_000)
}
const nowMs = Date.UTC(2080, 0) // a fifth of the events is too far in the future
const written = writtenEvents([...rules.deviceTypes], Date.UTC(2100, 0))
const events = fc.oneof(written.map(it => Buffer.from(it.text)), damagedEvents(written))
const grants = fc.constantFrom<EventGrants>(
  {}, { devicePrefixes: ['a', 'd'] }, { zones: ['Zone A'] }, { deviceId: 'a' }
)

const nothing: Known = { isFree: () => false, isScannedFree: () => false }

function sort (body: Buffer, items: readonly Buffer[], grants: EventGrants, known: Known): Sorting {
  const sorting = new Sorting(body, { rules, grants }, known, nowMs)
  for (const it of items) sorting.add(it)
  return sorting
}

function textsOf ({ records, refused }: Sorting) {
  return { records: records.map(({ key, value }) => [String(key), String(value)]), refused }
}

test('an event of a known series is judged like one of an unknown series', () => {
  let scanned = 0
  fc.assert(fc.property(fc.array(events, { minLength: 1, maxLength: 5 }), grants, (values, grants) => {
    const body = Buffer.concat(values.flatMap(it => [it, Buffer.from('\n')]))
    let at = 0
    const items = values.map(it => body.subarray(at, (at += it.length + 1) - 1))
    const plain = sort(body, items, grants, nothing)
    const series = new KnownSeries(1024)
    for (const { event } of plain.maybeNew) series.add(event)
    const known: Known = {
      isFree: (event: DeviceEvent) => series.has(event),
      isScannedFree (event) {
        const isKnown = series.hasScanned(event)
        if (isKnown) scanned++
        return isKnown
      }
    }
    const again = sort(body, items, grants, known)
    assert.deepEqual(textsOf(again), textsOf(plain))
    assert.deepEqual(again.maybeNew, [])
  }), { numRuns: 1_500 })
  assert.ok(scanned > 50, `${scanned} events were known as they stand`)
})
