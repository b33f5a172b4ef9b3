/** `npm start`: every program has its own user, with passwords that only the data folder has. */
import assert from 'node:assert/strict'
import { mkdir, readdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { suite, test } from 'node:test'

import getPort from 'get-port'
import { databaseUserOf } from 'relay-access'
import { createLogger, databaseSettings, openDatabase, readConfig, type Database } from 'relay-common'
import { Type } from 'typebox'

import { until } from 'relay-test-support/until.ts'
import { ensureDatabase, startPostgres } from '../src/postgres.ts'
import { makeDataDir, onFreePorts, startStackProcess, type StackProcess } from './support/stack-process.ts'

const onPostgres = ['--event-log', 'postgres', '--backfill', '10s', ...onFreePorts]
const INSERT = "insert into rollups_minute values (1, '2024-01-01T00:00:00Z', 0, 1, 1, 1, 1, '')"

suite('the users of the local stack', { concurrency: 1 }, () => {
  test('are one per program: the running API answers, and its login can\'t write a rollup', async t => {
    const dataDir = await makeDataDir(t)
    const stack = startStackProcess(dataDir, onPostgres)
    const { pids, url, token } = await stack.up()
    assert.equal((await fetch(url, { headers: { authorization: `Bearer ${token}` } })).status, 200)
    {
      await using opened = new AsyncDisposableStack()
      const owner = opened.use(await openAs(ownerSettings(stack, dataDir))).database
      // relay-stack is the owner's session while the stack prepares the database; the probe is the API's second
      // connection
      const users = async () => {
        const rows = await owner.query<{ program: string, users: string }>(`
          select application_name as program, string_agg(distinct usename, ' ') as users from pg_stat_activity
          where application_name like 'relay-%' and application_name not in ('relay-stack', 'relay-api-probe') group by 1`)
        return Object.fromEntries(rows.map(it => [it.program, it.users]))
      }
      await until('all programs to be connected', async () => Object.keys(await users()).length === 3)
      assert.deepEqual(await users(), {
        'relay-api': databaseUserOf('api'),
        'relay-processor': databaseUserOf('processor'),
        'relay-simulator': databaseUserOf('simulator')
      })

      // with the settings of the running API, as an attacker would have them
      const api = opened.use(await openAs(await environmentOfProcess(pids.api))).database
      assert.ok((await api.query('select from rollups_minute union all select from journal limit 1')).length > 0)
      for (const statement of [
        INSERT, 'update rollups_minute set count = 2', 'delete from rollups_hour', 'truncate rollups_day',
        'update progress set next_offset = 0', 'drop table rollups_minute', 'set role relay',
        'set role relay_processor',
        `set role ${databaseUserOf('processor')}`
      ]) await assert.rejects(api.query(statement), { code: '42501' }, statement)
      const processor = opened.use(await openAs(await environmentOfProcess(pids.processor))).database
      await assert.rejects(processor.query('select from api_keys'), { code: '42501' })
    }

    const passwords = await Promise.all((await readdir(join(dataDir, 'passwords'))).map(async name => {
      const path = join(dataDir, 'passwords', name)
      assert.equal((await stat(path)).mode & 0o777, 0o600)
      return (await readFile(path, 'utf8')).trim()
    }))
    assert.equal(new Set(passwords).size, 4)
    for (const password of passwords) assert.match(password, /^[0-9a-f]{64}$/)
    stack.kill('SIGTERM')
    assert.equal(await stack.exited, 0, stack.text)
  })

  test('are added to an older data folder, and the well-known password is replaced', async t => {
    const dataDir = await makeDataDir(t)
    await mkdir(join(dataDir, 'pids'), { recursive: true })
    const before = await startPostgres({
      dataDir: join(dataDir, 'postgres'),
      logFile: join(dataDir, 'logs/postgres.log'),
      port: await getPort({ host: '127.0.0.1' })
    })
    await ensureDatabase(before, 'relay')
    {
      await using owner = await openAs({ DATABASE_URL: before.url('relay') })
      await owner.database.query('create table kept as select 1 as a')
    }
    await before.close()

    for (const start of ['the first', 'the second']) {
      const stack = startStackProcess(dataDir, onPostgres)
      await stack.up()
      {
        await using owner = await openAs(ownerSettings(stack, dataDir))
        assert.deepEqual(await owner.database.query('select a from kept'), [{ a: 1 }], start)
        const known = { ...ownerSettings(stack, dataDir), POSTGRES_PASSWORD_FILE: '', POSTGRES_PASSWORD: 'relay' }
        await assert.rejects(openAs(known), { message: /refuses the login: password authentication failed/ }, start)
      }
      stack.kill('SIGTERM')
      assert.equal(await stack.exited, 0, stack.text)
    }

    await rm(join(dataDir, 'passwords/owner'))
    const without = startStackProcess(dataDir, onPostgres)
    assert.equal(await without.exited, 1)
    assert.match(without.text, /^the data of PostgreSQL has another password than .*passwords\/owner; .*--fresh$/m)
  })
})

function ownerSettings (stack: StackProcess, dataDir: string): NodeJS.ProcessEnv {
  const [, POSTGRES_HOST, POSTGRES_PORT] = /^ {2}postgres +([^: ]+):(\d+)\//m.exec(stack.text)!
  return { POSTGRES_HOST, POSTGRES_PORT, POSTGRES_PASSWORD_FILE: join(dataDir, 'passwords/owner') }
}

async function environmentOfProcess (pid: number): Promise<NodeJS.ProcessEnv> {
  const pairs = (await readFile(`/proc/${pid}/environ`, 'utf8')).split('\0').filter(it => it.includes('='))
  return Object.fromEntries(pairs.map(it => it.split(/=(.*)/s).slice(0, 2)))
}

async function openAs (environment: NodeJS.ProcessEnv): Promise<AsyncDisposable & { readonly database: Database }> {
  const settings = readConfig(Type.Object(databaseSettings), environment)
  const database = await openDatabase(settings, 'test', createLogger('test', 'silent'))
  return { database, [Symbol.asyncDispose]: () => database.close() }
}
