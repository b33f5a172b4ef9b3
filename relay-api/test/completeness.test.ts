import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'
import { createLogger } from 'relay-common'
import { HOUR_MS, MINUTE_MS } from 'relay-rollups'

import { until } from 'relay-test-support/until.ts'
import { openSite, send, settled } from '../../relay-processor/test/support/open-processor.ts'
import { startProcessor } from '../../relay-processor/src/processor.ts'
import { createApp } from '../src/app.ts'
import { completeThroughMs } from '../src/completeness.ts'
import { readApiConfig } from '../src/config.ts'
import { TOKEN } from './support/ask.ts'

const log = createLogger('test', 'silent')
const limit = { timeout: 180_000 }

test('completeness is that of the slowest partition or of readings on their way home', () => {
  const partition = fc.record({
    startOffset: fc.bigInt({ min: 0n, max: 5n }),
    length: fc.bigInt({ min: 0n, max: 5n }),
    read: fc.option(fc.bigInt({ min: 0n, max: 5n })),
    eventTimeMax: fc.option(fc.integer({ min: 0, max: 2_000 }))
  })
  const misplaced = fc.option(fc.integer({ min: 0, max: 2_000 }))
  fc.assert(fc.property(fc.array(
    partition, { minLength: 1, maxLength: 6 }
  ), fc.nat(500), misplaced, (partitions, lagMs, misplacedFirst) => {
    const offsets = partitions.map(({ startOffset, length }, n) =>
      ({ partition: n, startOffset, endOffset: startOffset + length }))
    const progress = partitions.flatMap(({ read, eventTimeMax, startOffset, length }, n) => read === null
      ? []
      : [{
          source_partition: n,
          next_offset: startOffset + (read < length ? read : length),
          event_time_max: eventTimeMax,
          misplaced_first: misplacedFirst
        }])
    const behind = partitions.filter(it => it.length > 0n && (it.read === null || it.read < it.length))
    const isUnknown = behind.some(it => it.read === null || it.eventTimeMax === null)
    const onTheWayMs = progress.length > 0 ? misplacedFirst ?? Infinity : Infinity
    const expected = isUnknown ? undefined : Math.min(1_000 - lagMs, onTheWayMs, ...behind.map(it => it.eventTimeMax!))
    assert.equal(completeThroughMs({ atMs: 1_000, offsets }, progress, lagMs), expected)
  }))
})

for (const kind of ['postgres', 'kafka'] as const) {
  test(`answers state their completeness: ${kind}`, limit, async t => {
    const site = await openSite(t, kind)
    if (!site) return
    await using started = new AsyncDisposableStack()
    const config = readApiConfig({ ...site.environment, API_TOKENS: TOKEN })
    const app = started.adopt(await createApp(config, site.database, log), it => it.close())
    const ask = async (query: string) => {
      const url = `/api/v1/aggregates?interval=1h&${query}`
      const response = await app.inject({ url, headers: { authorization: `Bearer ${TOKEN}` } })
      assert.equal(response.statusCode, 200, response.body)
      return response.json() as { completeThrough: string | null, rows: Array<{ status: string, count: number }> }
    }
    const nowMs = Date.now()
    const event = (deviceId: string, agoMs: number) =>
      ({ deviceId, deviceType: 'THERMOSTAT', zone: 'Zone A', value: 1, timestampMs: nowMs - agoMs })

    // nothing was read: unknown
    await send(site, [event('d-1', 5 * HOUR_MS)])
    await until('the log to be there', async () => (await ask('start=-1d')).completeThrough === null)

    // one device, so one partition of four: the others are empty, and do not delay completeness
    const processor = await startProcessor(site.config, log)
    await settled(site)
    await until('all to be read', async () => (await ask('start=-1d')).completeThrough !== null)
    const past = await ask('start=-6h&end=-1h')
    assert.deepEqual(past.rows.map(it => [it.status, it.count]), [['final', 1]])
    const present = await ask('start=-6h&end=now%2B1h&fill=null')
    assert.deepEqual(present.rows.at(-1)!.status, 'provisional')
    assert.ok(Date.parse(present.completeThrough!) > nowMs - MINUTE_MS)

    // with a lag: complete up to what was read of the waiting partition
    await processor.close()
    await send(site, [event('d-1', 2 * HOUR_MS)])
    await until('the new event to be known of', async () =>
      Date.parse((await ask('start=-6h')).completeThrough!) === nowMs - 5 * HOUR_MS)
    const behind = await ask('start=-6h&end=-1h')
    assert.deepEqual(behind.rows.map(it => [it.status, it.count]), [['provisional', 1]])
  })
}

test('without a reachable log completeness is unknown, and answers still work', limit, async t => {
  const site = await openSite(t, 'postgres')
  await using started = new AsyncDisposableStack()
  const config = readApiConfig({
    DATABASE_URL: site!.environment.DATABASE_URL, KAFKA_BOOTSTRAP_SERVERS: '127.0.0.1:1', API_TOKENS: TOKEN
  })
  const app = started.adopt(await createApp(config, site!.database, log), it => it.close())
  const url = '/api/v1/aggregates?start=-1d'
  const response = await app.inject({ url, headers: { authorization: `Bearer ${TOKEN}` } })
  assert.deepEqual([response.statusCode, response.json().completeThrough], [200, null])
})

test('after the clock was set back, readings are in answers as soon as before, and completeness is of the present', limit, async t => {
  const site = (await openSite(t, 'postgres'))!
  await using started = new AsyncDisposableStack()
  const config = readApiConfig({ ...site.environment, API_TOKENS: TOKEN })
  const app = started.adopt(await createApp(config, site.database, log), it => it.close())
  const ask = async () => {
    const url = '/api/v1/aggregates?start=2024-01-01T00:00:00Z&end=2024-01-02T00:00:00Z&interval=range'
    const { rows: [row], completeThrough } = (await app.inject({ url, headers: { authorization: `Bearer ${TOKEN}` } })).json()
    return { count: row?.count ?? 0, isComplete: completeThrough === '2024-01-02T00:00:00Z' }
  }
  const event = (value: number) => ({
    deviceId: 'd-1', deviceType: 'THERMOSTAT', zone: 'Zone A', value, timestampMs: Date.UTC(2024, 0, 1)
  })
  const processor = started.adopt(await startProcessor(site.config, log), it => it.close())
  await send(site, [event(1)])
  await until('the first reading', async () => (await ask()).count === 1 && (await ask()).isComplete)

  const now = Date.now
  t.mock.method(Date, 'now', () => now() - HOUR_MS)
  await send(site, [event(2)])
  await until('the second reading', async () => (await ask()).count === 2, 10_000)
  await processor.close()
  await send(site, [event(3)])
  await until('the third reading to be missing', async () => !(await ask()).isComplete, 10_000)
})
