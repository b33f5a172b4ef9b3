/** The rows of a flush: each once, in its place, and equal in memory and database. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'

import {
  bucketStartMs, emptyReadings, emptyRollup, encodeReadingsBody, encodeRollupBody, foldReadings, levels, mergeReadings,
  roundSum, sumReadings, type Readings, type Rollup
} from 'relay-rollups'
import { anyValues } from 'relay-test-support/values.ts'
import { FlushRows } from '../src/flush-rows.ts'
import { EMPTY_ROW, packStored, unpackMinute, unpackRollup } from '../src/packed-row.ts'
import { SeriesTable } from '../src/series-table.ts'
import type { Window } from '../src/windows.ts'
import { decodeRows } from './simulation/copied-rows.ts'

const START_MS = Date.parse('2024-01-01T00:00:00Z')
const PARTITION = 3

const anyReadings = (lengthMax: number): fc.Arbitrary<Readings> =>
  fc.tuple(anyValues(lengthMax).filter(it => it.length > 0), fc.array(fc.nat(59_999), { minLength: 1, maxLength: 60 }))
    .map(([values, offsetsMs]) => {
      const timesMs = values.map((_, n) => START_MS + offsetsMs[n % offsetsMs.length])
      return mergeReadings(emptyReadings(), { timesMs, values }, true).merged
    })

interface Row {
  readonly levelIndex: number
  readonly keepsReadings: boolean
  readonly isStored: boolean
  readonly readings: Readings
}

const anyRow: fc.Arbitrary<Row> = fc.record({
  levelIndex: fc.nat(levels.length - 1), keepsReadings: fc.boolean(), isStored: fc.boolean(), readings: anyReadings(300)
})

function createWindow ({ levelIndex, isStored }: Row, seriesId: number): Window {
  const series = new SeriesTable(0, { partitions: 1, horizonMs: -Infinity }, -Infinity).findOrAdd({
    deviceId: `device-${seriesId}`, deviceType: 'THERMOSTAT', zone: 'Zone A'
  })
  series.seriesId = seriesId
  return {
    series,
    levelIndex,
    bucketMs: bucketStartMs(levels[levelIndex].sizeMs, START_MS),
    packed: EMPTY_ROW,
    isStored,
    elsewhere: undefined
  }
}

function rollupOf (readings: Readings): Rollup {
  const rollup = emptyRollup()
  foldReadings(rollup, readings)
  return rollup
}

/** Adds rows of one series each. @returns the expected body of each, and its window */
function addAll (flushRows: FlushRows, rows: readonly Row[]) {
  return rows.map((row, n) => {
    const window = createWindow(row, n + 1)
    if (row.keepsReadings && row.levelIndex === 0) {
      flushRows.addReadings(window, row.readings, sumReadings(row.readings))
      return { row, window, body: encodeReadingsBody(row.readings, window.bucketMs) }
    }
    flushRows.addRollup(window, rollupOf(row.readings))
    return { row, window, body: encodeRollupBody(rollupOf(row.readings), window.bucketMs) }
  })
}

test('every row appears once with all columns, among the new or the changed ones', () => {
  fc.assert(fc.property(fc.array(anyRow, { maxLength: 20 }), rows => {
    const flushRows = new FlushRows()
    flushRows.begin(PARTITION, [-Infinity, -Infinity, -Infinity])
    const added = addAll(flushRows, rows)
    const taken = flushRows.take()
    assert.equal(taken.rowCount, rows.length)
    for (const [levelIndex, { fresh, changed, seriesOfBuckets }] of taken.rows.entries()) {
      for (const [isStored, chunks] of [[false, fresh], [true, changed]] as const) {
        const expected = added.filter(it => it.row.levelIndex === levelIndex && it.row.isStored === isStored)
          .map(({ row, window: { series, bucketMs }, body }) => {
            const { count, min, max, sum } = rollupOf(row.readings)
            const key = { levelIndex, seriesId: series.seriesId, bucketMs, sourcePartition: PARTITION }
            return { ...key, count, sum: roundSum(sum), min, max, body }
          })
        assert.deepEqual(chunks.flatMap(it => decodeRows(levelIndex, it)), expected)
        for (const { seriesId, bucketMs } of expected) assert.ok(seriesOfBuckets.get(bucketMs)!.includes(seriesId))
      }
    }
    assert.ok(added.every(it => it.window.isStored))
  }))
})

test('the row in memory is complete, and equals the one that is read back', () => {
  fc.assert(fc.property(anyRow, row => {
    const flushRows = new FlushRows()
    flushRows.begin(PARTITION, [-Infinity, -Infinity, -Infinity])
    const [{ window: { packed, bucketMs }, body }] = addAll(flushRows, [row])
    assert.equal(packStored({ ...rollupOf(row.readings), body }, bucketMs), packed)

    const content = unpackMinute(packed!, bucketMs)
    if (content.kind === 'readings') {
      assert.deepEqual(content.readings, row.readings)
    } else {
      assert.deepEqual(encodeRollupBody(content.rollup, bucketMs), body)
      const { count, min, max } = rollupOf(row.readings)
      assert.deepEqual([content.rollup.count, content.rollup.min, content.rollup.max], [count, min, max])
      assert.deepEqual(encodeRollupBody(unpackRollup(packed!, bucketMs), bucketMs), body)
    }
  }))
})

test('rows are never split over chunks, even if larger than a chunk', () => {
  const times = Array.from({ length: 50_000 }, (_, n) => START_MS + n)
  const large = { timesMs: times, values: times.map(ms => Math.sin(ms)) } // 9 bytes each
  const small = { timesMs: [START_MS], values: [21.5] }
  const rows = Array.from({ length: 9_000 }, (_, n): Row =>
    ({ levelIndex: 0, keepsReadings: true, isStored: false, readings: n % 3_000 === 1_500 ? large : small }))
  const flushRows = new FlushRows()
  for (let round = 0; round < 2; round++) { // taken rows stay unchanged while the next ones are written
    flushRows.begin(PARTITION, [-Infinity, -Infinity, -Infinity])
    addAll(flushRows, rows)
    const { rows: [{ fresh }] } = flushRows.take()
    flushRows.begin(PARTITION, [-Infinity, -Infinity, -Infinity])
    addAll(flushRows, rows.slice(0, 10).map(it => ({ ...it, readings: large })))
    flushRows.take()
    assert.ok(fresh.length > 3)
    assert.deepEqual(fresh.flatMap(it => decodeRows(0, it)).map(it => [it.seriesId, it.count]),
      rows.map(({ readings }, n) => [n + 1, readings.values.length]))
  }
})

test('rows past their retention stay in memory, and are not written', () => {
  const flushRows = new FlushRows()
  flushRows.begin(PARTITION, [START_MS + 1, START_MS, -Infinity])
  const readings = { timesMs: [START_MS], values: [21.5] }
  const added = addAll(
    flushRows, [...levels.keys()].map(levelIndex => ({ levelIndex, keepsReadings: true, isStored: false, readings }))
  )
  const { rows, rowCount, daysMs } = flushRows.take()
  assert.equal(rowCount, 2)
  assert.deepEqual(rows.map(it => it.fresh.flatMap(chunk => decodeRows(0, chunk)).length), [0, 1, 1])
  assert.deepEqual(daysMs.map(it => it.size), [0, 1, 1])
  assert.ok(added.every(it => it.window.packed !== EMPTY_ROW))
})
