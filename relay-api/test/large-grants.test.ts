/** A caller that may see some devices of a large zone: its answers are right, read in pieces, and bounded. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'

import { createApiKey, type Grants } from 'relay-access'
import type { Database } from 'relay-common'
import { DAY_MS, HOUR_MS } from 'relay-rollups'

import { readArrivalTotals } from '../src/query/late-readings.ts'
import { nobody } from '../src/sharing/asker.ts'
import { findGranted, reportChangedZones } from '../src/query/granted.ts'
import { PIECE_SERIES, piecesOf, seriesOf } from '../src/query/pieces.ts'
import { readGroupPresences } from '../src/query/presence.ts'
import { planRows, readBuckets } from '../src/query/read-buckets.ts'
import { readSteps } from '../src/query/read-steps.ts'
import { createTotalReader } from '../src/query/read-total.ts'
import { openTestApi } from './support/ask.ts'
import { writeEvents } from './support/write-events.ts'

const dayMs = Date.parse('2024-01-01T00:00:00Z')
const day = { start: '2024-01-01T00:00:00Z', end: '2024-01-02T00:00:00Z' }
const v0Day = { startTime: day.start, endTime: day.end }
/** Pieces: two whole ones and a part. */
const MINE = 2 * PIECE_SERIES + 100
const FOREIGN = 50

/** A zone with devices that the caller may see, and some that it may not; each has sent its number, in some minute. */
async function openSite (t: TestContext, environment: Record<string, string> = {}) {
  const { app, database } = await openTestApi(t, { RATE_LIMIT_PRINCIPAL_MAX: '1000000', ...environment })
  const events = (prefix: string, count: number) => Array.from({ length: count }, (_, n) => ({
    deviceId: `${prefix}${n}`,
    deviceType: n % 3 === 0 ? 'CAR_FUEL' : 'THERMOSTAT',
    zone: 'Large',
    value: n,
    timestampMs: dayMs + n % 200 * 60_000 + 1,
    sourcePartition: 0
  }))
  const all = [...events('mine-', MINE), ...events('foreign-', FOREIGN)]
  const places = new Map(all.flatMap((it, n) => n % 3 === 1
    ? [[it, { flush: n % 2, isLate: n % 5 === 0 }] as const]
    : []))
  await writeEvents(database, all, { journaled: { devices: places, groups: places } })
  const keyOf = async (grants: Grants) => (await createApiKey(database,
    { environment: 'local', name: 'mine', scopes: ['events:read'], grants, expiresAtMs: undefined }, {
      principal: 'test'
    })).key
  const ask = async (token: string, path: string, query: Record<string, string> = {}) => {
    const response = await app.inject({
      url: `${path}?${new URLSearchParams(query)}`, headers: { authorization: `Bearer ${token}` }
    })
    return { status: response.statusCode, body: response.json() as any }
  }
  return { ask, database, keyOf }
}

const sumTo = (count: number) => count * (count - 1) / 2
const carsOf = (count: number) => Math.ceil(count / 3)

test('every query on many devices of a zone counts the visible ones, in any pieces', async t => {
  const { ask, keyOf } = await openSite(t)
  for (const [prefix, count] of [['mine-', MINE], ['mine-1', 1 + 10 + 100 + 1_000]] as const) {
    for (const zones of prefix === 'mine-' ? [['Large']] : [['Large'], undefined]) {
      const token = await keyOf({ devicePrefixes: [prefix], ...zones && { zones } })
      const get = async (path: string, query: Record<string, string> = {}) => {
        const { status, body } = await ask(token, path, query)
        assert.equal(status, 200, `${path}: ${JSON.stringify(body)}`)
        return body
      }
      const counted = (body: { rows: Array<{ count: number }> }) => body.rows.reduce((sum, it) => sum + it.count, 0)
      for (const groupBy of ['', 'zone', 'type', 'device']) {
        const query = { ...day, ...groupBy && { groupBy }, stats: 'count', limit: '100000' }
        assert.equal(counted(await get('/api/v1/aggregates', { ...query, interval: '1d' })), count)
        if (groupBy !== 'device') {
          assert.equal(counted(await get('/api/v1/aggregates', { ...query, interval: '1m' })), count)
        }
      }
      const whole = await get('/api/v1/aggregates', { ...day, interval: 'range', stats: 'count,sum,min,max' })
      if (count === MINE) {
        assert.deepEqual([whole.rows[0].sum, whole.rows[0].min, whole.rows[0].max], [sumTo(MINE), 0, MINE - 1])
      }
      assert.equal((await get('/api/events/zone/Large', v0Day)).count, count)
      for (let n = 0; n < 2; n++) {
        assert.equal((await get('/api/events/type/CAR_FUEL', v0Day)).count +
          (await get('/api/events/zone/Large/type/THERMOSTAT', v0Day)).count, count)
      }
      assert.equal(
        (await get('/api/events/zone/Large', { ...v0Day, startTime: '2024-01-01T00:00:00.002Z' })).count < count, true
      )
      assert.equal((await get('/api/v1/distribution', day)).count, count)
      assert.equal((await get('/api/v1/compare', { ...day, stats: 'count' })).stats[0].value, count)
      const top = await get('/api/v1/top', { ...day, groupBy: 'type', stat: 'count' })
      assert.equal(top.rows.reduce((sum: number, it: { count: number }) => sum + it.count, 0), count)
      const { zones: [zone], next } = await get('/api/v1/zones')
      assert.deepEqual([zone.zone, zone.devices, zone.types, next], ['Large', count, ['CAR_FUEL', 'THERMOSTAT'], null])
      const { types } = await get('/api/v1/types')
      assert.equal(types.reduce((sum: number, it: { devices: number }) => sum + it.devices, 0), count)
      if (count === MINE) assert.equal(types[0].devices, carsOf(MINE))
      if (count === MINE) assert.equal(zone.lastSeen, new Date(dayMs + 199 * 60_000 + 1).toISOString())
    }
  }
})

