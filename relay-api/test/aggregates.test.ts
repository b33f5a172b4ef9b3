import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'
import { createLogger, type Database } from 'relay-common'
import { DAY_MS, HOUR_MS, MINUTE_MS } from 'relay-rollups'

import { exactDeviation, quotientToDouble, sumUnits, UNIT_EXPONENT } from 'relay-test-support/exact.ts'
import { createApp } from '../src/app.ts'
import { readApiConfig } from '../src/config.ts'
import { openTestApi, TOKEN, type TestApi } from './support/ask.ts'
import { writeEvents, type PlacedEvent } from './support/write-events.ts'

const dayMs = Date.UTC(2024, 0, 1)
const day = 'start=2024-01-01T00:00:00Z&end=2024-01-02T00:00:00Z'

function event (atMs: number, value: number, more: Partial<PlacedEvent> = {}): PlacedEvent {
  return {
    deviceId: 'd-1',
    deviceType: 'THERMOSTAT',
    zone: 'Zone A',
    value,
    timestampMs: dayMs + atMs,
    sourcePartition: 0,
    ...more
  }
}

async function get ({ app }: TestApi, query: string, headers: Record<string, string> = {}) {
  return await app.inject({
    url: `/api/v1/aggregates?${query}`, headers: { authorization: `Bearer ${TOKEN}`, ...headers }
  })
}

test('an answer states its range, its interval and its rows on the clock of the zone', async t => {
  const api = await openTestApi(t)
  await writeEvents(api.database, [event(0, 1), event(MINUTE_MS, 2), event(5 * HOUR_MS, 4)])
  const { body, headers } = await get(api, `${day}&interval=1d&tz=Asia/Kolkata&groupBy=device`)
  assert.equal(headers['content-type'], 'application/json; charset=utf-8')
  assert.deepEqual(JSON.parse(body), {
    start: '2024-01-01T05:30:00+05:30',
    end: '2024-01-02T05:30:00+05:30',
    interval: '1d',
    tz: 'Asia/Kolkata',
    completeThrough: null,
    lateReadings: 0,
    duplicateReadings: 0,
    rows: [{
      bucketStart: '2024-01-01T05:30:00+05:30',
      bucketEnd: '2024-01-02T00:00:00+05:30',
      device: 'd-1',
      count: 3,
      avg: 7 / 3,
      min: 1,
      max: 4,
      median: 2,
      medianError: 0,
      status: 'provisional'
    }],
    next: null
  })
  // with a plus sign that the URL decoded to a space
  assert.equal((await get(api, `${day}&tz=Etc/GMT+3`)).json().tz, 'Etc/GMT+3')
})

test('without readings there are no rows, for a known device or not', async t => {
  const api = await openTestApi(t)
  await writeEvents(api.database, [event(0, 1)])
  for (const query of [
    'device=d-1&start=-1h', `device=nobody&${day}`, `type=CAR_FUEL&${day}&groupBy=device&fill=null`
  ]) {
    const { status, body } = await api.ask(`/api/v1/aggregates?${query}`)
    assert.deepEqual([status, body.rows, body.next], [200, [], null], query)
  }
})

