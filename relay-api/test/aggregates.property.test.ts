/** Compares every number of every row with a simple computation over the same events. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'
import { DAY_MS, MINUTE_MS, parseTimestamp } from 'relay-rollups'

import { isNight, runs } from 'relay-test-support/nightly.ts'
import { sumUnits } from 'relay-test-support/exact.ts'
import { openTestApi } from './support/ask.ts'
import {
  askAll, checkRow, decimal, expectedRows, fields, offsetMs, placeMs, questions, shown, siteOf, values
} from './support/asked-rows.ts'
import { boundariesByLooking } from './support/intl-clock.ts'
import { recompute, resendsOnce, type ExpectedRow } from './support/recompute.ts'
import { writeEvents } from './support/write-events.ts'

/** More pages of an answer test nothing new. */
const PAGES_MAX = 30
/** devices, zones or types */
const GROUPS_MAX = 3

function near (found: number | null, expected: number, scale: number, what: string): void {
  const isNear = found !== null && Math.abs(found - expected) <= scale * 1e-11 + Number.MIN_VALUE
  assert.ok(isNear, `${what}: ${found}, not ${expected}`)
}

test('every number of every row and page is the double nearest to the exact value', { timeout: 600_000 }, async t => {
  const api = await openTestApi(t, { RATE_LIMIT_PRINCIPAL_MAX: '10000000', RATE_LIMIT_ADDRESS_MAX: '10000000' })
  let rowCount = 0
  await fc.assert(fc.asyncProperty(
    siteOf(values).chain(it => fc.tuple(fc.constant(it), questions(it))),
    async ([{ events }, questions]) => {
      await api.database.query('truncate series, rollups_minute, rollups_hour, rollups_day restart identity')
      await writeEvents(api.database, events)
      for (const asked of questions) {
        const inOrder = expectedRows(events, asked)
        const limit = Math.max(asked.limit, Math.ceil(inOrder.length / PAGES_MAX))
        const rows = await askAll(api, { ...asked, limit })
        assert.equal(rows.length, inOrder.length, JSON.stringify(asked))
        for (const [n, row] of rows.entries()) checkRow(row, inOrder[n], asked)
        rowCount += rows.length
        // steps read all minutes; other statistics only read rows that can have readings
        for (const fill of ['none', 'null', 'previous', 'linear']) {
          if (asked.interval !== '5m' || asked.limit === 1) continue
          const withSteps = await askAll(api, { ...asked, limit: 10_000 }, { fill, stats: 'count,avg,last,increase' })
          const without = await askAll(api, { ...asked, limit: 10_000 }, { fill, stats: 'count,avg,last' })
          const shared = withSteps.map(({ increase, unavailable: { increase: _, ...others } = {}, ...it }) =>
            ({ ...it, ...Object.keys(others).length > 0 ? { unavailable: others } : {} }))
          assert.deepEqual(without, shared)
        }
      }
    }
  // each step of a shrink would write another database, so the seed must suffice
  ), { ...runs(12), endOnFailure: true })
  assert.ok(rowCount > (isNight ? 100 : 10))
})

test('a range equals all its parts merged, in any split', { timeout: 300_000 }, async t => {
  const api = await openTestApi(t, { RATE_LIMIT_PRINCIPAL_MAX: '10000000', RATE_LIMIT_ADDRESS_MAX: '10000000' })
  await fc.assert(fc.asyncProperty(siteOf(fc.constant(decimal)), fc.array(offsetMs.chain(a =>
    placeMs.map(b => a + b)), {
    minLength: 2, maxLength: 6
  }), async ({ baseMs, events }, cuts) => {
    await api.database.query('truncate series, rollups_minute, rollups_hour, rollups_day restart identity')
    await writeEvents(api.database, events)
    const times = [...new Set(cuts)].sort((a, b) => a - b).map(it => new Date(baseMs + it).toISOString())
    const ask = async (start: string, end: string) => {
      const { body } = await api.ask('/api/v1/aggregates',
        { start, end, interval: 'range', stats: 'count,sum,min,max,increase', maxGap: '1d' })
      return body.rows as Array<Record<string, any>>
    }
    fc.pre(times.length > 1)
    const [whole] = await ask(times[0], times.at(-1)!)
    const parts: Array<Record<string, any>> = []
    for (const [n, end] of times.slice(1).entries()) parts.push(...await ask(times[n], end))
    const add = (name: string) => parts.reduce((sum, it) => sum + it[name], 0)
    assert.equal(whole?.count ?? 0, add('count'))
    if (!whole) return
    near(whole.sum, add('sum'), 1_000 * whole.count, 'sum')
    near(whole.increase ?? 0, add('increase'), 2_000 * whole.count, 'increase')
    assert.equal(whole.min, Math.min(...parts.map(it => it.min)))
    assert.equal(whole.max, Math.max(...parts.map(it => it.max)))
  }), { ...runs(25), endOnFailure: true })
})

