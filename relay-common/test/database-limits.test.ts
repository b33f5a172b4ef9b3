/** Time limits of a program's sessions in PostgreSQL. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'

import { createLogger, isTimeout, liftTimeLimits, openDatabase, type Database } from 'relay-common'
import { openLocalPostgres } from 'relay-test-support/local-postgres.ts'
import { openTcpProxy } from 'relay-test-support/tcp-proxy.ts'
import { until } from 'relay-test-support/until.ts'

const log = createLogger('test', 'silent')

async function open (
  t: TestContext, settings: Record<string, number>, options?: { plans: 'by-key' }
): Promise<Database> {
  const site = await openLocalPostgres(t)
  const database = await openDatabase({ ...site.settings, ...settings }, 'test', log, options)
  t.after(() => database.close())
  return database
}

const settingOf = async (database: Pick<Database, 'query'>, name: string) =>
  (await database.query<{ value: string }>('select current_setting($1) as value', [name]))[0].value

test('a statement ends at its time limit', async t => {
  const database = await open(t, { DATABASE_STATEMENT_TIMEOUT_MS: 100 })
  await assert.rejects(database.query('select pg_sleep(60)'), error => isTimeout(error))
  assert.deepEqual(await database.query('select 1 as n'), [{ n: 1 }], 'its connection is of use again')
})

test('a session that is idle in a transaction is ended', async t => {
  const database = await open(t, { DATABASE_IDLE_TRANSACTION_TIMEOUT_MS: 100 })
  await using opened = new AsyncDisposableStack() // the pool waits for it
  const client = opened.adopt(await database.connect(), it => it.release(true))
  client.on('error', () => {})
  await client.query('begin')
  const [{ pid }] = (await client.query<{ pid: number }>('select pg_backend_pid() as pid')).rows
  await until('the server to end it', async () =>
    (await database.query('select 1 from pg_stat_activity where pid = $1', [pid])).length === 0)
})

test('a statement whose client has disconnected is ended', async t => {
  const site = await openLocalPostgres(t)
  const url = new URL(site.url)
  const proxy = await openTcpProxy(Number(url.port))
  url.hostname = '127.0.0.1'
  url.port = String(proxy.port)
  const database = await openDatabase({
    ...site.settings, DATABASE_URL: url.href, DATABASE_STATEMENT_TIMEOUT_MS: 0, DATABASE_CLIENT_CHECK_INTERVAL_MS: 100
  }, 'gone', log)
  const asked = assert.rejects(database.query('select pg_sleep(600)'))
  const running = async () => (await site.database.query(
    "select 1 from pg_stat_activity where application_name = 'gone' and state = 'active'")).length
  await until('it to run', async () => await running() === 1)
  await proxy.close()
  await asked
  await until('the server to notice', async () => await running() === 0)
  await database.close()
})

test('a server that can\'t detect disconnected clients is accepted', async t => {
  // the error of a system without support: the value is invalid for this setting
  const database = await open(t, { DATABASE_CLIENT_CHECK_INTERVAL_MS: 2 ** 40 })
  assert.equal(await settingOf(database, 'client_connection_check_interval'), '0')
})

test('long work has no time limits', async t => {
  const database = await open(t, { DATABASE_STATEMENT_TIMEOUT_MS: 5_000, DATABASE_IDLE_TRANSACTION_TIMEOUT_MS: 6_000 })
  assert.equal(await settingOf(database, 'statement_timeout'), '5s')
  assert.equal(await settingOf(database, 'idle_in_transaction_session_timeout'), '6s')
  await using opened = new AsyncDisposableStack() // the pool waits for it
  const client = opened.adopt(await database.connect(), it => it.release(true))
  await liftTimeLimits(client)
  const session = {
    query: async (sql: string, values?: unknown[]) => (await client.query(
      sql, values
    )).rows
  } as Pick<Database, 'query'>
  assert.equal(await settingOf(session, 'statement_timeout'), '0')
  assert.equal(await settingOf(session, 'idle_in_transaction_session_timeout'), '0')
})

test('statements by key are planned without joins of whole tables', async t => {
  const database = await open(t, {}, { plans: 'by-key' })
  const names = ['enable_seqscan', 'enable_mergejoin', 'enable_hashjoin', 'jit']
  assert.deepEqual(await Promise.all(names.map(it => settingOf(database, it))), names.map(() => 'off'))
})

test('a statement by key is planned once per connection, whatever its values', async t => {
  const database = await open(t, { DATABASE_POOL_MAX: 1 }, { plans: 'by-key' })
  for (const value of [1, 2, 3]) await database.queryPrepared('find', 'select 1 where $1::integer > 0', [value])
  const plans = await database.query<{ generic_plans: bigint, custom_plans: bigint }>(
    "select generic_plans, custom_plans from pg_prepared_statements where statement like 'select 1 where%'")
  assert.deepEqual(plans.map(it => [Number(it.generic_plans), Number(it.custom_plans)]), [[3, 0]])
})