test('every invalid parameter is named', async t => {
  const api = await openTestApi(t, { POINTS_MAX: '1000' })
  const cases: Array<[query: string, status: number, code: string, parameter: string | undefined, said: RegExp]> = [
    ['interval=7m', 400, 'RELAY_PARAMETER_INVALID', 'interval', /divide a day/],
    ['interval=', 400, 'RELAY_PARAMETER_INVALID', 'interval', /divide a day/],
    ['interval=1h&interval=2h', 400, 'RELAY_PARAMETER_INVALID', 'interval', /only once/],
    [`interval=1m&${day}`, 400, 'RELAY_TOO_MANY_POINTS', 'interval', /the shortest that fits is 2m/],
    ['interval=1m&start=-3000d', 400, 'RELAY_TOO_MANY_POINTS', 'interval', /the shortest that fits is 1w/],
    ['maxPoints=0', 400, 'RELAY_PARAMETER_INVALID', 'maxPoints', /maxPoints/],
    ['maxPoints=many', 400, 'RELAY_PARAMETER_INVALID', 'maxPoints', /integer/],
    ['tz=Berlin', 400, 'RELAY_PARAMETER_INVALID', 'tz', /IANA/],
    ['tz=%2B01:00', 400, 'RELAY_PARAMETER_INVALID', 'tz', /IANA/],
    ['groupBy=devices', 400, 'RELAY_PARAMETER_INVALID', 'groupBy', /device,zone,type/],
    ['stats=', 400, 'RELAY_PARAMETER_INVALID', 'stats', /empty/],
    ['stats=count,,sum', 400, 'RELAY_PARAMETER_INVALID', 'stats', /empty/],
    ['stats=medain', 400, 'RELAY_PARAMETER_INVALID', 'stats', /did you mean median/],
    ['stats=p101', 400, 'RELAY_PARAMETER_INVALID', 'stats', /p101.* p0 … p100$/],
    ['stats=avarage', 400, 'RELAY_PARAMETER_INVALID', 'stats', /p100$/],
    ['type=thermostats', 400, 'RELAY_DEVICE_TYPE_UNKNOWN', 'type', /did you mean THERMOSTAT\?$/],
    ['type=X', 400, 'RELAY_DEVICE_TYPE_UNKNOWN', 'type', /CAR_FUEL$/],
    ['stats=p-1', 400, 'RELAY_PARAMETER_INVALID', 'stats', /p-1/],
    [`stats=${Array.from({ length: 51 }, (_, n) => `p${n}`)}`, 400, 'RELAY_PARAMETER_INVALID', 'stats', /50/],
    ['maxGap=1', 400, 'RELAY_PARAMETER_INVALID', 'maxGap', /must be a duration/],
    ['maxGap=0s', 400, 'RELAY_PARAMETER_INVALID', 'maxGap', /must be a duration/],
    ['maxGap=25h', 400, 'RELAY_PARAMETER_INVALID', 'maxGap', /24 h/],
    ['fill=zero', 400, 'RELAY_PARAMETER_INVALID', 'fill', /none,null,previous,linear/],
    ['order=up', 400, 'RELAY_PARAMETER_INVALID', 'order', /asc,desc/],
    ['limit=0', 400, 'RELAY_PARAMETER_INVALID', 'limit', /limit/],
    ['limit=1000001', 400, 'RELAY_PARAMETER_INVALID', 'limit', /limit/],
    ['limit=1.5', 400, 'RELAY_PARAMETER_INVALID', 'limit', /integer/],
    ['format=xml', 400, 'RELAY_PARAMETER_INVALID', 'format', /json,csv,ndjson/],
    ['cursor=', 400, 'RELAY_PARAMETER_INVALID', 'cursor', /empty/],
    ['cursor=abc', 400, 'RELAY_CURSOR_INVALID', 'cursor', /cursor is invalid/],
    ['cursor=bnVsbA', 400, 'RELAY_CURSOR_INVALID', 'cursor', /cursor is invalid/],
    ['format=csv&cursor=abc', 400, 'RELAY_CURSOR_INVALID', 'cursor', /cursor is invalid/]
  ]
  for (const [query, status, code, parameter, said] of cases) {
    const { status: found, body } = await api.ask(`/api/v1/aggregates?${query}`)
    assert.deepEqual([found, body.code, body.parameter], [status, code, parameter], query)
    assert.match(body.detail, said, query)
  }
  for (const query of [
    'interval=auto&maxPoints=1', 'interval=range', 'interval=1y', 'tz=utc', 'stats=p0,p100,p99.9,p099', 'fill=linear',
    'order=desc', 'limit=1000000', 'maxGap=1d', 'groupBy=type'
  ]) assert.equal((await api.ask(`/api/v1/aggregates?${query}`)).status, 200, query)
})

