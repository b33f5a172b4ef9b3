/** Temporary errors of PostgreSQL: the line waits, /readyz has the reason, and the line resumes by itself. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createLogger } from 'relay-common'
import { openTcpProxy } from 'relay-test-support/tcp-proxy.ts'
import { until } from 'relay-test-support/until.ts'
import { startProcessor, type Processor } from '../src/processor.ts'
import { makeEvents, openSite, send, settled, type Site } from './support/open-processor.ts'
import { readWindows, recompute } from './support/recompute.ts'

/** faults concern tables of rows, so each flush writes rows */
const NO_JOURNAL = { JOURNAL_INTERVAL_S: '0' }

const events = makeEvents(1_200, 11)

/** @param opened closes the processor in any case, because the database waits for its connections */
async function start (
  opened: AsyncDisposableStack, site: Site, settings: Partial<Site['config']> = {}
): Promise<Processor> {
  const config = { ...site.config, ...settings }
  return opened.adopt(await startProcessor(config, createLogger('test', 'silent')), it => it.close())
}

async function readiness (processor: Processor) {
  const answer = await fetch(`http://127.0.0.1:${processor.healthPort}/readyz`)
  const { faults = {} } = await answer.json() as { faults?: Record<string, string> }
  return { status: answer.status, fault: faults.rollups ?? '' }
}

async function metric (processor: Processor, name: string): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${processor.healthPort}/metrics`)).text()
  return Number(new RegExp(`^${name}(?:\\{.*\\})? (.*)$`, 'm').exec(text)?.[1])
}

/** Sends the rest of the events, and checks every window. */
async function finish (site: Site, processor: Processor): Promise<void> {
  await send(site, events.slice(600))
  await settled(site)
  await until('it to be ready again', async () => (await readiness(processor)).status === 200)
  await processor.close()
  assert.deepEqual(Object.fromEntries(await readWindows(site.database)), Object.fromEntries(recompute(events)))
}

test('a full disk pauses the line until there is space again', async t => {
  const site = (await openSite(t, 'postgres', NO_JOURNAL))!
  await using opened = new AsyncDisposableStack()
  const processor = await start(opened, site)
  // PostgreSQL's error for a file that can't grow, raised by a trigger: the real disk is not filled
  await site.database.query(`
    create function no_room () returns trigger language plpgsql as $$
    begin raise exception 'could not extend file: No space left on device' using errcode = 'disk_full'; end $$`)
  await site.database.query(
    'create trigger no_room before insert on rollups_hour for each row execute function no_room()'
  )
  await send(site, events.slice(0, 600))
  await until('it to say so', async () => {
    const { status, fault } = await readiness(processor)
    return status === 503 && /No space left on device/.test(fault)
  })
  assert.deepEqual(await site.database.query('select 1 from progress where next_offset > 0'), [])
  await site.database.query('drop trigger no_room on rollups_hour')
  await finish(site, processor)
})

test('a deadlock is retried', async t => {
  const site = (await openSite(t, 'postgres', NO_JOURNAL))!
  await using opened = new AsyncDisposableStack()
  const processor = await start(opened, site)
  await send(site, events.slice(0, 600))
  await settled(site)

  // we lock a row that the next flush writes, and then request the progress that it holds
  const client = opened.adopt(await site.database.connect(), it => it.release(true))
  await client.query("set deadlock_timeout = '10min'") // the first to check gives up: not us
  await client.query('begin')
  await client.query('update rollups_day set count = count')
  await send(site, events.slice(600, 700))
  await until('the flush to wait for our rows', async () => (await site.database.query(`
    select 1 from pg_stat_activity
    where datname = current_database() and application_name = 'relay-processor' and wait_event_type = 'Lock'`)).length > 0)
  await client.query('update progress set owner = owner') // continues after the rollback of the flush
  await client.query('rollback')
  await until('a retry', async () => await metric(processor, 'relay_retries_total') >= 1)
  await send(site, events.slice(700))
  await settled(site)
  await processor.close()
  assert.deepEqual(Object.fromEntries(await readWindows(site.database)), Object.fromEntries(recompute(events)))
})

test('a serialization failure is retried', async t => {
  const site = (await openSite(t, 'postgres', NO_JOURNAL))!
  await using opened = new AsyncDisposableStack()
  const [{ name }] = await site.database.query<{ name: string }>('select current_database() as name')
  await site.database.query(`alter database ${name} set default_transaction_isolation = 'repeatable read'`)
  const processor = await start(opened, site)
  await send(site, events.slice(0, 600))
  await settled(site)

  const client = opened.adopt(await site.database.connect(), it => it.release(true))
  await client.query('begin')
  await client.query('update progress set owner = owner')
  await send(site, events.slice(600, 700))
  await until('the flush to wait for our row', async () => (await site.database.query(`
    select 1 from pg_stat_activity
    where datname = current_database() and application_name = 'relay-processor' and wait_event_type = 'Lock'`)).length > 0)
  await client.query('commit') // now the row differs from its snapshot
  await until('a retry', async () => await metric(processor, 'relay_retries_total') >= 1)
  await send(site, events.slice(700))
  await settled(site)
  await processor.close()
  assert.deepEqual(Object.fromEntries(await readWindows(site.database)), Object.fromEntries(recompute(events)))
})

test('the outcome of a commit without an answer is read, and nobody is fenced', async t => {
  const site = await openSite(t, 'kafka', NO_JOURNAL)
  if (!site) return
  await using opened = new AsyncDisposableStack()
  const url = new URL(site.config.DATABASE_URL!)
  const proxy = opened.adopt(await openTcpProxy(Number(url.port)), it => it.close())
  url.hostname = '127.0.0.1'
  url.port = String(proxy.port)
  const processor = await start(opened, site, { DATABASE_URL: url.href })
  await send(site, events.slice(0, 600))
  await settled(site)

  const isCut = proxy.cutBehind(Buffer.from('commit\0'), AbortSignal.timeout(30_000))
  await send(site, events.slice(600, 700))
  assert.ok(await isCut)
  await until('a retry', async () => await metric(processor, 'relay_retries_total') >= 1)
  await send(site, events.slice(700))
  await settled(site)
  assert.equal(await metric(processor, 'relay_fenced_total'), 0)
  await processor.close()
  assert.deepEqual(Object.fromEntries(await readWindows(site.database)), Object.fromEntries(recompute(events)))
})
