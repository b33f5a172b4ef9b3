/** An API survives a restore of its database: it keeps nothing of what is no longer there. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'

import getPort from 'get-port'
import { createLogger, openDatabase, type Database } from 'relay-common'
import { DAY_MS } from 'relay-rollups'

import { ensureDatabase } from '../../relay-stack/src/postgres.ts'
import { openOwnServers } from 'relay-test-support/own-servers.ts'
import { openTcpProxy } from 'relay-test-support/tcp-proxy.ts'
import { until } from 'relay-test-support/until.ts'
import { startApi } from '../src/app.ts'
import { readApiConfig } from '../src/config.ts'
import { listen, type Listening } from './support/stream-site.ts'
import { authorization } from './support/ingest-site.ts'
import { TOKEN } from './support/ask.ts'
import { writeEvents } from './support/write-events.ts'

const limit = { timeout: 300_000 }
const log = createLogger('test', 'silent')
const firstDayMs = Date.UTC(2024, 0, 1)
const DAYS = 40

/** An API that reaches its database through a proxy, and a writer to that database. */
async function openSite (t: TestContext, name = 'postgres') {
  const servers = await openOwnServers(t)
  const port = await getPort({ host: '127.0.0.1' })
  let server = await servers.start('data', port)
  const proxy = await openTcpProxy(port)
  t.after(() => proxy.close())
  await ensureDatabase(server, name)
  const urlOf = (port: number, database = name) => {
    const url = new URL(server.url(database))
    url.port = String(port)
    return url.href
  }
  const config = readApiConfig({ DATABASE_URL: urlOf(proxy.port), API_TOKENS: TOKEN, API_PORT: '0' })
  const api = await startApi(config, log)
  t.after(() => api.close())
  const url = `http://127.0.0.1:${api.port}`
  const direct = async <T>(work: (database: Database) => Promise<T>, url = urlOf(proxy.serverPort)) => {
    const database = await openDatabase({ ...config, DATABASE_URL: url }, 'test', log)
    try {
      return await work(database)
    } finally {
      await database.close()
    }
  }
  let written = 0
  return {
    servers,
    proxy,
    url,
    get server () { return server },
    /** Stops the server, and starts it again after a change of its data. */
    async restart (change: () => Promise<void> = async () => {}) {
      await server.close()
      await change()
      server = await servers.start('data', port)
    },
    /** Writes readings, one per day, each in its own source partition, and announces only these days. */
    write: (count: number) => direct(async database => {
      const events = Array.from({ length: count }, () => ({
        deviceId: 'd-1',
        deviceType: 'THERMOSTAT',
        zone: 'Zone A',
        value: 1,
        timestampMs: firstDayMs + written % DAYS * DAY_MS,
        sourcePartition: written++
      }))
      await writeEvents(database, events)
      await database.query('delete from rollup_commits where last_bucket - first_bucket > $1', ['1 day'])
      for (const { timestampMs } of events) {
        await database.query(`
          insert into rollup_commits (level, first_bucket, last_bucket)
          select level, to_timestamp($1), to_timestamp($1) from generate_series(0, 2) level`, [timestampMs / 1000])
      }
      await database.query("select pg_notify('rollup_commits', '')")
    }),
    /** The answer of the API. */
    async answered () {
      const response =
        await fetch(`${url}/api/v1/aggregates?zone=Zone%20A&start=2024-01-01T00:00:00Z&end=2024-02-10T00:00:00Z&interval=range`,
          { headers: { authorization } })
      if (response.status === 503 || response.headers.has('relay-stale-since')) return undefined // it is not up yet
      assert.equal(response.status, 200)
      return (await response.json() as { rows: Array<{ count: number }> }).rows[0].count
    },
    /** The content of the table. */
    stored: (port = proxy.serverPort) => direct(async database => Number((await database.query<{ count: bigint }>(`
      select sum(count)::bigint as count from rollups_day r join series s using (series_id)
      where device_id is not null`))[0].count), urlOf(port)),
    promote: () => direct(database => database.query('select pg_promote()')),
    /** Creates a database from another one, which must be idle. */
    async clone (from: string, to: string) {
      proxy.isRefusing = true
      proxy.cut()
      const administer = (sql: string) => direct(database => database.query(sql), urlOf(port, 'postgres'))
      await administer(`drop database if exists ${to} with (force)`)
      await until('the last connection to end', () => administer(`create database ${to} template ${from}`).then(
        () => true, () => false
      ))
      proxy.isRefusing = false
    },
    /** Runs transactions that touch no rollup, as others do on a live site. */
    pass: (count: number) => direct(async database => {
      for (let n = 0; n < count; n++) await database.query('select pg_current_xact_id()')
    }),
    async historyChanges () {
      const metrics = await (await fetch(`http://127.0.0.1:${api.metricsPort}/metrics`)).text()
      return Number(/^relay_api_history_changes_total\{.*\} (\S+)$/m.exec(metrics)![1])
    }
  }
}

