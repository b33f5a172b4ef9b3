/** Routes that rank and compare whole ranges, and show distributions. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'

import { DAY_MS, HOUR_MS, MINUTE_MS } from 'relay-rollups'

import fc from 'fast-check'

import { quotientToDouble, toUnits, UNIT_EXPONENT } from 'relay-test-support/exact.ts'
import { until } from 'relay-test-support/until.ts'
import { anyValue } from 'relay-test-support/values.ts'
import { changeOf } from '../src/routes/v1/compare.ts'
import { openTestApi } from './support/ask.ts'
import { writeEvents, type PlacedEvent } from './support/write-events.ts'

const monday = Date.UTC(2024, 2, 4)
const iso = (timeMs: number) => new Date(timeMs).toISOString()
const range = (startMs: number, endMs: number) => ({ start: iso(startMs), end: iso(endMs) })

const thermostat = (device: string, zone: string, timestampMs: number, value: number): PlacedEvent =>
  ({ deviceId: device, zone, deviceType: 'THERMOSTAT', timestampMs, value, sourcePartition: device.length % 3 })

/** Five devices; the n-th sends n, n + 1 and n + 2 in the first hour of a Monday, and 10 times that a week before. */
const events = Array.from({ length: 5 }, (_, n) => n + 1).flatMap(n => [0, 1, 2].flatMap(step => [
  thermostat(`d-${n}`, n < 4 ? 'Zone A' : 'Zone B', monday + step * 20 * MINUTE_MS + 5, n + step),
  thermostat(`d-${n}`, n < 4 ? 'Zone A' : 'Zone B', monday - 7 * DAY_MS + step * 20 * MINUTE_MS, 10 * (n + step))
]))

async function openSite (t: TestContext) {
  const api = await openTestApi(t)
  await writeEvents(api.database, events)
  return api
}

test('the highest and lowest devices, by any statistic, of a range to the millisecond', async t => {
  const { ask } = await openSite(t)
  const top = async (query: Record<string, string>) => {
    const { status, body } = await ask('/api/v1/top', { ...range(monday, monday + HOUR_MS), ...query })
    assert.equal(status, 200)
    return body.rows.map((it: Record<string, unknown>) => [it.device ?? it.zone ?? it.type, it.value])
  }
  assert.deepEqual(await top({ limit: '2' }), [['d-5', 6], ['d-4', 5]])
  assert.deepEqual(await top({ limit: '2', order: 'asc' }), [['d-1', 2], ['d-2', 3]])
  assert.deepEqual(await top({ stat: 'count', limit: '3' }), [['d-1', 3], ['d-2', 3], ['d-3', 3]])
  assert.deepEqual(await top({ stat: 'max', zone: 'Zone A', limit: '1' }), [['d-3', 5]])
  assert.deepEqual(await top({ stat: 'sum', groupBy: 'zone' }), [['Zone B', 33], ['Zone A', 27]])
  assert.deepEqual(await top({ stat: 'sum', groupBy: 'type' }), [['THERMOSTAT', 60]])
  assert.deepEqual(await top({ stat: 'max', limit: '1', end: iso(monday + 40 * MINUTE_MS + 5) }), [['d-5', 6]])
  assert.deepEqual(await top({ start: iso(monday + DAY_MS), end: iso(monday + 2 * DAY_MS) }), [])
})

test('a ranked percentile states its error; a missing number is not ranked', async t => {
  const { ask } = await openSite(t)
  const { body } = await ask('/api/v1/top', { ...range(monday, monday + HOUR_MS), stat: 'p50', limit: '1' })
  assert.deepEqual(body.rows, [{ device: 'd-5', value: 6, error: 0, count: 3 }])
  const single = await ask('/api/v1/top', { ...range(monday, monday + MINUTE_MS), stat: 'rate' })
  assert.deepEqual([single.body.rows, single.body.unranked], [[], 5])
})

