/** Callers that may see a part of the site: every route, with every kind of query. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'

import fc from 'fast-check'
import { createApiKey, mayDevice, mayZone, type Grants } from 'relay-access'

import { openTestApi, TOKEN } from './support/ask.ts'
import { writeEvents, type PlacedEvent } from './support/write-events.ts'

const dayMs = Date.parse('2024-01-01T00:00:00Z')
const zones = ['Zone A', 'Zone B', 'Zone C']
const devices = ['a-1', 'a-2', 'b-1', 'b-2']
const types = ['THERMOSTAT', 'CAR_FUEL']

/** Every device in every zone, with both types: 10 readings each, over two days and both partitions. */
const events: PlacedEvent[] = zones.flatMap((zone, z) =>
  devices.flatMap((deviceId, d) => types.flatMap((deviceType, y) =>
    Array.from({ length: 10 }, (_, n) => ({
      deviceId,
      deviceType,
      zone,
      value: z * 100 + d * 10 + y + n / 10,
      timestampMs: dayMs + n * 17_000_123,
      sourcePartition: d % 2
    })))))

const range = { start: '2024-01-01T00:00:00.500Z', end: '2024-01-03T00:00:00Z' }
const rangeOld = { startTime: range.start, endTime: range.end }
const inRange = events.filter(it => it.timestampMs >= Date.parse(range.start))

async function openSite (t: TestContext) {
  const { app, database } = await openTestApi(
    t, { RATE_LIMIT_PRINCIPAL_MAX: '1000000', RATE_LIMIT_ADDRESS_MAX: '1000000' }
  )
  await writeEvents(database, events)
  const keys = new Map<string, string>()
  const keyOf = async (grants: Grants) => {
    const name = JSON.stringify(grants)
    const known = keys.get(name)
    if (known) return known
    const { key } = await createApiKey(database,
      { environment: 'local', name, scopes: ['events:read'], grants, expiresAtMs: undefined }, { principal: 'test' })
    keys.set(name, key)
    return key
  }
  const ask = async (token: string, path: string, query: Record<string, string | string[]> = {}) => {
    const parameters = new URLSearchParams(
      Object.entries(query).flatMap(([name, values]) => [values].flat().map((it): [string, string] => [name, it]))
    )
    const response = await app.inject({ url: `${path}?${parameters}`, headers: { authorization: `Bearer ${token}` } })
    return { status: response.statusCode, body: response.json() as any }
  }
  return {
    ask,
    askAs: async (grants: Grants, path: string, query?: Record<string, string | string[]>) => await ask(
      await keyOf(grants), path, query
    )
  }
}

const seen = (grants: Grants) => inRange.filter(it => mayZone(grants, it.zone) && mayDevice(grants, it.deviceId))
const grantsArbitrary: fc.Arbitrary<Grants> = fc.record({
  zones: fc.subarray(zones), devicePrefixes: fc.subarray(['a-', 'b-', 'a-1', 'b-2', 'x'])
}, { requiredKeys: [] })

test('every answer counts only what its caller may see', async t => {
  const { askAs } = await openSite(t)
  await fc.assert(fc.asyncProperty(
    grantsArbitrary, fc.subarray(zones, { maxLength: 2 }), fc.subarray(devices, { maxLength: 2 }),
    fc.subarray(types, { maxLength: 1 }),
    fc.option(fc.constantFrom('device', 'zone', 'type'), { nil: undefined }), fc.constantFrom('range', '1h', '1d'),
    async (grants, zone, device, type, groupBy, interval) => {
      const query = {
        ...range, zone, device, type, interval, stats: 'count', limit: '5000', ...groupBy ? { groupBy } : {}
      }
      const { status, body } = await askAs(grants, '/api/v1/aggregates', query)
      if (!zone.every(it => mayZone(grants, it)) || !device.every(it => mayDevice(grants, it))) {
        assert.deepEqual([status, body.code], [403, 'RELAY_FORBIDDEN'])
        return
      }
      assert.equal(status, 200, JSON.stringify(body))
      const expected = seen(grants).filter(it => (zone.length === 0 || zone.includes(it.zone)) &&
        (device.length === 0 || device.includes(it.deviceId)) && (type.length === 0 || type.includes(it.deviceType)))
      const counted = body.rows.reduce((sum: number, it: { count: number }) => sum + it.count, 0)
      assert.equal(counted, expected.length)
    }), { numRuns: 150 })
})