test('increases of more minutes than the limit are refused', async t => {
  const api = await openTestApi(t, { STEP_MINUTES_MAX: '2880' })
  await writeEvents(api.database, ['d-1', 'd-2', 'd-3'].map(deviceId => event(0, 1, { deviceId })))
  const ask = (query: string) => api.ask(`/api/v1/aggregates?${day}&${query}`)
  assert.equal((await ask('stats=rate&device=d-1&device=d-2')).status, 200)
  assert.equal((await ask('stats=avg')).status, 200)
  const { status, body } = await ask('stats=rate')
  assert.deepEqual([status, body.code, body.parameter], [400, 'RELAY_RANGE_TOO_LONG', 'stats'])
  assert.match(body.detail, /2880 device minutes at most \(STEP_MINUTES_MAX\), which are 2 devices in this range, and the selection has more/)
})

test('auto takes the shortest interval with few enough rows, and names it', async t => {
  const api = await openTestApi(t)
  for (const [query, interval] of [
    ['maxPoints=24', '1h'], ['maxPoints=23', '2h'], ['maxPoints=1440', '1m'], ['', '5m'], ['maxPoints=1', '1d'],
    ['maxPoints=1&tz=Asia/Kolkata', '1w'] // its days begin at 18:30
  ]) assert.equal((await api.ask(`/api/v1/aggregates?${day}&${query}`)).body.interval, interval, query)
})

test('csv is readable by spreadsheets, and no name in it is a formula', async t => {
  const api = await openTestApi(t)
  await writeEvents(api.database, [
    event(0, -1.5, { deviceId: '=1+1' }), event(0, 2, { deviceId: 'a "b", c' }), event(0, 3, { deviceId: '@x' })
  ])
  const query = `${day}&interval=1d&groupBy=device&stats=count,min,increase`
  const { body, headers } = await get(api, query, { accept: 'text/csv' })
  assert.equal(headers['content-type'], 'text/csv; charset=utf-8')
  const from = '2024-01-01T00:00:00Z,2024-01-02T00:00:00Z'
  assert.equal(body, [
    'bucketStart,bucketEnd,device,count,min,increase,status,filled,unavailable',
    `${from},'=1+1,1,-1.5,,provisional,,increase=too-few-readings`,
    `${from},'@x,1,3,,provisional,,increase=too-few-readings`,
    `${from},"a ""b"", c",1,2,,provisional,,increase=too-few-readings`,
    ''
  ].join('\r\n'))
})

test('csv is complete: an answer that might be cut is refused', async t => {
  const api = await openTestApi(t, { POINTS_MAX: '100' })
  await writeEvents(api.database, [event(0, 1), event(0, 1, { deviceId: 'd-2' })])
  const ask = (query: string) => get(api, `${day}&format=csv&groupBy=device&${query}`)
  assert.equal((await ask('interval=30m&limit=1')).body.split('\r\n').length, 4) // a limit applies to pages
  const refused = await ask('interval=15m')
  assert.deepEqual([refused.statusCode, refused.json().code], [400, 'RELAY_TOO_MANY_POINTS'])
})

test('ndjson has one row per line, and a last line that marks it as complete', async t => {
  const api = await openTestApi(t)
  await writeEvents(api.database, [event(0, 1), event(HOUR_MS, 2), event(2 * HOUR_MS, 3)])
  const { body, headers } = await get(api, `${day}&interval=1h&limit=2&stats=sum&format=ndjson`)
  assert.equal(headers['content-type'], 'application/x-ndjson; charset=utf-8')
  const lines = body.trimEnd().split('\n').map(it => JSON.parse(it))
  assert.deepEqual(lines.slice(0, -1).map(it => it.sum), [1, 2])
  const { next, interval } = lines.at(-1).end
  assert.equal(interval, '1h')
  const rest = await get(api, `${day}&interval=1h&limit=2&stats=sum&format=ndjson&cursor=${next}`)
  const restLines = rest.body.trimEnd().split('\n').map(it => JSON.parse(it))
  assert.deepEqual(restLines.map(it => it.sum ?? it.end.next), [3, null])
})