test('after a restore answers equal those of the tables, and stay so', limit, async t => {
  const site = await openSite(t)
  await site.write(50)
  await site.restart(() => site.servers.copy('data', 'copy'))
  await site.write(10)
  await until('the API to answer', async () => await site.answered() === 60)
  const client = await listen(site.url, '?device=d-1&interval=1d')
  t.after(() => client.close())
  await site.write(1)
  await until('the newest reading', () => told(client) > 0)
  const id = client.lastId!
  assert.equal(await site.answered(), 61)

  await site.restart(() => site.servers.copy('copy', 'data'))
  await until('the API to answer', async () => await site.answered() !== undefined)
  assert.equal(await site.stored(), 50)
  await assertGoesOn(site)
  await until('the change to be counted', async () => await site.historyChanges() > 0)

  await until('the stream to say so', () => client.of('reset').length > 0)
  assert.match(client.of('reset')[0].reason, /restored/)
  const before = told(client)
  await site.write(1)
  await until('what comes after that', () => told(client) > before)
  const returned = await listen(site.url, '?device=d-1&interval=1d', id)
  t.after(() => returned.close())
  assert.equal(returned.of('reset').length, 1) // at any distance of the numbers
})

/** Number of changes that a client was told. */
const told = (client: Listening) => client.of('rollup').length + client.of('changed').length

/** Sooner or later every earlier number is given out again. */
async function assertGoesOn (site: Awaited<ReturnType<typeof openSite>>) {
  await until('the API to have its database again', async () => await site.answered() !== undefined)
  for (let n = 0; n < 12; n++) {
    assert.equal(await site.answered(), await site.stored())
    await site.pass(20)
    await site.write(n % 2)
  }
}

test('answers are those of a promoted replica without the last commits of its primary', limit, async t => {
  const site = await openSite(t)
  await site.write(50)
  await site.restart(() => site.servers.copy('data', 'standby'))
  const replication = await openTcpProxy(site.server.port)
  t.after(() => replication.close())
  const standbyPort = await getPort({ host: '127.0.0.1' })
  await site.servers.startStandby('standby', standbyPort, { ...site.server, port: replication.port })
  await site.write(1)
  await until('the replica to have what was written', async () => await site.stored(standbyPort) === 51)
  replication.isRefusing = true
  replication.cut()
  await site.write(9)
  await until('the API to answer', async () => await site.answered() === 60)

  process.kill(site.server.pid, 'SIGKILL')
  await site.server.exited
  site.proxy.serverPort = standbyPort
  site.proxy.cut()
  await site.promote()
  await until('the API to answer', async () => await site.answered() !== undefined)
  assert.equal(await site.stored(), 51)
  await assertGoesOn(site)
})

test('answers are those of a database created from another one, on a running server', limit, async t => {
  const site = await openSite(t, 'relay')
  await site.write(50)
  await site.clone('relay', 'backup')
  await site.write(9)
  await until('an answer', async () => await site.answered() === 59)
  await site.clone('backup', 'relay')
  await until('the API to answer', async () => await site.answered() !== undefined)
  assert.equal(await site.stored(), 50)
  await assertGoesOn(site)
})