test('devices are paged, each once, with any prefixes of caller and query', async t => {
  const { ask, keyOf } = await openSite(t)
  const cases: ReadonlyArray<[Grants, Record<string, string>, (id: string) => boolean]> = [
    [{ devicePrefixes: ['mine-9', 'mine-1'] }, {}, id => /^mine-[19]/.test(id)],
    [
      { devicePrefixes: ['mine-9', 'mine-99', 'mine-2'], zones: ['Large', 'Small'] }, { prefix: 'mine-99' },
      id => /^mine-99/.test(id)
    ],
    [
      { devicePrefixes: ['mine-12'] }, { prefix: 'mine', type: 'CAR_FUEL' },
      id => /^mine-12/.test(id) && Number(id.slice(5)) % 3 === 0
    ],
    [{ devicePrefixes: ['mine-12'] }, { prefix: 'foreign' }, () => false],
    [{ zones: ['Large'] }, { prefix: 'foreign-2' }, id => /^foreign-2/.test(id)]
  ]
  const all = [
    ...Array.from({ length: MINE }, (_, n) => `mine-${n}`), ...Array.from({ length: FOREIGN }, (_, n) => `foreign-${n}`)
  ]
  for (const [grants, query, isMeant] of cases) {
    const token = await keyOf(grants)
    const found: string[] = []
    for (let cursor: string | null = ''; cursor !== null;) {
      const { status, body } = await ask(token, '/api/v1/devices', { ...query, limit: '300', ...cursor && { cursor } })
      assert.equal(status, 200, JSON.stringify(body))
      found.push(...body.devices.map((it: { device: string }) => it.device))
      cursor = body.next
    }
    assert.deepEqual(found, all.filter(isMeant).sort())
  }
})

test('more devices than the limit of an answer are refused, with their number', async t => {
  const { ask, keyOf } = await openSite(t, { ANSWER_SERIES_MAX: '1200' })
  const token = await keyOf({ devicePrefixes: ['mine-'] })
  for (const [path, query] of [
    ['/api/v1/aggregates', day], ['/api/v1/top', { ...day, groupBy: 'zone' }], ['/api/v1/compare', day],
    ['/api/v1/distribution', day],
    ['/api/v1/zones', {}], ['/api/v1/types', {}], ['/api/events/zone/Large', v0Day],
    ['/api/events/type/CAR_FUEL', v0Day]
  ] as const) {
    const { status, body } = await ask(token, path, query)
    assert.deepEqual([status, body.code], [400, 'RELAY_TOO_MANY_POINTS'], path)
    assert.match(body.detail, /more than 1200 device series .*ANSWER_SERIES_MAX/)
  }
  const few = await keyOf({ devicePrefixes: ['mine-11'] })
  assert.equal((await ask(few, '/api/v1/aggregates', day)).status, 200)
  assert.equal(
    (await ask(token, '/api/v1/aggregates', { ...day, device: 'mine-7' })).status, 200, 'a device by its name'
  )
  assert.equal((await ask(token, '/api/v1/devices', { limit: '10' })).status, 200, 'a page of devices')
})

test('a piece has few series, all pieces together have all, and a caller without prefixes has none', async t => {
  const { database } = await openSite(t)
  const found = await findGranted(
    database, { devices: [], zones: [], types: [], grants: { devicePrefixes: ['mine-', 'mine-1'] } }, nobody
  )
  const pieces = piecesOf(found)
  assert.deepEqual(pieces.map(it => seriesOf(it.granted)).sort((a, b) => b - a), [PIECE_SERIES, PIECE_SERIES, 100])
  const ids = pieces.flatMap(it => it.granted!.series.flatMap(it => [...it.ids]))
  assert.equal(new Set(ids).size, MINE)
  for (const selection of [
    { grants: {} }, { grants: { zones: ['Large'] } }, { grants: { devicePrefixes: ['mine-'] }, devices: ['mine-1'] }
  ]) {
    const asked = { devices: [], zones: [], types: [], ...selection }
    assert.equal(await findGranted(database, asked, nobody), asked)
  }
})

