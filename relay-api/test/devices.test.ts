/** Lists of devices, zones and types. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'
import { DAY_MS } from 'relay-rollups'

import { openTestApi, type TestApi } from './support/ask.ts'
import { writeEvents, type PlacedEvent } from './support/write-events.ts'

const baseMs = Date.UTC(2024, 1, 27)
const iso = (timeMs: number) => new Date(timeMs).toISOString()

function event (
  deviceId: string, zone: string, deviceType: string, timestampMs: number, value: number, sourcePartition = 0
): PlacedEvent {
  return { deviceId, zone, deviceType, timestampMs, value, sourcePartition }
}

/** Devices of two zones; one has moved, and one is read from two partitions in one minute. */
const events = [
  event('car-1', 'Garage', 'CAR_FUEL', baseMs + 5, 40),
  event('thermo-1', 'Zone A', 'THERMOSTAT', baseMs + 1_000, 20.5),
  event('thermo-1', 'Zone A', 'THERMOSTAT', baseMs + 2_000, 20.7),
  event('thermo-1', 'Zone B', 'THERMOSTAT', baseMs + 3 * DAY_MS, 19),
  event('thermo-2', 'Zone A', 'THERMOSTAT', baseMs + 400 * DAY_MS + 7, -3, 0),
  event('thermo-2', 'Zone A', 'THERMOSTAT', baseMs + 400 * DAY_MS + 7, -2, 1),
  event('thermo-2', 'Zone A', 'THERMOSTAT', baseMs + 9, 1, 1)
]

const thermo1 = {
  device: 'thermo-1',
  zone: 'Zone B',
  type: 'THERMOSTAT',
  firstSeen: iso(baseMs + 3 * DAY_MS),
  lastSeen: iso(baseMs + 3 * DAY_MS),
  lastValue: 19
}
const thermo2 = {
  device: 'thermo-2',
  zone: 'Zone A',
  type: 'THERMOSTAT',
  firstSeen: iso(baseMs + 9),
  lastSeen: iso(baseMs + 400 * DAY_MS + 7),
  lastValue: -2
}

async function openSite (t: Parameters<typeof openTestApi>[0]): Promise<TestApi> {
  const api = await openTestApi(t)
  await writeEvents(api.database, events)
  return api
}

test('devices are listed with their zones, first seen, and newest readings', async t => {
  const { ask } = await openSite(t)
  const { status, body } = await ask('/api/v1/devices')
  assert.equal(status, 200)
  assert.deepEqual(body, {
    devices: [
      {
        device: 'car-1',
        zone: 'Garage',
        type: 'CAR_FUEL',
        firstSeen: iso(baseMs +
        5),
        lastSeen: iso(baseMs + 5),
        lastValue: 40
      },
      { ...thermo1, firstSeen: iso(baseMs + 1_000) },
      thermo2
    ],
    next: null
  })
})

test('filters select devices and their zones; a prefix selects ids that start with it', async t => {
  const { ask } = await openSite(t)
  const found = async (query: string) =>
    (await ask(`/api/v1/devices?${query}`)).body.devices.map(
      (it: { device: string, lastValue: number }) => [it.device, it.lastValue]
    )
  assert.deepEqual(await found('zone=Zone%20A'), [['thermo-1', 20.7], ['thermo-2', -2]])
  assert.deepEqual(await found('zone=Zone%20A&zone=Garage&type=CAR_FUEL'), [['car-1', 40]])
  assert.deepEqual(await found('prefix=thermo'), [['thermo-1', 19], ['thermo-2', -2]])
  assert.deepEqual(await found('device=thermo-2&device=car-1'), [['car-1', 40], ['thermo-2', -2]])
  for (const prefix of ['THERMO', '%', '_', 'thermo-22', '\\']) {
    assert.deepEqual(await found(`prefix=${encodeURIComponent(prefix)}`), [])
  }
})