test('a change is computed from the two shown numbers, each part rounded once', () => {
  const finite = (value: number) => Number.isFinite(value) ? value + 0 : null
  fc.assert(fc.property(anyValue, anyValue, (value, against) => {
    const [difference, base] = [toUnits(value) - toUnits(against), toUnits(Math.abs(against))]
    assert.deepEqual(changeOf(value, against), {
      change: finite(quotientToDouble(difference, 1n, UNIT_EXPONENT)),
      relativeChange: base === 0n ? null : finite(quotientToDouble(difference, base, 0))
    })
  }), { numRuns: 2000 })
})

test('a range compared with the one before it, and with the same weekday', async t => {
  const { ask } = await openSite(t)
  const hour = range(monday, monday + HOUR_MS)
  const weekday = (await ask('/api/v1/compare', { ...hour, against: 'weekday', stats: 'avg,count,p50' })).body
  assert.deepEqual(weekday, {
    range: hour,
    against: range(monday - 7 * DAY_MS, monday - 7 * DAY_MS + HOUR_MS),
    stats: [
      { stat: 'avg', value: 4, againstValue: 40, change: -36, relativeChange: -0.9 },
      { stat: 'count', value: 15, againstValue: 15, change: 0, relativeChange: 0 },
      { stat: 'p50', value: 4, againstValue: 40, change: -36, relativeChange: -0.9, error: 0, againstError: 0 }
    ]
  })
  const before = (await ask('/api/v1/compare', { ...hour, stats: 'max,count' })).body
  assert.deepEqual(before.against, range(monday - HOUR_MS, monday))
  assert.deepEqual(before.stats, [
    { stat: 'max', value: 7, againstValue: null, change: null, relativeChange: null },
    { stat: 'count', value: 15, againstValue: 0, change: 15, relativeChange: null }
  ])
  const long = (await ask('/api/v1/compare', { ...range(monday, monday + 8 * DAY_MS), against: 'weekday' })).body
  assert.equal(long.against.start, iso(monday - 14 * DAY_MS))
  // the clock of New York is set on 10 March: that day has 23 hours, and its week 167
  for (const [start, end, against] of [
    [
      '2024-03-10T00:00:00-05:00', '2024-03-11T00:00:00-04:00', ['2024-03-03T05:00:00.000Z', '2024-03-04T05:00:00.000Z']
    ],
    ['2024-03-04T00:00:00-05:00', '2024-03-11T00:00:00-04:00', ['2024-02-26T05:00:00.000Z', '2024-03-04T05:00:00.000Z']]
  ] as const) {
    const { body } = await ask(
      '/api/v1/compare', { start, end, against: 'weekday', tz: 'America/New_York', stats: 'count' }
    )
    assert.deepEqual([body.against.start, body.against.end], against)
    assert.ok(body.stats[0].againstValue >= 15)
  }
  const empty = await ask('/api/v1/compare', range(monday + 99 * DAY_MS, monday + 100 * DAY_MS))
  assert.deepEqual([empty.status, empty.body.code], [404, 'RELAY_NO_DATA'])
})

test('a ranking and a comparison state their range where the stored data is coarser than requested', async t => {
  const api = await openSite(t)
  const dense = [0, 1, 2, 3, 4].map(n =>
    ({ ...thermostat('d-1', 'Zone A', monday + 2 * HOUR_MS + n, n), sourcePartition: 9 }))
  await writeEvents(api.database, dense, { readingsPerRowMax: 4 })
  const ask = async (startMs: number, endMs: number) => {
    const { body: { start, end } } = await api.ask('/api/v1/top', { ...range(startMs, endMs), stat: 'count' })
    const { body } = await api.ask('/api/v1/compare', { ...range(startMs, endMs), stats: 'count' })
    assert.deepEqual(body.range, { start, end })
    return body as { range: object, against: object }
  }
  const minute = await ask(monday + 2 * HOUR_MS + 2, monday + 3 * HOUR_MS + 5) // its first minute stores no readings
  assert.deepEqual(minute.range, range(monday + 2 * HOUR_MS, monday + 3 * HOUR_MS + 5))
  assert.deepEqual(minute.against, range(monday + HOUR_MS - 1, monday + 2 * HOUR_MS + MINUTE_MS)) // it ends there

  await api.database.query("update rollup_levels set retention = '10 days' where name = 'minute'")
  const asked = [monday + 10 * MINUTE_MS + 1, monday + 70 * MINUTE_MS + 1] as const
  const wholeHours = range(monday, monday + 2 * HOUR_MS)
  // each server reads the retention at most once per second
  await until('the new retention', async () =>
    (await api.ask('/api/v1/top', { ...range(...asked), stat: 'count' })).body.start === wholeHours.start)
  const hours = await ask(...asked)
  assert.deepEqual(hours.range, wholeHours)
  assert.deepEqual(hours.against, range(monday - HOUR_MS, monday + HOUR_MS))
})