test('rows without readings are filled as requested, and say so', async t => {
  const api = await openTestApi(t)
  await writeEvents(api.database, [event(HOUR_MS, 10), event(4 * HOUR_MS, 40)])
  const ask = async (query: string) => {
    const pages = []
    const range = 'start=2024-01-01T00:00:00Z&end=2024-01-01T06:00:00Z&interval=1h&stats=count,avg,last'
    for (let cursor = ''; ;) {
      const { body } = await api.ask(`/api/v1/aggregates?${range}&${query}${cursor}`)
      pages.push(...body.rows)
      if (body.next === null) break
      cursor = `&cursor=${body.next}`
    }
    assert.deepEqual(pages.map(it => it.count > 0), pages.map(it => !it.filled))
    for (const { filled, lastTime } of pages) if (filled) assert.equal(lastTime, null)
    return pages.map(it => it.avg)
  }
  const expected: Record<string, Array<number | null>> = {
    none: [10, 40],
    null: [null, 10, null, null, 40, null],
    previous: [null, 10, 10, 10, 40, 40],
    linear: [null, 10, 20, 30, 40, null]
  }
  for (const [fill, asc] of Object.entries(expected)) {
    for (const limit of [1, 2, 3, 100]) {
      assert.deepEqual(await ask(`fill=${fill}&limit=${limit}`), asc, `${fill} ${limit}`)
      assert.deepEqual(await ask(`fill=${fill}&limit=${limit}&order=desc`), asc.toReversed(), `${fill} desc ${limit}`)
    }
  }
})

test('a row is also filled from the last one before the range, up to 30 days back', async t => {
  const api = await openTestApi(t)
  const other = { deviceId: 'd-2', sourcePartition: 1 }
  await writeEvents(api.database, [
    event(-30 * DAY_MS - 1, 1, { deviceId: 'd-0' }), event(-30 * DAY_MS, 2), event(-2 * DAY_MS, 7, other),
    event(-2 * DAY_MS + MINUTE_MS, 9, other), event(2 * HOUR_MS, 40, other)
  ])
  const ask = async (query: string) => {
    const { body } = await api.ask(
      `/api/v1/aggregates?groupBy=device&interval=1h&stats=count,avg&fill=previous&end=2024-01-01T04:00:00Z&${query}`)
    return body.rows.map((it: any) => [it.device, it.count, it.avg])
  }
  assert.deepEqual(await ask('start=2024-01-01T00:00:00Z'), [
    ...[0, 0, 0, 0].map(count => ['d-1', count, 2]), // although it has no reading in the range
    ['d-2', 0, 8], ['d-2', 0, 8], ['d-2', 1, 40], ['d-2', 0, 40]
  ])
  assert.deepEqual(await ask('start=2024-01-01T03:00:00.001Z'), [['d-2', 0, 40]])
  assert.deepEqual(await ask('start=2024-01-01T02:30:00Z&device=d-2&device=d-1'), [['d-2', 0, 40], ['d-2', 0, 40]])
  assert.deepEqual(await ask('start=2024-01-01T02:00:00.001Z'), [['d-2', 0, 40], ['d-2', 0, 40]])
  // half a minute after 7, and half a minute before 9
  assert.deepEqual((await ask('start=2023-12-30T00:00:30Z&device=d-2'))[0], ['d-2', 1, 9])
})