test('one device: all its zones, the newest first, and its newest reading', async t => {
  const { ask } = await openSite(t)
  const { body } = await ask('/api/v1/devices/thermo-1')
  const { device, ...newest } = thermo1
  assert.deepEqual(body, {
    device,
    ...newest,
    firstSeen: iso(baseMs + 1_000),
    series: [newest, {
      zone: 'Zone A', type: 'THERMOSTAT', firstSeen: iso(baseMs + 1_000), lastSeen: iso(baseMs + 2_000), lastValue: 20.7
    }]
  })
  assert.deepEqual((await ask('/api/v1/devices/thermo-2/latest')).body,
    { device: 'thermo-2', zone: 'Zone A', type: 'THERMOSTAT', value: -2, timestamp: iso(baseMs + 400 * DAY_MS + 7) })
  for (const path of ['/api/v1/devices/nobody', '/api/v1/devices/nobody/latest']) {
    const { status, body } = await ask(path)
    assert.deepEqual([status, body.code], [404, 'RELAY_NO_DATA'])
  }
})

test('of readings at the same time in several zones and types, the newest is the greatest', async t => {
  const { ask, database } = await openTestApi(t)
  await writeEvents(database, [
    event('d', 'Zone A', 'CAR_FUEL', baseMs + 5, -1.7e308),
    event('d', 'Zone A', 'THERMOSTAT', baseMs + 5, 7),
    event('d', 'Zone B', 'CAR_FUEL', baseMs + 5, 1.7e308),
    event('d', 'Zone C', 'CAR_FUEL', baseMs + 4, 1.71e308)
  ])
  const seen = iso(baseMs + 5)
  const newest = { zone: 'Zone B', type: 'CAR_FUEL', firstSeen: seen, lastSeen: seen, lastValue: 1.7e308 }
  const device = (await ask('/api/v1/devices/d')).body
  assert.deepEqual(device.series.map((it: { lastValue: number }) => it.lastValue), [1.7e308, 7, -1.7e308, 1.71e308])
  assert.deepEqual(device.series[0], newest)
  assert.deepEqual((await ask('/api/v1/devices')).body.devices,
    [{ device: 'd', ...newest, firstSeen: iso(baseMs + 4) }])
  assert.equal((await ask('/api/v1/devices/d/latest')).body.value, 1.7e308)
  assert.equal((await ask('/api/v1/devices?zone=Zone%20A')).body.devices[0].lastValue, 7)
})

test('zones and types count their devices; one that moved counts in both', async t => {
  const { ask } = await openSite(t)
  assert.deepEqual((await ask('/api/v1/zones')).body.zones, [
    { zone: 'Garage', types: ['CAR_FUEL'], devices: 1, lastSeen: iso(baseMs + 5) },
    { zone: 'Zone A', types: ['THERMOSTAT'], devices: 2, lastSeen: iso(baseMs + 400 * DAY_MS + 7) },
    { zone: 'Zone B', types: ['THERMOSTAT'], devices: 1, lastSeen: iso(baseMs + 3 * DAY_MS) }
  ])
  assert.deepEqual((await ask('/api/v1/types')).body.types, [
    { type: 'CAR_FUEL', zones: ['Garage'], devices: 1, lastSeen: iso(baseMs + 5) },
    { type: 'THERMOSTAT', zones: ['Zone A', 'Zone B'], devices: 2, lastSeen: iso(baseMs + 400 * DAY_MS + 7) }
  ])
  assert.deepEqual(
    (await ask('/api/v1/zones?type=CAR_FUEL')).body.zones.map((it: { zone: string }) => it.zone), ['Garage']
  )
  assert.deepEqual(
    (await ask('/api/v1/types?zone=Zone%20B')).body.types.map((it: { devices: number }) => it.devices), [1]
  )
})

