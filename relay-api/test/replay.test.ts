import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createLogger } from 'relay-common'
import { bucketStartMs, DAY_MS, HOUR_MS, MINUTE_MS, type DeviceEvent } from 'relay-rollups'

import { runCli } from '../../relay-cli/test/support/run-cli.ts'
import { startProcessor } from '../../relay-processor/src/processor.ts'
import { makeEvents, openSite, send, settled } from '../../relay-processor/test/support/open-processor.ts'
import { createApp } from '../src/app.ts'
import { readApiConfig } from '../src/config.ts'
import { TOKEN } from './support/ask.ts'

const log = createLogger('test', 'silent')

test('cached data is not used after a replay has corrected the rows', { timeout: 180_000 }, async t => {
  const site = (await openSite(t, 'postgres', { JOURNAL_INTERVAL_S: '0' }))!
  await using opened = new AsyncDisposableStack()
  const processor = await startProcessor(site.config, log)
  await send(site, makeEvents(2_000))
  await settled(site)
  await processor.close()

  const openApp = async (cacheMb: string) => {
    const config = readApiConfig({ ...site.environment, API_TOKENS: TOKEN, ROLLUP_CACHE_MB: cacheMb })
    const app = opened.adopt(await createApp(config, site.database, log), it => it.close())
    return async () => {
      const url = '/api/events/type/THERMOSTAT?startTime=2024-01-01T00:00:00Z&endTime=2024-03-01T00:00:00Z'
      const { statusCode, body } = await app.inject({ url, headers: { authorization: `Bearer ${TOKEN}` } })
      assert.equal(statusCode, 200, body)
      return JSON.parse(body)
    }
  }
  const [askRows, ask] = [await openApp('0'), await openApp('64')]
  const right = await askRows()
  const damage = (before: string) => site.database.query('delete from rollups_day where bucket_start < $1', [before])
  await damage('2024-02-10')
  const wrong = await ask()
  assert.ok(wrong.count < right.count)
  await damage('2024-02-20') // without an announcement: the answer stays the same, from the cache
  assert.deepEqual(await ask(), wrong)
  assert.ok((await askRows()).count < wrong.count)

  const replayed = await runCli(site, ['replay', '--yes'])
  assert.equal(replayed.code, 0, replayed.stderr)
  assert.deepEqual(await ask(), right)
})

test('rows that a replay has changed after they were final say so, and no others', { timeout: 180_000 }, async t => {
  // which was not wanted
  const site = (await openSite(t, 'postgres', { JOURNAL_INTERVAL_S: '0', KEEP_DUPLICATES: 'true' }))!
  await using opened = new AsyncDisposableStack()
  const config = readApiConfig({ ...site.environment, API_TOKENS: TOKEN })
  const app = opened.adopt(await createApp(config, site.database, log), it => it.close())
  const noonMs = bucketStartMs(DAY_MS, Date.now()) - 12 * HOUR_MS
  const range = `start=${new Date(noonMs - HOUR_MS).toISOString()}&end=${new Date(noonMs + 2 * HOUR_MS).toISOString()}`
  const ask = async (query: string) => {
    const url = `/api/v1/aggregates?${range}&stats=count&${query}`
    const { statusCode, body } = await app.inject({ url, headers: { authorization: `Bearer ${TOKEN}` } })
    assert.equal(statusCode, 200, body)
    return JSON.parse(body)
  }
  const rows = async (query: string) => (await ask(query)).rows.map(
    (it: { count: number, status: string }) => [it.count, it.status]
  )
  const at = (deviceId: string, minutes: number): DeviceEvent =>
    ({ deviceId, deviceType: 'THERMOSTAT', zone: 'Zone A', value: 1, timestampMs: noonMs + minutes * MINUTE_MS })

  const processor = await startProcessor(site.config, log)
  await send(site, [at('x', 10), at('x', 10), at('x', 50), at('x', 70), at('y', 10)])
  await settled(site)
  await processor.close()
  assert.deepEqual(await rows('interval=1m&device=x'), [[2, 'final'], [1, 'final'], [1, 'final']])
  assert.deepEqual(await rows('interval=1h'), [[4, 'final'], [1, 'final']])

  const replay = async (...options: string[]) => {
    const run = await runCli(
      { environment: { ...site.environment, KEEP_DUPLICATES: 'false' } }, ['replay', '--yes', ...options]
    )
    assert.equal(run.code, 0, run.stderr)
  }
  await replay('--allow-fewer')
  assert.deepEqual(await rows('interval=1m&device=x'), [[1, 'revised'], [1, 'final'], [1, 'final']])
  assert.deepEqual(await rows('interval=1h&device=x'), [[2, 'revised'], [1, 'final']])
  assert.deepEqual(await rows('interval=1h&device=y'), [[1, 'final']])
  assert.deepEqual(await rows('interval=1h&zone=Zone%20A'), [[3, 'revised'], [1, 'final']])
  assert.deepEqual(await rows('interval=range&device=x'), [[3, 'revised']])
  const { lateReadings, duplicateReadings } = await ask('interval=1h')
  assert.deepEqual([lateReadings, duplicateReadings], [0, 0], 'in a replay nothing arrives')

  // for an hour that was wrong by itself, the minutes were right
  await site.database.query(`
    update rollups_hour h set count = 7 from series s where s.series_id = h.series_id and s.device_id = 'y'`)
  await replay('--allow-fewer')
  assert.deepEqual(await rows('interval=1h&device=y'), [[1, 'revised']])
  assert.deepEqual(await rows('interval=1m&device=y'), [[1, 'final']])
})
