import assert from 'node:assert/strict'
import { test } from 'node:test'

import { DAY_MS, HOUR_MS, MINUTE_MS } from 'relay-rollups'

import { openTestApi } from './support/ask.ts'
import { writeEvents, type PlacedEvent } from './support/write-events.ts'

const startMs = Date.UTC(2024, 0, 1)

const reading = (secondsIn: number, value: number, other: Partial<PlacedEvent> = {}): PlacedEvent => ({
  deviceId: 'thermostat-001',
  deviceType: 'THERMOSTAT',
  zone: 'Zone A',
  timestampMs: startMs + secondsIn * 1000,
  value,
  sourcePartition: 0,
  ...other
})

test('an answer has the known fields, in their order, and times as they were sent', async t => {
  const { app, database } = await openTestApi(t)
  await writeEvents(database, [reading(0, 20), reading(1, 21), reading(2, 25)])
  const { body } = await app.inject({
    url: '/api/events/device/thermostat-001?startTime=2024-01-01T01:00:00%2B01:00&endTime=2024-01-01T00:01:00Z',
    headers: { authorization: 'Bearer token-of-the-tests' }
  })
  assert.equal(body, '{"deviceId":"thermostat-001","zone":"Zone A","deviceType":"THERMOSTAT",' +
    '"timeWindowStart":"2024-01-01T01:00:00+01:00","timeWindowEnd":"2024-01-01T00:01:00Z",' +
    '"avgValue":22,"minValue":20,"maxValue":25,"medianValue":21,"count":3,"medianError":0,' +
    '"coverage":{"start":"2024-01-01T00:00:00.000Z","end":"2024-01-01T00:01:00.000Z"}}')
})

test('a plus sign that the URL decoded to a space is accepted', async t => {
  const { app, database } = await openTestApi(t)
  await writeEvents(database, [reading(0, 20)])
  for (const offset of ['+02:00', '+0200', '+02']) {
    const range = `startTime=2024-01-01T02:00:00${offset}&endTime=2024-01-01T02:00:01${offset}`
    const response = await app.inject({
      url: `/api/events/device/thermostat-001?${range}`,
      headers: { authorization: 'Bearer token-of-the-tests' }
    })
    assert.equal(response.statusCode, 200, response.body)
    assert.equal(response.json().timeWindowStart, `2024-01-01T02:00:00${offset}`)
  }
})

test('the range starts at startTime and ends before endTime, to the ms', async t => {
  const { database, ask } = await openTestApi(t)
  await writeEvents(database, [10_000, 10_001, 10_002, 10_003].map((ms, n) => reading(ms / 1000, n)))
  const within = async (start: string, end: string) => (await ask('/api/events/zone/Zone%20A', {
    startTime: `2024-01-01T00:00:${start}Z`, endTime: `2024-01-01T00:00:${end}Z`
  })).body

  assert.deepEqual((await within('10.001', '10.003')).count, 2)
  assert.deepEqual((await within('10.001', '10.003')).avgValue, 1.5)
  assert.deepEqual((await within('10.002', '10.0020009')).code, 'RELAY_RANGE_INVALID') // finer digits are truncated
  assert.deepEqual((await within('10.003', '11')).minValue, 3)
  assert.deepEqual((await within('10.004', '11')).code, 'RELAY_NO_DATA')
  assert.deepEqual((await within('09', '10')).code, 'RELAY_NO_DATA')
})

test('a field with several values is null, and a common value is named', async t => {
  const { database, ask } = await openTestApi(t)
  await writeEvents(database, [
    reading(0, 1),
    reading(1, 2, { zone: 'Zone B' }), // the device has moved
    reading(2, 3, { deviceId: 'car-fuel-001', deviceType: 'CAR_FUEL' }),
    reading(3, 4, { deviceId: 'car-fuel-001', deviceType: 'CAR_FUEL', sourcePartition: 1 })
  ])
  const named = async (path: string, endTime = '2024-01-01T00:01:00Z') => {
    const { body } = await ask(path, { startTime: '2024-01-01T00:00:00Z', endTime })
    return [body.deviceId, body.zone, body.deviceType, body.count]
  }
  const oneSecondLater = '2024-01-01T00:00:01Z'
  assert.deepEqual(await named('/api/events/device/thermostat-001'), ['thermostat-001', null, 'THERMOSTAT', 2])
  assert.deepEqual(await named('/api/events/device/thermostat-001', oneSecondLater),
    ['thermostat-001', 'Zone A', 'THERMOSTAT', 1])
  assert.deepEqual(await named('/api/events/device/car-fuel-001'), ['car-fuel-001', 'Zone A', 'CAR_FUEL', 2])
  assert.deepEqual(await named('/api/events/zone/Zone%20A'), [null, 'Zone A', null, 3])
  assert.deepEqual(await named('/api/events/zone/Zone%20B'), [null, 'Zone B', 'THERMOSTAT', 1])
  assert.deepEqual(await named('/api/events/type/THERMOSTAT'), [null, null, 'THERMOSTAT', 2])
  assert.deepEqual(await named('/api/events/type/THERMOSTAT', oneSecondLater), [null, 'Zone A', 'THERMOSTAT', 1])
  assert.deepEqual(await named('/api/events/zone/Zone%20A/type/CAR_FUEL'), [null, 'Zone A', 'CAR_FUEL', 2])
})