test('rows that are filled from earlier ones are also filled from before the range', { timeout: 300_000 }, async t => {
  const api = await openTestApi(t, { RATE_LIMIT_PRINCIPAL_MAX: '10000000', RATE_LIMIT_ADDRESS_MAX: '10000000' })
  let filledFromBefore = 0
  const question = fc.record({
    startMs: offsetMs.chain(a => placeMs.map(b => a + b)),
    minutes: fc.integer({ min: 1, max: 3000 }),
    interval: fc.constantFrom('5m', '30m', '1h', '6h', '1d', '1w', '1mo'),
    tz: fc.constantFrom('UTC', 'Europe/Berlin', 'Australia/Lord_Howe', 'America/Santiago'),
    groupBy: fc.constantFrom<keyof typeof fields>('device', 'zone', 'type'),
    order: fc.constantFrom('asc', 'desc'),
    limit: fc.constantFrom(1, 5, 10_000)
  }).filter(it => it.limit > 1 || it.interval !== '5m')
  await fc.assert(fc.asyncProperty(siteOf(fc.constant(decimal)), fc.array(question, { minLength: 8, maxLength: 8 }),
    async ({ baseMs, events }, questions) => {
      await api.database.query('truncate series, rollups_minute, rollups_hour, rollups_day restart identity')
      await writeEvents(api.database, events)
      for (const { minutes, interval, tz, groupBy, order, limit, ...asked } of questions) {
        const startMs = baseMs + asked.startMs
        const endMs = startMs + minutes * MINUTE_MS
        const columns = 'sum,min,last,increase'
        const boundaries = boundariesByLooking(startMs, endMs, interval, tz)
        const query = new URLSearchParams({
          start: new Date(startMs).toISOString(),
          end: new Date(endMs).toISOString(),
          interval,
          tz,
          groupBy,
          order,
          limit: String(Math.max(limit, Math.ceil(GROUPS_MAX * boundaries.length / PAGES_MAX))),
          fill: 'previous',
          maxGap: '1d',
          stats: columns
        })
        const rows: Array<Record<string, any>> = []
        for (;;) {
          const { status, body } = await api.ask(`/api/v1/aggregates?${query}`)
          assert.equal(status, 200, JSON.stringify(body))
          rows.push(...body.rows)
          if (body.next === null) break
          query.set('cursor', body.next)
        }

        const selected = resendsOnce(events)
        const earlier = boundariesByLooking(startMs - 70 * DAY_MS, startMs, interval, tz)
        const shownOf = (it: ExpectedRow) => {
          const values = it.events.map(it => it.value)
          const lastMs = Math.max(...it.events.map(it => it.timestampMs))
          const last = Math.max(...it.events.filter(it => it.timestampMs === lastMs).map(it => it.value))
          return [
            shown(sumUnits(values)), Math.min(...values), last, it.increase === undefined ? null : shown(it.increase)
          ]
        }
        const [before, inside] = [earlier, boundaries].map(it => Map.groupBy(
          recompute(selected, it, fields[groupBy], DAY_MS), it => it.key
        ))
        const keys = [...new Set([...before.keys(), ...inside.keys()])]
          .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
        const expected = keys.flatMap(key => {
          const byEnd = new Map(inside.get(key)?.map(it => [it.endMs, it]))
          let previous = before.get(key)?.at(-1)
          let shownOfPrevious = previous ? shownOf(previous) : [null, null, null, null]
          const ofKey = boundaries.slice(1).map((endMs, n) => {
            const row = byEnd.get(endMs)
            if (!row && previous && previous.endMs <= startMs) filledFromBefore++
            if (row) [previous, shownOfPrevious] = [row, shownOf(row)]
            return [key, boundaries[n], !row, ...shownOfPrevious]
          })
          return order === 'asc' ? ofKey : ofKey.toReversed()
        })
        assert.deepEqual(rows.map(it => [it[groupBy], parseTimestamp(it.bucketStart), it.filled === true,
          it.sum, it.min, it.last, it.increase]), expected)
      }
    }), { ...runs(12), endOnFailure: true })
  assert.ok(filledFromBefore > (isNight ? 100 : 5), `${filledFromBefore}`)
})
