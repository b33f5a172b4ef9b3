import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'

import { RelayError } from 'relay-common'
import { JournalWriter, decodeJournal } from '../src/journal-row.ts'
import { mergeReadings, type Readings } from '../src/readings.ts'
import { emptyRollup, foldReading, type Rollup } from '../src/rollup.ts'
import { encodeRollupBody } from '../src/rollup-row.ts'
import { MINUTE_MS } from '../src/window.ts'

const NOW_MS = Date.parse('2026-03-01T12:00:00Z')

const value = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }), fc.integer({ min: -999, max: 999 }).map(it => it / 10)
)
const timeMs = fc.oneof(fc.nat(NOW_MS), fc.nat(120_000).map(it => NOW_MS - it))
const readings = fc.array(fc.tuple(timeMs, value), { minLength: 1, maxLength: 20 }).map(all => {
  const merged: Readings = { timesMs: [], values: [] }
  mergeReadings(merged, { timesMs: all.map(it => it[0]), values: all.map(it => it[1]) }, true)
  return merged
})
const bySeries = <T>(content: fc.Arbitrary<T>) => fc.uniqueArray(
  fc.tuple(fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 2 ** 31 - 1 })), content),
  { selector: it => it[0], minLength: 1, maxLength: 30 }).map(all => all.sort(([a], [b]) => a - b))

const writer = new JournalWriter()

test('a row of the journal returns the readings of all series, and of a single one', () => {
  fc.assert(fc.property(bySeries(readings), fc.nat(), (series, which) => {
    for (const [id, { timesMs, values }] of series) {
      for (const n of timesMs.keys()) writer.addReading(id, timesMs[n], values[n])
    }
    const { body, count, firstMs, lastMs } = writer.take()
    assert.ok(writer.isEmpty)
    const all = series.flatMap(([, it]) => it.timesMs)
    assert.deepEqual([count, firstMs, lastMs], [all.length, Math.min(...all), Math.max(...all)])
    assert.deepEqual(readingsIn(body), series)
    const [wanted] = series[which % series.length]
    assert.deepEqual(readingsIn(body, id => id === wanted), series.filter(([id]) => id === wanted))
  }))
})

test('a row of the journal returns the rollups of each group and minute', () => {
  const minutes = fc.array(
    fc.tuple(fc.nat(100_000), fc.array(fc.tuple(fc.nat(59_999), value), { minLength: 1, maxLength: 5 })),
    { minLength: 1, maxLength: 4 }
  )
  fc.assert(fc.property(bySeries(minutes), groups => {
    const given: Array<[number, number, Rollup]> = []
    for (const [id, ofGroup] of groups) {
      for (const [n, all] of ofGroup) {
        const minuteMs = Math.floor(NOW_MS / MINUTE_MS) * MINUTE_MS - n * MINUTE_MS
        const rollup = emptyRollup()
        for (const [ms, it] of all) foldReading(rollup, minuteMs + ms, it)
        writer.addRollup(id, minuteMs, rollup)
        given.push([id, minuteMs, rollup])
      }
    }
    const { body, count, firstMs, lastMs } = writer.take()
    assert.equal(count, given.reduce((sum, [,, it]) => sum + it.count, 0))
    assert.equal(firstMs, Math.min(...given.map(([,, it]) => it.firstMs)))
    assert.equal(lastMs, Math.max(...given.map(([,, it]) => it.lastMs)))
    const found: typeof given = []
    decodeJournal(body, { readings: () => assert.fail(), rollup: (...it) => found.push(it) })
    assert.deepEqual(found.map(inBytes), given.map(inBytes))
  }))
})

test('damaged rows of the journal are refused without large allocations', () => {
  for (const id of [3, 4, 9]) writer.addReading(id, NOW_MS, id / 10)
  const { body } = writer.take()
  fc.assert(fc.property(fc.nat(body.length - 1), fc.nat(255), (at, byte) => {
    const damaged = Buffer.from(body)
    damaged[at] = byte
    try {
      readingsIn(damaged)
    } catch (error) {
      assert.ok(error instanceof RelayError && error.code === 'RELAY_ROLLUP_CORRUPT', String(error))
    }
  }))
})

/** A rollup as its canonical bytes: equal sums may have different parts in memory. */
function inBytes ([id, minuteMs, rollup]: [number, number, Rollup]): unknown[] {
  return [id, minuteMs, rollup.count, rollup.min, rollup.max, encodeRollupBody(rollup, minuteMs)]
}

function readingsIn (body: Buffer, wanted?: (id: number) => boolean): Array<[number, Readings]> {
  const found: Array<[number, Readings]> = []
  decodeJournal(body, { readings: (...it) => found.push(it), rollup: () => assert.fail() }, wanted)
  return found
}
