/** A pooler before the database is detected, whatever else it does. */
import assert from 'node:assert/strict'
import { setImmediate } from 'node:timers/promises'
import { test } from 'node:test'

import { Client } from 'pg'

import {
  createLogger, openDatabase, readConfig, databaseSettings, type DatabaseSettings, type SessionUse
} from 'relay-common'
import { Type } from 'typebox'

import { behindPgbouncer, startPgbouncer } from 'relay-test-support/local-pgbouncer.ts'
import { openLocalPostgres } from 'relay-test-support/local-postgres.ts'

const log = createLogger('test', 'silent')
const settingsOf = (url: string): DatabaseSettings => readConfig(Type.Object(databaseSettings), { DATABASE_URL: url })
const STARTS = 20

/** Other clients of a pooler, busy until they are disposed of. */
function makeBusy (url: string, count: number): AsyncDisposable {
  const ending = new AbortController()
  const ask = async () => {
    const client = new Client({ connectionString: url })
    await client.connect()
    for (; !ending.signal.aborted; await setImmediate()) await client.query('select 1')
    await client.end()
  }
  const asking = Array.from({ length: count }, ask)
  return {
    async [Symbol.asyncDispose] () {
      ending.abort()
      await Promise.all(asking)
    }
  }
}

async function open (url: string, sessions: SessionUse = 'own'): Promise<string> {
  try {
    await (await openDatabase(settingsOf(url), 'test', log, { plans: 'by-key', sessions })).close()
    return 'opened'
  } catch (error) {
    return (error as { code?: string }).code ?? String(error)
  }
}

for (const { pools, others } of [
  { pools: { default_pool_size: 1 }, others: 0 },
  { pools: { default_pool_size: 3 }, others: 6 },
  { pools: { default_pool_size: 20 }, others: 6 },
  { pools: { default_pool_size: 2, server_round_robin: 1 }, others: 0 },
  { pools: { default_pool_size: 20, server_round_robin: 1 }, others: 6 }
]) {
  const what = `${JSON.stringify(pools)}, ${others} other clients`
  test(`a pooler that gives transactions different sessions is detected at every start: ${what}`, behindPgbouncer, async t => {
    const { url } = await openLocalPostgres(t)
    const pooler = await startPgbouncer(t, url, { pool_mode: 'transaction', ...pools })
    await using busy = new AsyncDisposableStack()
    busy.use(makeBusy(pooler.url, others))
    for (let n = 0; n < STARTS; n++) assert.equal(await open(pooler.url), 'RELAY_DATABASE_POOLED', `start ${n}`)
  })
}

test('a pooler that keeps sessions is never mistaken for another kind, nor a server for a pooler', behindPgbouncer, async t => {
  const { url } = await openLocalPostgres(t)
  const pooler = await startPgbouncer(t, url, { pool_mode: 'session', default_pool_size: 20 })
  await using busy = new AsyncDisposableStack()
  busy.use(makeBusy(pooler.url, 6))
  for (let n = 0; n < STARTS; n++) {
    assert.equal(await open(pooler.url), 'opened')
    assert.equal(await open(url), 'opened')
  }
})

test('a pooler that gives each statement another session is refused by every program', behindPgbouncer, async t => {
  const { url } = await openLocalPostgres(t)
  const pooler = await startPgbouncer(t, url, { pool_mode: 'statement' })
  assert.equal(await open(pooler.url, 'any'), 'RELAY_DATABASE_POOLED')
})

test('a pooler that refuses session settings is refused, with the fix in the message', behindPgbouncer, async t => {
  const { url } = await openLocalPostgres(t)
  const pooler = await startPgbouncer(t, url, { pool_mode: 'session', ignore_startup_parameters: '' })
  await assert.rejects(openDatabase(settingsOf(pooler.url), 'test', log), {
    code: 'RELAY_DATABASE_POOLED', message: /ignore_startup_parameters = options/
  })
})

test('all sessions through a pooler have the settings that they have without one', behindPgbouncer, async t => {
  const { database: direct, url } = await openLocalPostgres(t)
  const [{ name }] = await direct.query<{ name: string }>('select current_database() as name')
  await direct.query(`alter database ${name} set timezone = 'Asia/Kolkata'`)
  const pooler = await startPgbouncer(t, url, { pool_mode: 'session', default_pool_size: 20 })
  const readSettings = async (from: string) => {
    await using opened = new AsyncDisposableStack()
    const database = opened.adopt(
      await openDatabase(settingsOf(from), 'test', log, { plans: 'by-key' }), it => it.close()
    )
    const clients = await Promise.all(Array.from({ length: 5 }, () => database.connect()))
    opened.defer(() => { for (const it of clients) it.release() })
    return await Promise.all(clients.map(async it => (await it.query(`
      select name, setting, '2024-01-01T00:00:00Z'::timestamptz as time from pg_settings
      where name in ('TimeZone', 'statement_timeout', 'idle_in_transaction_session_timeout', 'enable_seqscan', 'jit',
        'client_connection_check_interval') order by name`)).rows))
  }
  const expected = await readSettings(url)
  assert.deepEqual(expected[0].map((it: { time: number }) => it.time), Array(6).fill(Date.UTC(2024, 0, 1)))
  assert.deepEqual(await readSettings(pooler.url), expected)
})