test('a distribution counts every reading once', async t => {
  const { ask } = await openSite(t)
  const hour = range(monday, monday + HOUR_MS)
  const { body } = await ask('/api/v1/distribution', { ...hour, bins: '3' })
  assert.deepEqual(body, {
    ...hour,
    count: 15,
    min: 1,
    max: 7,
    isExact: true,
    bins: [
      { from: 1, to: 3, count: 3, countError: 0 }, { from: 3, to: 5, count: 6, countError: 0 },
      { from: 5, to: 7, count: 6, countError: 0 }
    ]
  })
  const zone = (await ask('/api/v1/distribution', { ...hour, zone: 'Zone B', scale: 'log', bins: '2' })).body
  assert.equal(zone.bins.reduce((sum: number, it: { count: number }) => sum + it.count, 0), 6)
  const none = await ask('/api/v1/distribution', { ...hour, device: 'nobody' })
  assert.deepEqual([none.status, none.body.code], [404, 'RELAY_NO_DATA'])
})

test('an invalid parameter is explained', async t => {
  const { ask } = await openTestApi(t)
  const cases: Array<[path: string, code: string, parameter: string]> = [
    ['top?stat=average', 'RELAY_PARAMETER_INVALID', 'stat'], ['top?groupBy=room', 'RELAY_PARAMETER_INVALID', 'groupBy'],
    ['top?order=up', 'RELAY_PARAMETER_INVALID', 'order'], ['top?limit=0', 'RELAY_PARAMETER_INVALID', 'limit'],
    ['top?limit=1001', 'RELAY_PARAMETER_INVALID', 'limit'], ['top?limit=many', 'RELAY_PARAMETER_INVALID', 'limit'],
    ['top?stats=avg', 'RELAY_PARAMETER_UNKNOWN', 'stats'],
    ['distribution?bins=0', 'RELAY_PARAMETER_INVALID', 'bins'],
    ['distribution?bins=1.5', 'RELAY_PARAMETER_INVALID', 'bins'],
    ['distribution?scale=cubic', 'RELAY_PARAMETER_INVALID', 'scale'],
    ['compare?against=yesterday', 'RELAY_PARAMETER_INVALID', 'against'],
    ['compare?stats=', 'RELAY_PARAMETER_INVALID', 'stats'],
    ['compare?start=0000-01-01T00:00:00Z&end=0000-01-02T00:00:00Z', 'RELAY_RANGE_INVALID', 'start'],
    ['devices?limit=1001', 'RELAY_PARAMETER_INVALID', 'limit'],
    ['devices?prefix=a%00', 'RELAY_PARAMETER_INVALID', 'prefix'],
    ['devices/a?zone=b', 'RELAY_PARAMETER_UNKNOWN', 'zone'], ['zones?device=b', 'RELAY_PARAMETER_UNKNOWN', 'device'],
    ['types?type=CAR_FUEL', 'RELAY_PARAMETER_UNKNOWN', 'type'],
    ['devices?type=CAR', 'RELAY_DEVICE_TYPE_UNKNOWN', 'type']
  ]
  for (const [path, code, parameter] of cases) {
    const { status, body } = await ask(`/api/v1/${path}`)
    assert.deepEqual([status, body.code, body.parameter], [400, code, parameter], path)
  }
})
