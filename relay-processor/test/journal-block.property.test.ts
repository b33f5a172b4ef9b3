/** Recent readings of a block, held to a plain sort. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'

import { decodeJournal, JournalWriter, type Readings } from 'relay-rollups'

import { RecentReadings } from '../src/journal-block.ts'

const NOW_MS = Date.parse('2026-03-01T12:00:00Z')

type Reading = readonly [id: number, timeMs: number, value: number]

/** one flush: series ascend, and readings of one are sorted; flushes are in any order of time */
const flush = fc.array(fc.tuple(
  fc.nat(4_095), fc.oneof(fc.nat(5), fc.nat(NOW_MS)).map(it => NOW_MS - it), fc.integer({ min: -20, max: 20 })
), { maxLength: 20 }).map(readings => readings.sort(compare))

const writer = new JournalWriter()

test('recent readings are written and gathered by series, each in the order of time and value', () => {
  fc.assert(fc.property(fc.array(flush, { maxLength: 8 }), fc.nat(2 ** 31 - 5_000), (flushes, leastId) => {
    const recent = new RecentReadings()
    const all = flushes.flat().map(([id, ...reading]): Reading => [leastId + id, ...reading])
    for (const reading of all) recent.add(...reading)
    const expected = all.toSorted(compare)

    const gathered = { readings: new Map<number, Readings>() }
    recent.gatherInto(gathered)
    assert.deepEqual([...gathered.readings].flatMap(([id, it]) => listed(id, it)), expected)
    if (all.length === 0) return
    assert.equal(recent.writeAll(writer), new Set(all.map(([id]) => id)).size)
    const written: Reading[] = []
    decodeJournal(writer.take().body, {
      readings: (id, it) => { written.push(...listed(id, it)) }, rollup: () => assert.fail()
    })
    assert.deepEqual(written, expected)
  }))
})

function listed (id: number, { timesMs, values }: Readings): Reading[] {
  return timesMs.map((timeMs, n) => [id, timeMs, values[n]])
}

function compare ([id, timeMs, value]: Reading, [otherId, otherTimeMs, otherValue]: Reading): number {
  return id - otherId || timeMs - otherTimeMs || value - otherValue
}
