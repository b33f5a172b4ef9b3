/** Quotas of lasting data: new series, zones and partitions of the past. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createLogger, openDatabase, Registry } from 'relay-common'

import { openLocalPostgres } from 'relay-test-support/local-postgres.ts'
import { countRecords } from '../../relay-simulator/test/support/event-logs.ts'
import { createBudgets } from '../src/budgets/budgets.ts'
import { KnownSeries } from '../src/ingest/known-series.ts'
import { createQuotas } from '../src/ingest/quotas.ts'
import { TOKEN } from './support/ask.ts'
import { eventOf, openIngestSite, type SentEvent } from './support/ingest-site.ts'

const limit = { timeout: 120_000 }
const OTHER = 'token-of-somebody-else'
const others = { API_TOKENS: `${TOKEN},${OTHER}` }
const asOther = { authorization: `Bearer ${OTHER}` }

const body = (events: readonly SentEvent[]) => JSON.stringify(events)
const device = (name: string, fields: Partial<SentEvent> = {}) =>
  eventOf(0, { deviceId: name, timestamp: new Date().toISOString(), ...fields })
const reasonsOf = ({ body }: { body: Record<string, any> }) =>
  body.refused.map((it: Record<string, unknown>) => [it.index, it.reason, it.field])

test('a caller above its quota of new series is told when to retry; its known series and other callers are not affected', limit, async t => {
  await using site = (await openIngestSite(t, 'postgres', { ...others, NEW_SERIES_PER_HOUR_MAX: '3' }))!
  await site.database.query(
    'insert into series (device_id, zone, device_type) select \'known \' || n, \'Zone A\', \'THERMOSTAT\' ' +
    'from generate_series(1, 1200) n')

  const first = await site.post(body(['a', 'b', 'c', 'd', 'a', 'e'].map(it => device(it))))
  assert.deepEqual([first.status, first.body.accepted], [207, 4])
  assert.deepEqual(reasonsOf(first), [[3, 'quota-exceeded', 'deviceId'], [5, 'quota-exceeded', 'deviceId']])
  assert.ok(Number(first.headers.get('retry-after')) > 60)

  const again = await site.post(body([device('d')]))
  assert.deepEqual([again.status, again.body.code, again.body.accepted], [429, 'RELAY_BUDGET_EXCEEDED', 0])
  assert.ok(Number(again.headers.get('retry-after')) > 60)
  assert.match(again.headers.get('content-type')!, /^application\/problem\+json/)

  // paid and existing series are free
  assert.equal((await site.post(body(['a', 'b', 'c'].map(it => device(it, { value: 7 }))))).status, 202)
  const there = Array.from({ length: 1200 }, (_, n) => device(`known ${n + 1}`))
  assert.equal((await site.post(body(there))).status, 202)
  assert.equal((await site.post(body([device('d'), device('e')]), asOther)).status, 202)
  // then it is known, for any sender
  assert.equal((await site.post(body([device('d')]))).status, 202)

  const mixed = await site.post(JSON.stringify([{}, device('f')]))
  assert.deepEqual([mixed.status, mixed.body.code], [422, 'RELAY_EVENTS_REFUSED'])
  const { length } = there
  assert.equal(await countRecords(site.log), 4 + 3 + length + 2 + 1)

  const metrics = await (await fetch(site.metricsUrl)).text()
  assert.match(metrics, /relay_api_ingest_refused_total\{[^}]*reason="quota-exceeded"[^}]*\} 4/)
  assert.match(metrics, /relay_api_budget_exceeded_total\{[^}]*budget="newSeries"/)
})

test('an event refused by a quota is accepted later with the same Idempotency-Key', limit, async t => {
  await using site = (await openIngestSite(t, 'postgres', { ...others, NEW_SERIES_PER_HOUR_MAX: '1' }))!
  const key = { 'idempotency-key': 'k' }
  const events = body([device('a'), device('b')])
  assert.equal((await site.post(events, key)).status, 207)
  await site.database.query("insert into series (device_id, zone, device_type) values ('b', 'Zone A', 'THERMOSTAT')")
  const later = await site.post(events, key)
  assert.deepEqual([later.status, later.headers.get('idempotency-replayed')], [202, null])
  assert.equal((await site.post(events, key)).headers.get('idempotency-replayed'), 'true')
})

test('new zones have a separate quota, even with series left', limit, async t => {
  await using site = (await openIngestSite(t, 'postgres', { ...others, NEW_ZONES_PER_HOUR_MAX: '2' }))!
  await site.database.query(
    'insert into series (device_id, zone, device_type) ' +
    'values (\'x\', \'Zone 9\', \'THERMOSTAT\'), (null, \'Zone 9\', \'THERMOSTAT\')'
  )
  const inZone = (name: string, zone: string) => device(name, { zone })
  const sent = await site.post(body(
    [
      inZone('a', 'Zone 1'), inZone('b', 'Zone 2'), inZone('c', 'Zone 3'), inZone('d', 'Zone 9'), inZone('e', 'Zone 1')
    ]))
  assert.deepEqual([sent.status, sent.body.accepted], [207, 4])
  assert.deepEqual(reasonsOf(sent), [[2, 'quota-exceeded', 'zone']])
  assert.equal((await site.post(body([inZone('f', 'Zone 2'), inZone('g', 'Zone 9')]))).status, 202)
  assert.equal((await site.post(body([inZone('c', 'Zone 3')]), asOther)).status, 202)
})

test('new partitions have a quota, one per past year; recent times and those with rollups are free', limit, async t => {
  await using site = (await openIngestSite(t, 'postgres', { ...others, NEW_PARTITIONS_PER_HOUR_MAX: '2' }))!
  await site.database.query("select ensure_rollup_partitions('minute', '2001-01-01', '2001-12-31')")
  const at = (time: string) => device('a', { timestamp: time })
  const ago = (days: number) => at(new Date(Date.now() - days * 86_400_000).toISOString())
  const sent = await site.post(body([
    at('2001-03-01T00:00:00Z'), at('2001-11-01T00:00:00Z'), ago(0), ago(10), ago(30),
    at('1990-01-01T00:00:00Z'), at('1990-01-02T00:00:00Z'), at('1991-01-01T00:00:00Z'), at('1992-01-01T00:00:00Z')
  ]))
  assert.equal(sent.status, 207, JSON.stringify(sent.body))
  assert.deepEqual(reasonsOf(sent), [[8, 'quota-exceeded', 'timestamp']])
  assert.equal((await site.post(body([
    at('1990-01-02T12:00:00Z'), at('1990-11-11T00:00:00Z'), at('2001-06-01T00:00:00Z')
  ]))).status, 202)
  assert.equal((await site.post(body([at('1992-01-01T00:00:00Z')]))).status, 429)
  assert.equal((await site.post(body([at('1992-01-01T00:00:00Z')]), asOther)).status, 202)
})

test('a caller with ever more names is stopped before the database is', limit, async t => {
  const settings = { ...others, SERIES_LOOKUPS_PER_MINUTE_MAX: '10', NEW_SERIES_PER_HOUR_MAX: '5' }
  await using site = (await openIngestSite(t, 'postgres', settings))!
  const sent = await site.post(body(Array.from({ length: 30 }, (_, n) => device(`d${n}`))))
  assert.deepEqual([sent.status, sent.body.accepted, sent.body.refused.length], [207, 5, 25])
  assert.match(sent.body.refused[24].detail, /SERIES_LOOKUPS_PER_MINUTE_MAX/)
  assert.equal((await site.post(body([device('x')]), asOther)).status, 202)
})

test('many new names are looked up in short turns of the event loop, also while the database is away', async t => {
  const log = createLogger('test', 'silent')
  const database = await openDatabase((await openLocalPostgres(t)).settings, 'test', log)
  await database.close()
  const budgets = createBudgets({
    NEW_SERIES_PER_HOUR_MAX: 100_000, NEW_ZONES_PER_HOUR_MAX: 10, SERIES_LOOKUPS_PER_MINUTE_MAX: 100_000
  } as Parameters<typeof createBudgets>[0], new Registry())
  const quotas = createQuotas(database, budgets, log)
  const maybeNew = Array.from({ length: 10_000 }, (_, index) => ({
    index,
    event: {
      deviceId: `${'漢'.repeat(110)}${index}`,
      deviceType: 'THERMOSTAT',
      zone: 'Zone A',
      value: 1,
      timestampMs: Date.now()
    },
    record: { key: null, value: null }
  }))
  let turns = 0
  let timer = setImmediate(function tick () {
    turns++
    timer = setImmediate(tick)
  })
  const refused = await quotas.spend('somebody', maybeNew, Date.now())
  clearImmediate(timer)
  assert.equal(refused.size, 0)
  assert.ok(turns >= 15, `${turns} turns for 10,000 names`)
})

test('known series are recognised, others are not, and the memory is bounded', () => {
  const known = new KnownSeries(1024)
  const series = (n: number, zone = 'Zone A') => ({ deviceId: `device-${n}`, zone, deviceType: 'THERMOSTAT' })
  for (let n = 0; n < 500; n++) known.add(series(n))
  let kept = 0
  for (let n = 0; n < 500; n++) if (known.has(series(n))) kept++
  assert.ok(kept > 450, `${kept}`)
  for (let n = 500; n < 20_000; n++) assert.equal(known.has(series(n)), false)
  for (let n = 0; n < 20_000; n++) {
    known.add(series(n))
    assert.equal(known.has(series(n)), true)
  }
  const alike = [['ab', 'c', 'd'], ['a', 'bc', 'd'], ['a', 'b', 'cd'], ['abc', 'd', ''], ['', 'abc', 'd']]
  for (const [index, [deviceId, zone, deviceType]] of alike.entries()) {
    const names = new KnownSeries(1024)
    names.add({ deviceId, zone, deviceType })
    for (const [other, [id, z, type]] of alike.entries()) {
      assert.equal(names.has({ deviceId: id, zone: z, deviceType: type }), index === other)
    }
  }
})
