/** A database is recovered to a point in time from a base backup and its log, under a running API and processor. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import getPort from 'get-port'
import { createLogger, openDatabase, type Database } from 'relay-common'
import { openEventLog } from 'relay-event-log'

import { openLocalKafka } from 'relay-test-support/local-kafka.ts'
import { readProcessorConfig } from '../../relay-processor/src/config.ts'
import { startProcessor } from '../../relay-processor/src/processor.ts'
import { environmentOn } from '../../relay-processor/test/support/open-processor.ts'
import { ensureDatabase } from '../../relay-stack/src/postgres.ts'
import { openOwnServers } from 'relay-test-support/own-servers.ts'
import { openTcpProxy } from 'relay-test-support/tcp-proxy.ts'
import { until } from 'relay-test-support/until.ts'
import { startApi } from '../src/app.ts'
import { readApiConfig } from '../src/config.ts'
import { TOKEN } from './support/ask.ts'
import { authorization, eventOf, kinds, poster, type SentEvent } from './support/ingest-site.ts'

const log = createLogger('test', 'silent')
const DEVICES = 7

type Row = Record<'device' | 'count' | 'sum' | 'last', unknown>

/** @param events in the order of time */
function expectedRows (events: readonly SentEvent[]): Row[] {
  return [...Map.groupBy(events, it => it.deviceId)].sort(([a], [b]) => a < b ? -1 : 1).map(([device, of]) =>
    ({ device, count: of.length, sum: of.reduce((sum, it) => sum + it.value, 0), last: of.at(-1)!.value }))
}

for (const kind of kinds) {
  test(`with events in ${kind} every reading counts once after a recovery to a point in time`, { timeout: 400_000 }, async t => {
    const kafka = kind === 'kafka' ? await openLocalKafka(t) : undefined
    if (kind === 'kafka' && !kafka) return
    const servers = await openOwnServers(t)
    const port = await getPort({ host: '127.0.0.1' })
    const primary = await servers.start('data', port, servers.archiving)
    const proxy = await openTcpProxy(port)
    t.after(() => proxy.close())
    await ensureDatabase(primary, 'relay')
    const url = new URL(primary.url('relay'))
    url.port = String(proxy.port)
    const environment = {
      ...environmentOn(url.href, kind, kafka), SESSION_TIMEOUT_MS: '2000', API_TOKENS: TOKEN, API_PORT: '0'
    }
    const topic = environment.EVENTS_TOPIC
    await using running = new AsyncDisposableStack()
    const api = running.adopt(await startApi(readApiConfig(environment), log), it => it.close())
    const direct = async <T>(work: (database: Database) => Promise<T>) => {
      const database = await openDatabase(readApiConfig(environment), 'test', log)
      try {
        return await work(database)
      } finally {
        await database.close()
      }
    }
    await direct(async database => {
      const eventLog = await openEventLog(readProcessorConfig(environment), database, log)
      for (const [name, partitions] of [[topic, 4], [environment.DEAD_LETTERS_TOPIC, 1]] as const) {
        await eventLog.ensureTopic({ name, partitions, retentionMs: 3_600_000, replicationFactor: -1 })
      }
      await eventLog.close()
    })
    running.adopt(await startProcessor(readProcessorConfig(environment), log), it => it.close())

    const origin = `http://127.0.0.1:${api.port}`
    const post = poster(origin)
    const events = Array.from({ length: 4_500 }, (_, n) => eventOf(n))
    const send = async (from: number, to: number) => {
      for (let at = from; at < to; at += 100) {
        const body = events.slice(at, Math.min(at + 100, to)).map(it => JSON.stringify(it)).join('\n')
        await until(
          'events to be taken',
          async () => (await post(body, { 'content-type': 'application/x-ndjson' })).status === 202
        )
      }
    }
    const readRows = async (): Promise<Row[] | undefined> => {
      const query = new URLSearchParams({
        zone: 'Zone A',
        groupBy: 'device',
        interval: 'range',
        stats: 'count,sum,last',
        start: '2024-01-01T00:00:00Z',
        end: '2024-01-02T00:00:00Z'
      })
      const response = await fetch(`${origin}/api/v1/aggregates?${query}`, { headers: { authorization } })
      const { rows } = await response.json() as { rows: Row[] }
      // the database is not there yet
      if (response.status === 503 || response.headers.has('relay-stale-since')) return undefined
      assert.equal(response.status, 200)
      return rows.map(({ device, count, sum, last }) => ({ device, count, sum, last }))
    }
    /** Waits for the newest readings: everything before them has been handled by then. */
    const counts = async (length: number) => {
      const expected = expectedRows(events.slice(0, length))
      let rows: Row[] | undefined
      await until(() => `the newest of ${length} readings; there is ${JSON.stringify(rows)}`, async () => {
        rows = await readRows()
        return rows?.length === DEVICES && rows.every((it, n) => it.last === expected[n].last)
      }, 120_000)
      assert.deepEqual(rows, expected)
    }

    await send(0, 2_000)
    await counts(2_000)
    await Promise.all([servers.backUp('data', primary, 'backup'), send(2_000, 3_000)])
    await counts(3_000)
    await direct(database => database.query("select pg_create_restore_point('before the mistake')"))
    await send(3_000, 4_000)
    await counts(4_000)
    const [{ segment }] = await direct(database => database.query<{ segment: string }>(
      'select pg_walfile_name(lsn) as segment from (select pg_current_wal_lsn() as lsn, pg_switch_wal()) at'))
    await until('the log to be archived', () => direct(async database =>
      (await database.query('select from pg_stat_archiver where last_archived_wal >= $1', [segment])).length > 0))
    process.kill(primary.pid, 'SIGKILL')
    await primary.exited

    const laterPort = await getPort({ host: '127.0.0.1' })
    await servers.startAt('before the mistake', 'backup', laterPort)
    proxy.serverPort = laterPort
    proxy.cut()
    // Kafka still has later events; a log in the database was reset with it
    await counts(kind === 'kafka' ? 4_000 : 3_000)
    await send(0, 4_500) // like devices that do not know what has arrived
    await counts(4_500)
  })
}