test('a foreign cursor, or one of another kind, is refused', async t => {
  const { ask } = await openTestApi(t)
  for (const cursor of [
    'x', '%00', Buffer.from('1a\0').toString('base64url'), Buffer.from('2a').toString('base64url'), 'MWE='
  ]) {
    const { status, body } = await ask(`/api/v1/devices?cursor=${cursor}`)
    assert.deepEqual([status, body.code, body.parameter], [400, 'RELAY_CURSOR_INVALID', 'cursor'], cursor)
  }
})

test('pages of any size contain every device once and in order, while others are added', async t => {
  const { ask, database } = await openTestApi(t)
  const id = fc.stringMatching(/^[a-cÄ北😀 /%_-]{1,4}$/u)
  await fc.assert(fc.asyncProperty(fc.uniqueArray(id, { minLength: 1, maxLength: 12 }), fc.integer({ min: 1, max: 5 }),
    async (ids, limit) => {
      await database.query('truncate series, rollups_minute, rollups_hour, rollups_day restart identity')
      await writeEvents(database, ids.map(it => event(it, 'Zone A', 'THERMOSTAT', baseMs, 1)))
      const seen: string[] = []
      let cursor: string | null = null
      do {
        const query: Record<string, string> = { limit: String(limit), ...(cursor === null ? {} : { cursor }) }
        const { status, body } = await ask('/api/v1/devices', query)
        assert.equal(status, 200)
        assert.ok(body.devices.length <= limit)
        seen.push(...body.devices.map((it: { device: string }) => it.device))
        cursor = body.next
        // sorts before all others, so before the position of the reader
        await writeEvents(database, [event(`!${seen.length}`, `Zone ${seen.length}`, 'THERMOSTAT', baseMs, 1)])
      } while (cursor !== null)
      const expected = ids.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
      assert.deepEqual(seen.filter(it => !it.startsWith('!')), expected)
    }), { numRuns: 20, endOnFailure: true })
})

test('zones are paged, sorted by name, each once', async t => {
  const { ask, database } = await openTestApi(t)
  const zones = Array.from({ length: 25 }, (_, n) => `Zone ${n}`)
  await writeEvents(database, zones.map((zone, n) => (
    { deviceId: `device-${n}`, deviceType: 'THERMOSTAT', zone, value: n, timestampMs: baseMs, sourcePartition: 0 })))
  const found: string[] = []
  let cursor: string | null | undefined
  for (let pages = 0; cursor !== null && pages < 10; pages++) {
    const { status, body } = await ask('/api/v1/zones', { limit: '10', ...cursor === undefined ? {} : { cursor } })
    assert.equal(status, 200)
    assert.ok(body.zones.length <= 10)
    found.push(...body.zones.map((it: { zone: string }) => it.zone))
    cursor = body.next
  }
  assert.deepEqual(found, zones.toSorted())
  assert.equal((await ask('/api/v1/zones')).body.next, null, 'a small site has all of them in one answer')
  assert.equal((await ask('/api/v1/zones', { cursor: 'x' })).body.code, 'RELAY_CURSOR_INVALID')
})

test('a type in thousands of zones names the first 1,000, and counts the devices of all', async t => {
  const { ask, database } = await openTestApi(t)
  const zones = Array.from({ length: 4_500 }, (_, n) => `Zone ${n * 7_919 % 4_500}`) // in no order
  const newest = { zone: 'Zone 999', deviceId: 'device-newest' }
  await writeEvents(database, [
    ...zones.map((zone, n) => event(`device-${n}`, zone, 'THERMOSTAT', baseMs + n % 1_000, 1)),
    event(newest.deviceId, newest.zone, 'THERMOSTAT', baseMs + DAY_MS + 3, 1)
  ])
  const { body } = await ask('/api/v1/types')
  assert.deepEqual(body.types, [{
    type: 'THERMOSTAT', zones: zones.toSorted().slice(0, 1_000), devices: 4_501, lastSeen: iso(baseMs + DAY_MS + 3)
  }])
})