test('names in paths may contain everything that events allow', async t => {
  const { database, ask } = await openTestApi(t)
  const names = [
    'Zone A', 'Küche/1. Stock', '机房', 'a%2Fb', '?&#+ "\'', '🔥'.repeat(64), 'x'.repeat(128), "'; drop table series"
  ]
  await writeEvents(database, names.map((name, n) => reading(n, n, { deviceId: name, zone: name })))
  for (const [n, name] of names.entries()) {
    for (const kind of ['device', 'zone']) {
      const { status, body } = await ask(`/api/events/${kind}/${encodeURIComponent(name)}`,
        { startTime: '2024-01-01T00:00:00Z', endTime: '2024-01-02T00:00:00Z' })
      assert.deepEqual([status, body.count, body.avgValue, body.zone], [200, 1, n, name])
    }
  }
})

test('ends widen to whole minutes if a minute no longer stores its readings, and coverage says so', async t => {
  const { database, ask } = await openTestApi(t)
  const fast = { deviceId: 'thermostat-002' }
  await writeEvents(database, [
    // 00:00 and 00:02: thermostat-002 sends more readings than its rows may store
    ...[0, 120].flatMap(at => [1, 2, 3].map(second => reading(at + second, 100, fast))),
    ...[0, 30, 59, 60, 119, 120, 150, 179].map(second => reading(second, 1)),
    reading(240, 7), reading(250, 7)
  ], { readingsPerRowMax: 2 })
  const within = (path: string, start: string, end: string) =>
    ask(path, { startTime: `2024-01-01T00:${start}Z`, endTime: `2024-01-01T00:${end}Z` })

  const { body: zone } = await within('/api/events/zone/Zone%20A', '00:30', '02:10')
  assert.deepEqual(zone.coverage, { start: '2024-01-01T00:00:00.000Z', end: '2024-01-01T00:03:00.000Z' })
  assert.deepEqual([zone.count, zone.minValue, zone.maxValue], [14, 1, 100])
  assert.equal(zone.timeWindowStart, '2024-01-01T00:00:30Z')

  const { body: oneMinute } = await within('/api/events/type/THERMOSTAT', '00:30', '00:31')
  assert.deepEqual(oneMinute.coverage, { start: '2024-01-01T00:00:00.000Z', end: '2024-01-01T00:01:00.000Z' })
  assert.equal(oneMinute.count, 6)

  const { body: startOnly } = await within('/api/events/zone/Zone%20A', '00:30', '04:05')
  assert.deepEqual(startOnly.coverage, { start: '2024-01-01T00:00:00.000Z', end: '2024-01-01T00:04:05.000Z' })
  assert.equal(startOnly.count, 15)

  const { body: whole } = await within('/api/events/zone/Zone%20A', '00:00', '03:00')
  assert.deepEqual(whole.coverage, { start: '2024-01-01T00:00:00.000Z', end: '2024-01-01T00:03:00.000Z' })
})

test('if minutes are past their retention, ends widen to hours and days, and coverage says so', async t => {
  const { database, ask } = await openTestApi(t)
  const nowMs = Date.now()
  const dayMs = nowMs - nowMs % DAY_MS
  const at = (ms: number, value: number) => reading((ms - startMs) / 1000, value)
  const iso = (ms: number) => new Date(ms).toISOString()
  const oldMs = dayMs - 20 * DAY_MS
  const freshMs = dayMs - 2 * DAY_MS
  await writeEvents(database, [oldMs, freshMs].flatMap(base =>
    [0, 10 * MINUTE_MS, HOUR_MS, 23 * HOUR_MS + 1].map((ms, n) => at(base + ms, n))))
  const counted = async (startMs: number, endMs: number) => {
    const { body } = await ask('/api/events/zone/Zone%20A', { startTime: iso(startMs), endTime: iso(endMs) })
    return [body.count, body.coverage?.start, body.coverage?.end]
  }

  assert.deepEqual(await counted(oldMs + 1, oldMs + MINUTE_MS), [undefined, undefined, undefined])
  await database.query("select set_rollup_retention('minute', '10 days')")
  assert.deepEqual(await counted(oldMs + 1, oldMs + MINUTE_MS), [2, iso(oldMs), iso(oldMs + HOUR_MS)])
  assert.deepEqual(await counted(freshMs + 1, freshMs + MINUTE_MS), [undefined, undefined, undefined])
  assert.deepEqual(await counted(oldMs + 1, freshMs + 1), [5, iso(oldMs), iso(freshMs + 1)])
  await database.query("select set_rollup_retention('hour', '15 days')")
  assert.deepEqual(await counted(oldMs + 1, oldMs + MINUTE_MS), [4, iso(oldMs), iso(oldMs + DAY_MS)])
  await database.query("select set_rollup_retention('day', '15 days')")
  const [count, start] = await counted(oldMs, freshMs + HOUR_MS)
  assert.deepEqual([count, start], [2, iso(dayMs - 14 * DAY_MS)])
  assert.deepEqual(await counted(oldMs + 1, oldMs + MINUTE_MS), [undefined, undefined, undefined])
})

test('HEAD answers like GET, without the body', async t => {
  const { app, database } = await openTestApi(t)
  await writeEvents(database, [reading(0, 20)])
  const response = await app.inject({
    method: 'HEAD',
    url: '/api/events/zone/Zone%20A?startTime=2024-01-01T00:00:00Z&endTime=2024-01-02T00:00:00Z',
    headers: { authorization: 'Bearer token-of-the-tests' }
  })
  assert.deepEqual([response.statusCode, response.body], [200, ''])
})
