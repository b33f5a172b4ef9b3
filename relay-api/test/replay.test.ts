import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createLogger } from 'relay-common'

import { runCli } from '../../relay-cli/test/support/run-cli.ts'
import { startProcessor } from '../../relay-processor/src/processor.ts'
import { makeEvents, openSite, send, settled } from '../../relay-processor/test/support/open-processor.ts'
import { createApp } from '../src/app.ts'
import { readApiConfig } from '../src/config.ts'
import { TOKEN } from './support/ask.ts'

const log = createLogger('test', 'silent')

test('what an API has in memory is not what answers are made of once a replay has put the rows right', { timeout: 180_000 }, async t => {
  const site = (await openSite(t, 'postgres'))!
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
  await damage('2024-02-20') // behind everyone's back: the answer goes on as it was, from memory
  assert.deepEqual(await ask(), wrong)
  assert.ok((await askRows()).count < wrong.count)

  const replayed = await runCli(site, ['replay'])
  assert.equal(replayed.code, 0, replayed.stderr)
  assert.deepEqual(await ask(), right)
})
