/** The programs of the version before the newest migration work beside those of this version, forwards and back. */
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'

import getPort from 'get-port'
import { Client } from 'pg'
import { createLogger, databaseSettings, openDatabase, pendingMigrations, readConfig } from 'relay-common'
import { openEventLog } from 'relay-event-log'
import type { DeviceEvent } from 'relay-rollups'
import { Type } from 'typebox'

import { runCli } from '../../relay-cli/test/support/run-cli.ts'
import { openLocalKafka } from 'relay-test-support/local-kafka.ts'
import { openLocalPostgres } from 'relay-test-support/local-postgres.ts'
import { readProcessorConfig } from '../../relay-processor/src/config.ts'
import { environmentOn, makeEvents, send, settled } from '../../relay-processor/test/support/open-processor.ts'
import { readWindows, recompute } from '../../relay-processor/test/support/recompute.ts'
import { until } from 'relay-test-support/until.ts'
import { ROOT } from './support/dockerfile.ts'
import { layOutPreviousVersion } from './support/previous-version.ts'

const TOKEN = 'token-of-both-versions'
const log = createLogger('test', 'silent')

async function start (
  t: TestContext, root: string, program: 'api' | 'processor', environment: Record<string, string>
): Promise<ChildProcess> {
  const child = spawn(process.execPath, [join(root, `relay-${program}/src/main.ts`)], {
    env: { ...process.env, ...environment }, stdio: ['ignore', 'pipe', 'inherit', 'ipc']
  })
  let output = ''
  child.stdout!.on('data', text => { output += text })
  t.after(() => { child.kill('SIGKILL') })
  await Promise.race([once(child, 'message'), once(child, 'exit').then(() => {
    throw new Error(`${program} of ${root} ended at its start: ${output.slice(-2_000)}`)
  })])
  return child
}

async function stop (child: ChildProcess): Promise<void> {
  child.kill('SIGTERM')
  const [code] = await once(child, 'exit')
  assert.equal(code, 0)
}

/** An empty database on the server of the tests. */
async function createEmptyDatabase (t: TestContext): Promise<string> {
  const { url } = await openLocalPostgres(t)
  const name = `previous_${process.pid}`
  const client = new Client({ connectionString: url })
  await client.connect()
  await client.query(`create database ${name}`)
  await client.end()
  const own = new URL(url)
  own.pathname = `/${name}`
  return own.href
}

test('programs of the version before work on the new schema and beside the new ones, and take over again', {
  timeout: 300_000
}, async t => {
  const previous = await layOutPreviousVersion(t)
  const kafka = previous && await openLocalKafka(t)
  if (!previous || !kafka) return
  const url = await createEmptyDatabase(t)
  const settings = environmentOn(url, 'kafka', kafka)
  const environment = {
    ...settings, SESSION_TIMEOUT_MS: '6000', LOG_LEVEL: 'warn', API_TOKENS: TOKEN, METRICS_PORT: '0'
  }
  const config = readProcessorConfig(environment)
  const database = await openDatabase(readConfig(Type.Object(databaseSettings), { DATABASE_URL: url }), 'test', log)
  t.after(() => database.close())
  const eventLog = await openEventLog(config, database, log)
  t.after(() => eventLog.close())
  await eventLog.ensureTopic({
    name: config.EVENTS_TOPIC, partitions: 4, retentionMs: 3_600_000, replicationFactor: -1
  })
  const producer = await eventLog.openProducer()
  t.after(() => producer.close())
  const site = { database, eventLog, producer, config, environment }

  const sent: DeviceEvent[] = []
  const sendMore = async () => {
    const events = makeEvents(400, sent.length + 1)
    sent.push(...events)
    await send(site, events)
  }
  const startApi = async (root: string) => {
    const port = await getPort({ host: '127.0.0.1' })
    const child = await start(t, root, 'api', { ...environment, API_PORT: String(port) })
    return { child, url: `http://127.0.0.1:${port}` }
  }
  const range = 'start=2024-01-01T00:00:00Z&end=2024-04-01T00:00:00Z'
  const ask = async (api: { readonly url: string }) => {
    const answer = await fetch(`${api.url}/api/v1/aggregates?${range}&groupBy=device&interval=1d`, {
      headers: { authorization: `Bearer ${TOKEN}` }
    })
    assert.equal(answer.status, 200)
    return (await answer.json() as { rows: Record<string, unknown>[] }).rows
  }
  /** Everything that was sent counts once, and all APIs say so. */
  const check = async (...apis: { readonly url: string }[]) => {
    await settled(site)
    assert.deepEqual(Object.fromEntries(await readWindows(database)), Object.fromEntries(recompute(sent)))
    const answers = await Promise.all(apis.map(ask))
    const counted = new Set(sent.map(it => JSON.stringify(it))).size
    for (const rows of answers) {
      assert.deepEqual(rows, answers[0])
      assert.equal(rows.reduce((sum, it) => sum + Number(it.count), 0), counted)
    }
  }
  const owners = async () => (await database.query<{ owners: number }>(
    'select count(distinct owner)::integer as owners from progress'))[0].owners

  const before = await start(t, previous.folder, 'processor', environment)
  const apiBefore = await startApi(previous.folder)
  await sendMore()
  await check(apiBefore)
  assert.ok((await pendingMigrations(database)).length > 0, `${previous.commit} has the newest migration`)

  await sendMore()
  const migrated = await runCli(site, ['migrate'])
  assert.equal(migrated.code, 0, migrated.stderr)
  assert.deepEqual(await pendingMigrations(database), [])
  await sendMore()
  await check(apiBefore)

  const now = await start(t, ROOT, 'processor', environment)
  const apiNow = await startApi(ROOT)
  await until('both versions to have partitions', async () => await owners() === 2)
  await sendMore()
  await check(apiBefore, apiNow)

  await stop(before)
  await sendMore()
  await check(apiBefore, apiNow)

  const again = await start(t, previous.folder, 'processor', environment)
  await stop(now)
  await stop(apiNow.child)
  await sendMore()
  await check(apiBefore)
  await stop(again)
  await stop(apiBefore.child)
})