test('a cached day is read again after a device of the caller was added', async t => {
  const { ask, database, keyOf } = await openSite(t)
  const token = await keyOf({ devicePrefixes: ['mine-'] })
  const count = async () => (await ask(token, '/api/events/zone/Large', v0Day)).body.count
  for (let n = 0; n < 2; n++) assert.equal(await count(), MINE)
  await writeEvents(database, [{
    deviceId: 'mine-new', deviceType: 'THERMOSTAT', zone: 'Large', value: 1, timestampMs: dayMs + 5, sourcePartition: 1
  }])
  assert.equal(await count(), MINE + 1)
})

test('a caller who may see all devices of a zone gets the answers of the zone, until an invisible one is added', async t => {
  const { ask, database, keyOf } = await openSite(t)
  const byPrefix = await keyOf({ zones: ['Large'], devicePrefixes: ['mine-', 'foreign-'] })
  const byZone = await keyOf({ zones: ['Large'] })
  const aggregates = (groupBy: string, interval: string, stats: string): [string, Record<string, string>] =>
    ['/api/v1/aggregates', { ...day, ...groupBy && { groupBy }, interval, fill: 'previous', stats, limit: '10000' }]
  const questions: ReadonlyArray<[string, Record<string, string>]> = [
    ['/api/events/zone/Large', v0Day], ['/api/events/zone/Large', { ...v0Day, startTime: '2024-01-01T00:00:00.002Z' }],
    ['/api/events/type/CAR_FUEL', v0Day],
    ...['', 'zone', 'type'].flatMap(groupBy => ['1m', '1h', '1d', '90m'].map(interval =>
      aggregates(groupBy, interval, 'count,avg,median,stddev'))),
    // these read all minutes of each series, which takes a second, so not all pairs
    ...[['', '1m'], ['zone', '1h'], ['type', '90m']].map(([groupBy, interval]) => aggregates(
      groupBy, interval, 'last,increase'
    )),
    ['/api/v1/distribution', day], ['/api/v1/compare', day],
    ['/api/v1/top', { ...day, groupBy: 'type', stat: 'median' }], ['/api/v1/zones', {}], ['/api/v1/types', {}]
  ]
  const askAll = async (token: string) => {
    const answers = []
    for (const [path, query] of questions) answers.push({ path, query, ...await ask(token, path, query) })
    return answers
  }
  const before = await askAll(byZone)
  for (const { path, status } of before) assert.equal(status, 200, path)
  for (let n = 0; n < 2; n++) assert.deepEqual(await askAll(byPrefix), before)

  await writeEvents(database, [{
    deviceId: 'other', deviceType: 'THERMOSTAT', zone: 'Large', value: 1e6, timestampMs: dayMs + 5, sourcePartition: 1
  }])
  assert.deepEqual(await askAll(byPrefix), before)
  assert.notDeepEqual(await askAll(byZone), before)
})

test('a device that appears during an answer is never in it: the caller must retry', async t => {
  const { database: plain } = await openSite(t)
  const database = reportChangedZones(plain)
  const asked = { devices: [], zones: ['Large'], types: [], grants: { devicePrefixes: ['mine-', 'foreign-'] } }
  const { grants, granted } = await findGranted(database, asked, nobody)
  assert.deepEqual([granted, grants.devicePrefixes], [undefined, undefined])
  const totals = createTotalReader(database, 2 ** 20)
  const range = { startMs: dayMs, endMs: dayMs + DAY_MS }
  const reads: Array<() => Promise<unknown>> = [
    () => totals.readTotal({ zone: 'Large', grants }, range, Date.now()), // the second time from the cache
    () => readBuckets(
      database, { selection: { ...asked, grants }, groupBy: 'zone', kind: 'groups' }, ['Large'],
      planRows([range.startMs, range.endMs], 0, 1)
    ),
    () => readArrivalTotals(database, { ...asked, grants }, range),
    () => readGroupPresences(database, { ...asked, grants }, 'zone', ['Large'], nobody),
    () => readSteps(
      database, { selection: { ...asked, grants }, groupBy: undefined, maxGapMs: HOUR_MS, nowMs: dayMs },
      new Map([['', [dayMs, dayMs + HOUR_MS]]])
    )
  ]
  for (const read of reads) await read()
  await writeEvents(plain, [{
    deviceId: 'other', deviceType: 'THERMOSTAT', zone: 'Large', value: 1, timestampMs: dayMs + 5, sourcePartition: 1
  }])
  for (const read of reads) await assert.rejects(read(), { code: 'RELAY_ANSWERS_BUSY' }, read.toString())
  assert.ok((await findGranted(database, asked, nobody)).granted)
})

/** By way of a database whose statements are counted. */
test('few devices of a large zone take one statement, whose rows are few', async t => {
  const { database } = await openSite(t)
  let statements = 0
  let rows = 0
  const counting: Database = {
    ...database,
    streamPrepared: (name, sql, values, visit, whom) => {
      statements++
      return database.streamPrepared(name, sql, values, it => { rows++; visit(it) }, whom)
    }
  }
  const found = await findGranted(
    counting, { devices: [], zones: ['Large'], types: [], grants: { devicePrefixes: ['mine-77'] } }, nobody
  )
  assert.deepEqual([statements, rows, seriesOf(found.granted)], [1, 1 + found.granted!.series.length, 11])
})