test('the first endpoints obey grants as well, for repeated queries in every form', async t => {
  const { askAs } = await openSite(t)
  await fc.assert(fc.asyncProperty(grantsArbitrary, fc.constantFrom(
    ...zones
  ), fc.constantFrom(...devices), fc.constantFrom(...types),
  fc.constantFrom('device', 'zone', 'type', 'both'), async (grants, zone, device, type, kind) => {
    const [path, isSelected, isAllowed] = {
      device: [`device/${device}`, (it: PlacedEvent) => it.deviceId === device, mayDevice(grants, device)],
      zone: [`zone/${zone}`, (it: PlacedEvent) => it.zone === zone, mayZone(grants, zone)],
      type: [`type/${type}`, (it: PlacedEvent) => it.deviceType === type, true],
      both: [`zone/${zone}/type/${type}`, (it: PlacedEvent) => it.zone === zone && it.deviceType === type, mayZone(
        grants, zone
      )]
    }[kind] as [string, (it: PlacedEvent) => boolean, boolean]
    const expected = seen(grants).filter(isSelected)
    for (let n = 0; n < 2; n++) { // the second time from the cache, if possible
      const { status, body } = await askAs(grants, encodeURI(`/api/events/${path}`), rangeOld)
      if (!isAllowed) assert.deepEqual([status, body.code], [403, 'RELAY_FORBIDDEN'])
      else if (expected.length === 0) assert.deepEqual([status, body.code], [404, 'RELAY_NO_DATA'])
      else assert.deepEqual([body.count, body.maxValue], [expected.length, Math.max(...expected.map(it => it.value))])
    }
  }), { numRuns: 150 })
})

test('a cached answer of whole days equals an uncached one, for any grants', async t => {
  const { askAs } = await openSite(t)
  const wholeDays = { startTime: '2024-01-01T00:00:00Z', endTime: '2024-01-03T00:00:00Z' }
  for (const grants of [
    {}, { zones: ['Zone A'] }, { devicePrefixes: ['a-'] },
    { zones: ['Zone A', 'Zone B'], devicePrefixes: ['a-', 'b-1'] }
  ]) {
    const ask = () => askAs(grants, '/api/events/zone/Zone%20A', wholeDays)
    const first = await ask()
    assert.equal(first.status, 200)
    assert.equal(first.body.count, events.filter(it => it.zone === 'Zone A' && mayDevice(grants, it.deviceId)).length)
    for (let n = 0; n < 3; n++) assert.deepEqual(await ask(), first)
  }
})

test('lists, rankings, distributions and comparisons contain nothing that the caller may not see', async t => {
  const { askAs } = await openSite(t)
  const visible = [
    ['/api/v1/devices', {}], ['/api/v1/devices', { prefix: 'b' }], ['/api/v1/zones', {}], ['/api/v1/types', {}],
    ['/api/v1/top', { ...range, by: 'max', groupBy: 'device' }], ['/api/v1/top', { ...range, groupBy: 'zone' }],
    ['/api/v1/distribution', range], ['/api/v1/compare', range], ['/api/v1/devices/a-1', {}],
    ['/api/v1/devices/b-1/latest', {}]
  ] as Array<[string, Record<string, string>]>
  await fc.assert(fc.asyncProperty(grantsArbitrary, fc.constantFrom(...visible), async (grants, [path, query]) => {
    const { status, body } = await askAs(grants, path, query)
    assert.ok([200, 400, 403, 404].includes(status), JSON.stringify(body))
    if (status !== 200) return
    const text = JSON.stringify(body)
    for (const zone of zones) if (!mayZone(grants, zone)) assert.ok(!text.includes(zone), `${zone} in ${text}`)
    for (const device of devices) {
      if (!mayDevice(grants, device)) assert.ok(!text.includes(`"${device}"`), `${device} in ${text}`)
    }
  }), { numRuns: 150 })
})

test('a caller without grants sees everything', async t => {
  const { ask } = await openSite(t)
  const { body } = await ask(TOKEN, '/api/v1/aggregates', { ...range, interval: 'range', stats: 'count' })
  assert.equal(body.rows[0].count, inRange.length)
})
