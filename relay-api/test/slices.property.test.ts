/** How an answer about many series is split into statements. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'
import type { Database } from 'relay-common'
import { MINUTE_MS } from 'relay-rollups'

import { nobody, type Asker } from '../src/sharing/asker.ts'
import { boundariesAt } from '../src/query/boundaries.ts'
import { keptForEver } from '../src/query/plan.ts'
import type { RowsQuery } from '../src/query/rows-query.ts'
import { slices } from '../src/query/slices.ts'

const startMs = Date.parse('2024-01-01T00:00:00Z')
const ROWS = 1_440

/** The minutes of a day, for series that were found before, so no statement is sent. */
function questionOf (series: number): RowsQuery {
  const granted = {
    series: [{ zone: 'Large', type: 'THERMOSTAT', ids: Int32Array.from({ length: series }, (_, n) => n) }], position: 1n
  }
  return {
    selection: { devices: [], zones: [], types: [], grants: { devicePrefixes: ['d'] }, granted },
    groupBy: 'zone',
    statistics: [],
    boundaries: boundariesAt(...Array.from({ length: ROWS + 1 }, (_, n) => startMs + n * MINUTE_MS)),
    isDescending: false,
    fill: 'none',
    lookBack: undefined,
    limit: Infinity,
    after: undefined,
    maxGapMs: MINUTE_MS,
    nowMs: startMs,
    keptSince: keptForEver,
    marksRevised: false
  }
}

/** A database in which each group has the given hours. */
const withHours = (hours: readonly number[]): Database => ({
  async streamPrepared (_name: string, _sql: string, values: unknown[], visit: (columns: unknown[]) => void) {
    for (const key of values.at(-1) as string[]) {
      for (const hour of hours) visit([key, startMs / 1000 + hour * 3_600, null])
    }
  }
} as unknown as Database)
const ALL_HOURS = Array.from({ length: 24 }, (_, n) => n)

/** @param share existing part of the possible table rows */
async function cut (series: number, share: (row: number) =>
number): Promise<Array<{ first: number, end: number, read: number }>> {
  let rowsRead = 0
  const asker: Asker = { ...nobody, get rowsRead () { return rowsRead } }
  const found = []
  for await (const { first, end } of slices(withHours(ALL_HOURS), questionOf(series), asker)) {
    let read = series
    for (let row = first; row < end; row++) read += Math.round(series * share(row))
    rowsRead += read
    found.push({ first, end, read })
  }
  return found
}

test('every row of an answer is in one slice, in order, for any data', async () => {
  await fc.assert(fc.asyncProperty(fc.integer({ min: 1, max: 300_000 }), fc.array(
    fc.constantFrom(0, 0.001, 0.5, 1), { minLength: 1, maxLength: 20 }
  ), async (series, shares) => {
    let next = 0
    for (const { first, end } of await cut(series, row => shares[Math.floor(row * shares.length / ROWS)])) {
      assert.equal(first, next)
      assert.ok(end > first)
      next = end
    }
    assert.equal(next, ROWS)
  }), { numRuns: 50 })
})

test('for many series with few rows, hundreds of rows are read together', async () => {
  for (const series of [2_000, 20_000, 300_000]) {
    const found = await cut(series, row => row === 0 ? 1 : 0)
    assert.ok(found.length <= 12, `${found.length} slices for ${series} series`)
  }
})

test('for many series with all rows, a slice reads at most ten of each', async () => {
  for (const series of [20_000, 300_000]) {
    for (const { first, end, read } of (await cut(series, () => 1)).slice(3)) {
      assert.ok(read <= 12 * series, `${read} rows for ${end - first} rows of the answer, of ${series} series`)
    }
  }
})

test('rows of hours with readings are in one slice each, others are skipped, in both directions of time', async () => {
  await fc.assert(fc.asyncProperty(
    fc.array(
      fc.tuple(fc.stringMatching(/^[a-z]{1,3}$/), fc.integer({ min: 1, max: 400 })), { minLength: 1, maxLength: 8 }
    ),
    fc.uniqueArray(fc.integer({ min: 0, max: 23 })), fc.boolean(),
    fc.option(fc.integer({ min: -1, max: 24 }), { nil: undefined }),
    async (zones, hours, isDescending, keptHour) => {
      const series = [...new Map(zones)].map(([zone, count]) => ({
        zone, type: 'THERMOSTAT', ids: new Int32Array(count)
      }))
      const question = questionOf(1)
      const keptSince = { ...keptForEver, hour: keptHour === undefined ? -Infinity : startMs + keptHour * 3_600_000 }
      const asked = {
        ...question, isDescending, keptSince, selection: { ...question.selection, granted: { series, position: 1n } }
      }
      const seen = new Map(series.map(it => [it.zone, { rows: new Set<number>(), next: 0 }]))
      for await (const { groups, first, end, occupied } of slices(withHours(hours), asked, nobody)) {
        for (const { key } of groups) {
          const of = seen.get(key)!
          assert.equal(first, of.next)
          of.next = end
          for (const it of occupied) {
            assert.ok(it.first >= first && it.end <= end)
            for (let row = it.first; row < it.end; row++) assert.ok(!of.rows.has(row) && of.rows.add(row))
          }
        }
      }
      for (const [zone, { rows, next }] of seen) {
        assert.equal(next, ROWS, zone)
        for (let row = 0; row < ROWS; row++) {
          const hour = Math.floor(row / 60)
          const isSure = keptHour === undefined || hour > keptHour
          assert.equal(rows.has(isDescending ? ROWS - 1 - row : row), hours.includes(hour) || !isSure, `${zone} ${row}`)
        }
      }
    }))
})
