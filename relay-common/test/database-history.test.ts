import assert from 'node:assert/strict'
import { test } from 'node:test'

import getPort from 'get-port'
import { createLogger, migrate, openDatabase, readConfig, databaseSettings } from 'relay-common'
import { Type } from 'typebox'

import { openOwnServers } from 'relay-test-support/own-servers.ts'
import { until } from 'relay-test-support/until.ts'
import type { LocalPostgres } from '../../relay-stack/src/postgres.ts'
import { openLocalPostgres } from 'relay-test-support/local-postgres.ts'

const log = createLogger('test', 'silent')

/** Queries on a new connection, as after a restart. */
async function ask<R extends Record<string, unknown>> (
  server: LocalPostgres, sql: string, name = 'postgres'
): Promise<R[]> {
  const database = await openDatabase(
    readConfig(Type.Object(databaseSettings), { DATABASE_URL: server.url(name) }), 'test', log
  )
  try {
    return await database.query<R>(sql)
  } finally {
    await database.close()
  }
}

/** @returns undefined if the history has no id */
async function currentHistory (server: LocalPostgres, name?: string): Promise<string | undefined> {
  const [row] = await ask<{ history_id: string }>(server, 'select history_id from current_history', name)
  return row?.history_id
}

async function nameHistory (server: LocalPostgres): Promise<string> {
  return (await ask<{ id: string }>(server, 'select ensure_history() as id'))[0].id
}

async function migrateServer (server: LocalPostgres): Promise<void> {
  const database = await openDatabase(
    readConfig(Type.Object(databaseSettings), { DATABASE_URL: server.url('postgres') }), 'test', log
  )
  try {
    await migrate(database, log)
  } finally {
    await database.close()
  }
}

test('a history ends if commits may be lost, and never otherwise', { timeout: 300_000 }, async t => {
  const servers = await openOwnServers(t)
  const port = await getPort({ host: '127.0.0.1' })
  let server = await servers.start('primary', port)
  await migrateServer(server)
  const first = await currentHistory(server)
  assert.match(first!, /^[0-9a-f]{12}$/)
  assert.equal(await nameHistory(server), first)

  const harmless = ['checkpoint', 'vacuum freeze', 'analyze', 'select pg_reload_conf()', 'select pg_switch_wal()',
    'insert into rollup_commits (level, first_bucket, last_bucket) values (0, now(), now())']
  for (const sql of harmless) {
    await ask(server, sql)
    assert.equal(await currentHistory(server), first, sql)
  }

  /** After each event there is another history, which stays. */
  const seen = new Set([first])
  const assertOther = async (what: string) => {
    assert.equal(await currentHistory(server), undefined, what)
    const named = await nameHistory(server)
    assert.ok(!seen.has(named), what)
    assert.equal(await currentHistory(server), named, what)
    seen.add(named)
  }

  await server.close()
  await servers.copy('primary', 'backup')
  server = await servers.start('primary', port)
  await assertOther('a restart')

  await server.close()
  await servers.copy('backup', 'primary')
  server = await servers.start('primary', port)
  await assertOther('a copy that is put back')

  const [{ pid }] = await ask<{ pid: number }>(
    server, "select pid from pg_stat_activity where backend_type = 'background writer'"
  )
  process.kill(pid, 'SIGKILL')
  await until('the server to recover', () => ask(server, 'select 1').then(() => true, () => false))
  await assertOther('the crash of a process of the server')

  await ask(server, 'create table saved as table database_history')
  await ask(server, 'truncate database_history')
  await ask(server, 'insert into database_history select * from saved')
  await assertOther('data of a dump')
  await ask(server, 'truncate database_history')
  await assertOther('no row at all')

  await ask(server, 'create database clone template postgres')
  assert.equal(await currentHistory(server, 'clone'), undefined, 'a database made of another')

  const [{ id: begun }] = await ask<{ id: string }>(server, 'select begin_history() as id')
  assert.ok(!seen.has(begun))
  assert.equal(await currentHistory(server), begun, 'whoever has changed rollups by hand begins another')

  // a standby is in the history of its primary until it is promoted
  await server.close()
  await servers.copy('primary', 'standby')
  const primary = await servers.start('primary', port)
  const ofPrimary = await nameHistory(primary)
  server = await servers.startStandby('standby', await getPort({ host: '127.0.0.1' }), primary)
  await until('the standby to have it', async () => await currentHistory(server) === ofPrimary)
  seen.add(ofPrimary)
  await primary.close()
  await ask(server, 'select pg_promote()')
  await assertOther('a standby in the place of its primary')
})

test('programs that find a history without an id at the same time agree on one', async t => {
  const { database } = await openLocalPostgres(t) // a copy of another database: it has none
  const named = await Promise.all(Array.from(
    { length: 5 }, () => database.query<{ id: string }>('select ensure_history() as id')
  ))
  assert.equal(new Set(named.map(([{ id }]) => id)).size, 1)
})

test('every announced commit names its history', async t => {
  const { database } = await openLocalPostgres(t)
  assert.deepEqual(await database.query('select from current_history'), [])
  await database.query('insert into rollup_commits (level, first_bucket, last_bucket) values (0, now(), now())')
  assert.equal((await database.query('select from current_history')).length, 1)
})