test('if retention dropped the minutes before the range, a row is filled from its hour or day', async t => {
  const api = await openTestApi(t)
  const hour = Math.floor((Date.now() - 3 * DAY_MS) / HOUR_MS) * HOUR_MS - dayMs
  await writeEvents(api.database, [event(hour, 1), event(hour + 20 * MINUTE_MS, 2), event(hour + 2 * DAY_MS, 5)])
  await api.database.query("update rollup_levels set retention = '2 days' where name = 'minute'")
  await api.database.query('delete from rollups_minute where bucket_start < now() - interval \'2 days\'')
  const ask = async (interval: string) => {
    const { body } = await api.ask(`/api/v1/aggregates?start=${new Date(dayMs + hour + 2 * DAY_MS - HOUR_MS).toISOString()}` +
      `&interval=${interval}&stats=avg&fill=previous&end=${new Date(dayMs + hour + 2 * DAY_MS + HOUR_MS).toISOString()}`)
    return body.rows.map((it: any) => it.avg)
  }
  assert.deepEqual(await ask('1h'), [1.5, 5])
  assert.deepEqual(await ask('30m'), [null, null, 5, 5]) // half hours of that time are not kept
})

test('a counter reset continues; a gap is no step; a value is held until the next one', async t => {
  const api = await openTestApi(t)
  const series = [[0, 100], [10, 150], [20, 30], [30, 40], [180, 500], [190, 510]]
  await writeEvents(api.database, series.map(([minute, value]) => event(minute * MINUTE_MS, value)))
  const ask = async (query: string) => {
    const { body } = await api.ask(`/api/v1/aggregates?${day}&stats=increase,rate,timeWeightedAvg&${query}`)
    return body.rows.map((it: any) => [it.increase, it.rate, it.timeWeightedAvg])
  }
  // 50, then 30 from 0, then 10; 150 minutes without a reading; 10
  assert.deepEqual(await ask('interval=1d&maxGap=1h'), [[100, 100 / 86_400,
    (100 * 10 + 150 * 10 + 30 * 10 + 40 * 60 + 500 * 10 + 510 * 60) / 160]])
  assert.deepEqual((await ask('interval=1d&maxGap=3h'))[0][0], 560)
  // the step from 30 to 40 belongs to the row of the later reading, although the earlier one is in the row before
  assert.deepEqual((await ask('interval=30m&maxGap=1h')).map((it: any) => it[0]), [80, 10, 10])
})

test('missing numbers are null, and the row gives the reason', async t => {
  const api = await openTestApi(t)
  const many = Array.from({ length: 5 }, (_, n) => event(HOUR_MS + n, n))
  await writeEvents(api.database, [
    event(0, Number.MAX_VALUE), event(1, Number.MAX_VALUE), ...many, event(2 * HOUR_MS, 7)
  ],
  { readingsPerRowMax: 4 })
  const { body } = await api.ask(`/api/v1/aggregates?${day}&interval=1h&stats=sum,stddev,increase,timeWeightedAvg`)
  assert.deepEqual(body.rows.map((it: any) => [it.sum, it.stddev, it.increase, it.unavailable]), [
    [null, 0, 0, { sum: 'out-of-range' }],
    [10, Math.sqrt(2), null, { increase: 'readings-not-kept', timeWeightedAvg: 'readings-not-kept' }],
    [7, 0, 3, undefined] // from the last reading of the minute before, which is still known
  ])
})

