import assert from 'node:assert/strict'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'

import getPort from 'get-port'
import { createLogger, openDatabase, type Database } from 'relay-common'

import { until } from 'relay-test-support/until.ts'
import { startPostgres, type LocalPostgres } from '../../relay-stack/src/postgres.ts'
import { openLocalPostgres } from 'relay-test-support/local-postgres.ts'
import { startApi } from '../src/app.ts'
import { readApiConfig } from '../src/config.ts'
import { writeEvents } from './support/write-events.ts'

const log = createLogger('test', 'silent')
const limit = { timeout: 120_000 }
const question = '/api/events/zone/Zone%20A?startTime=2024-01-01T00:00:00Z&endTime=2024-01-02T00:00:00Z'

/** Blocks every statement that reads days until it is disposed of, also if the test fails. */
async function lockDays (database: Database): Promise<AsyncDisposable & { readonly release: () => Promise<void> }> {
  const client = await database.connect()
  await client.query('begin; lock table rollups_day in access exclusive mode')
  let released: Promise<void> | undefined
  const release = () => (released ??= client.query('rollback').then(() => client.release()))
  return { release, [Symbol.asyncDispose]: release }
}

async function untilHeldUp (database: Database): Promise<void> {
  const waiting = "select from pg_locks where not granted and relation = 'rollups_day'::regclass"
  await until('statements to be held up', async () => (await database.query(waiting)).length > 0)
}

/** A separate server that this test may kill. */
async function preparePostgres (t: TestContext): Promise<() => Promise<LocalPostgres>> {
  const folder = await mkdtemp(join(tmpdir(), 'relay-api-postgres-'))
  await chmod(folder, 0o755) // root runs the server as another user
  const port = await getPort({ host: '127.0.0.1' })
  const settings = { dataDir: join(folder, 'data'), logFile: join(folder, 'log'), port }
  let server: LocalPostgres | undefined
  t.after(async () => {
    await server?.close()
    await rm(folder, { recursive: true, force: true })
  })
  return async () => (server = await startPostgres(settings))
}

test('while the database is unreachable answers are 503 with Retry-After; afterwards they return', limit, async t => {
  const start = await preparePostgres(t)
  const server = await start()
  const config = readApiConfig({
    DATABASE_URL: server.url('postgres'), API_TOKENS: 'token', API_PORT: '0', PAST_ANSWERS_MB: '0'
  })
  const api = await startApi(config, log)
  t.after(() => api.close())
  const ask = (path: string) => fetch(`http://127.0.0.1:${api.port}${path}`,
    { headers: { authorization: 'Bearer token' }, signal: AbortSignal.timeout(30_000) })
  const database = await openDatabase(config, 'test', log)
  await writeEvents(database, [{
    deviceId: 'd',
    deviceType: 'THERMOSTAT',
    zone: 'Zone A',
    value: 1,
    timestampMs: Date.UTC(2024, 0, 1),
    sourcePartition: 0
  }])
  await database.close()
  assert.equal((await ask(question)).status, 200)
  assert.equal((await ask('/readyz')).status, 200)

  process.kill(server.pid, 'SIGKILL')
  await server.exited
  for (let n = 0; n < 3; n++) {
    const response = await ask(question)
    const body = await response.json() as Record<string, unknown>
    assert.deepEqual([response.status, body.code], [503, 'RELAY_DATABASE_UNREACHABLE'])
    assert.ok(Number(response.headers.get('retry-after')) > 0)
    assert.doesNotMatch(JSON.stringify(body), /127\.0\.0\.1/)
  }
  let readiness!: Response
  // it is cached for a moment
  await until('the API to say that it is not ready', async () => (readiness = await ask('/readyz')).status === 503)
  assert.deepEqual(Object.keys((await readiness.json() as { faults: object }).faults), ['database'])
  assert.equal((await ask('/livez')).status, 200) // a restart of the API would not help

  await start()
  await until('the API to be ready again', async () => (await ask('/readyz')).status === 200)
  assert.equal((await ask(question)).status, 200)
})

test('an answer that takes too long, or waits too long for a connection, is a 503 and does not hang', limit, async t => {
  const { database, url } = await openLocalPostgres(t)
  const api = await startApi(readApiConfig({
    DATABASE_URL: url,
    API_TOKENS: 'token',
    API_PORT: '0',
    DATABASE_POOL_MAX: '1',
    ROLLUP_CACHE_MB: '0', // cached answers would not wait for the table
    DATABASE_CONNECT_TIMEOUT_MS: '400',
    DATABASE_STATEMENT_TIMEOUT_MS: '1000'
  }), log)
  t.after(() => api.close())
  const ask = async () => {
    const address = `http://127.0.0.1:${api.port}${question}`
    const response = await fetch(address, { headers: { authorization: 'Bearer token' } })
    return [response.status, (await response.json() as { code: string }).code]
  }
  assert.deepEqual(await ask(), [404, 'RELAY_NO_DATA'])

  await using lock = await lockDays(database)
  const blocked = ask()
  await untilHeldUp(database)
  assert.deepEqual(await ask(), [503, 'RELAY_DATABASE_UNREACHABLE']) // the only connection is taken
  assert.deepEqual(await blocked, [503, 'RELAY_ANSWER_TOO_SLOW'])

  await lock.release()
  await until('questions to be answered again', async () => (await ask())[0] === 404)
})

test('closing answers pending requests, then accepts no more', limit, async t => {
  const { database, url } = await openLocalPostgres(t)
  const api = await startApi(
    readApiConfig({ DATABASE_URL: url, API_TOKENS: 'token', API_PORT: '0', ROLLUP_CACHE_MB: '0' }), log
  )
  t.after(() => api.close())
  await using lock = await lockDays(database)
  const ask = () => fetch(`http://127.0.0.1:${api.port}${question}`, { headers: { authorization: 'Bearer token' } })
  const asked = ask()
  await untilHeldUp(database)

  const closed = api.close()
  await until('the API to refuse', async () => ask().then(response => response.status === 503, () => true))
  await lock.release()
  assert.equal((await asked).status, 404)
  await closed
  await assert.rejects(ask())
})