test('one extreme value does not destroy the statistics of its zone\'s hour', async t => {
  const api = await openTestApi(t)
  const decayed = [1e-160, -Number.MIN_VALUE, 3e-310, 1e-146]
  const hours = [...decayed.map(it => [it]), [1e150], decayed, [Number.MAX_VALUE, -Number.MAX_VALUE, ...decayed]]
  const usual = Array.from({ length: 40 * 30 }, (_, n) => 20 + (n * 7919 % 1000) / 100) // enough for a sketch
  await writeEvents(api.database, hours.flatMap((odd, hour) => [...odd, ...usual].map((value, n) => event(
    hour * HOUR_MS + n * 2_900, value, { deviceId: `d-${n % 40}`, sourcePartition: n % 3 }))))
  const { body } = await api.ask(`/api/v1/aggregates?${day}&interval=1h&groupBy=zone&stats=count,stddev,avg,sum`)
  assert.deepEqual(body.rows.map((it: any) => [it.count, it.stddev, it.avg, it.sum]), hours.map(odd => {
    const values = [...odd, ...usual]
    const sum = sumUnits(values)
    return [values.length, exactDeviation(values), quotientToDouble(sum, BigInt(values.length), UNIT_EXPONENT),
      quotientToDouble(sum, 1n, UNIT_EXPONENT)]
  }))
  assert.ok(body.rows.every((it: any) => it.unavailable === undefined))
})

test('if minutes are past their retention, statistics that need them are refused or marked', async t => {
  const api = await openTestApi(t)
  const nowMs = Date.now() - dayMs
  const old = nowMs - 20 * 24 * HOUR_MS
  await writeEvents(api.database, [event(old, 1), event(nowMs - 2 * HOUR_MS, 2), event(nowMs - 2 * HOUR_MS + 1000, 3)])
  await api.database.query("update rollup_levels set retention = '10 days' where name = 'minute'")
  const ask = (query: string) => api.ask(`/api/v1/aggregates?start=-30d&${query}`)
  const fine = await ask('interval=15m')
  assert.deepEqual([fine.status, fine.body.code], [400, 'RELAY_INTERVAL_TOO_FINE'])
  assert.match(fine.body.detail, /the shortest possible interval is 1h/)
  const kolkata = await ask('interval=1d&tz=Asia/Kolkata') // its days begin at 18:30 UTC
  assert.deepEqual([kolkata.status, kolkata.body.code], [400, 'RELAY_INTERVAL_TOO_FINE'])
  const { body } = await ask('interval=1d&stats=count,increase')
  assert.deepEqual(body.rows.map((it: any) => [it.count, it.unavailable?.increase]),
    [[1, 'minutes-not-kept'], [2, undefined]])
  assert.equal((await ask('interval=auto&maxPoints=100000')).body.interval, '1h')
})

test('an answer about the settled past may be cached; one about the present is revalidated by its tag', async t => {
  const api = await openTestApi(t, { EVENT_LOG: 'postgres', CACHE_PAST_S: '90' })
  await api.database.query("select create_event_log_topic('iot-events', 1, interval '1 day')")
  await writeEvents(api.database, [event(0, 1)])
  const past = await get(api, `${day}&interval=1d`)
  assert.equal(past.headers['cache-control'], 'private, max-age=90')
  assert.equal(past.json().rows[0].status, 'final')
  const present = await get(api, 'start=2024-01-01T00:00:00Z&interval=1mo')
  assert.equal(present.headers['cache-control'], 'private, no-cache')
  assert.equal((await get(api, 'start=-3d&end=-2d')).headers['cache-control'], 'private, no-cache') // a relative range

  const etag = String(past.headers.etag)
  const same = await get(api, `${day}&interval=1d`, { 'if-none-match': `"other", ${etag}` })
  assert.deepEqual([same.statusCode, same.body], [304, ''])
  await writeEvents(api.database, [event(HOUR_MS, 5, { sourcePartition: 1 })]) // late, from another partition
  const changed = await get(api, `${day}&interval=1d`, { 'if-none-match': etag })
  assert.deepEqual([changed.statusCode, changed.json().rows[0].count], [200, 2])
})

test('a cursor belongs to its query, and a changed one is a client error', async t => {
  const api = await openTestApi(t)
  await writeEvents(api.database, Array.from({ length: 10 }, (_, n) => event(n * HOUR_MS, n)))
  const first = await api.ask(`/api/v1/aggregates?${day}&interval=1h&limit=3&fill=linear`)
  const cursor: string = first.body.next
  const other = await api.ask(`/api/v1/aggregates?${day}&interval=2h&limit=3&fill=linear&cursor=${cursor}`)
  assert.equal(other.body.code, 'RELAY_CURSOR_INVALID')
  await fc.assert(fc.asyncProperty(
    fc.nat(200), fc.oneof(fc.jsonValue(), fc.integer(), fc.constantFrom(null, 1e300, -1)), async (at, value) => {
      const wire = JSON.parse(Buffer.from(cursor, 'base64url').toString())
      wire[at % wire.length] = value
      const made = Buffer.from(JSON.stringify(wire)).toString('base64url')
      const { status, body } = await api.ask(`/api/v1/aggregates?${day}&interval=1h&limit=3&fill=linear&cursor=${made}`)
      assert.ok(status < 500, JSON.stringify([wire, body]))
    }), { numRuns: 100 })
})

test('pages of data that is being written skip nothing and repeat nothing', async t => {
  const api = await openTestApi(t)
  const devices = Array.from({ length: 20 }, (_, n) => `d-${String(n).padStart(2, '0')}`)
  await writeEvents(api.database, devices.flatMap(deviceId =>
    Array.from({ length: 12 }, (_, n) => event(n * HOUR_MS, n, { deviceId }))))
  let written = 0
  const seen = new Map<string, number>()
  for (let cursor = ''; ;) {
    const { body } = await api.ask(`/api/v1/aggregates?${day}&interval=1h&groupBy=device&limit=7&stats=count${cursor}`)
    for (const { device, bucketStart, count } of body.rows) {
      const key = `${device} ${bucketStart}`
      assert.ok(!seen.has(key), key)
      seen.set(key, count)
    }
    if (body.next === null) break
    cursor = `&cursor=${body.next}`
    // between two pages: more readings of rows before and after, and devices that sort in between
    written++
    await writeEvents(api.database, [
      event(3 * HOUR_MS, 1, { deviceId: devices[written % 20], sourcePartition: 100 + written }),
      event(0, 1, { deviceId: `${devices[written % 20]}-new`, sourcePartition: 100 + written })
    ])
  }
  for (const device of devices) {
    for (let hour = 0; hour < 12; hour++) {
      assert.ok(seen.get(`${device} 2024-01-01T${String(hour).padStart(2, '0')}:00:00Z`)! >= 1)
    }
  }
  assert.ok(written > 20)
})

test('rows of a device or a zone take one statement, and those of an unknown one are none', async t => {
  const { database, databaseUrl } = await openTestApi(t)
  await writeEvents(database, [event(0, 1), event(HOUR_MS, 2), event(HOUR_MS, 5, { deviceId: 'd-2' })])
  const sent: string[] = []
  const noting: Database = {
    ...database,
    queryPrepared (name, ...rest) {
      sent.push(name)
      return database.queryPrepared<never>(name, ...rest)
    },
    streamPrepared (name, ...rest) {
      sent.push(name)
      return database.streamPrepared(name, ...rest)
    }
  }
  const config = readApiConfig({ DATABASE_URL: databaseUrl, API_TOKENS: TOKEN })
  const app = await createApp(config, noting, createLogger('test', 'silent'))
  t.after(() => app.close())
  const averagesOf = async (query: string) => {
    const { body } = await get({ app } as TestApi, `${query}&${day}&interval=1h&stats=avg`)
    return JSON.parse(body).rows.map((it: { avg: number }) => it.avg)
  }
  await averagesOf('device=d-1') // the retention is known from now on
  for (const [query, averages] of [['device=d-1', [1, 2]], ['zone=Zone+A', [1, 3.5]], ['zone=Nowhere', []]] as const) {
    sent.length = 0
    assert.deepEqual(await averagesOf(query), averages)
    assert.deepEqual(sent.map(it => it.split(' ')[0]), ['total'], query)
  }
})
