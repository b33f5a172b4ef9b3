/** A hanging statement: nothing fails, but /readyz and the metrics detect that rollups do not progress. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createLogger } from 'relay-common'
import { until } from 'relay-test-support/until.ts'
import { startProcessor, type Processor } from '../src/processor.ts'
import { makeEvents, openSite, send, settled, type Site } from './support/open-processor.ts'
import { readWindows, recompute } from './support/recompute.ts'

const events = makeEvents(600, 5)
const soon = { JOURNAL_INTERVAL_S: '0', FLUSH_STALLED_MS: '500', FLUSH_INTERVAL_MAX_MS: '100' }

async function start (opened: AsyncDisposableStack, site: Site): Promise<Processor> {
  return opened.adopt(await startProcessor(site.config, createLogger('test', 'silent')), it => it.close())
}

async function readiness (processor: Processor) {
  const answer = await fetch(`http://127.0.0.1:${processor.healthPort}/readyz`)
  const { faults = {} } = await answer.json() as { faults?: Record<string, string> }
  return { status: answer.status, faults }
}

/** The sum of a metric over its labels. */
async function metric (processor: Processor, name: string): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${processor.healthPort}/metrics`)).text()
  return [...text.matchAll(new RegExp(`^${name}(?:\\{.*\\})? (.*)$`, 'gm'))].reduce((sum, it) => sum + Number(it[1]), 0)
}

test('a flush that waits for a lock makes the processor not ready, counts as lag, and resumes after it', async t => {
  const site = (await openSite(t, 'postgres', soon))!
  await using opened = new AsyncDisposableStack()
  const processor = await start(opened, site)
  await send(site, events.slice(0, 200))
  await settled(site)
  await until('it to be ready', async () => (await readiness(processor)).status === 200)
  assert.equal(await metric(processor, 'relay_flush_stalled'), 0)
  await until('no lag', async () => await metric(processor, 'relay_lag_records') === 0)

  const client = opened.adopt(await site.database.connect(), it => it.release(true))
  await client.query('begin')
  await client.query('lock table rollups_hour in share mode')
  await send(site, events.slice(200, 400))
  await until('it to say so', async () => {
    const { status, faults } = await readiness(processor)
    return status === 503 && /no flush for over 500 ms, and the log has \d+ unread records/.test(faults.flush ?? '')
  })
  // it is collected once per second
  await until('the metric to say so', async () => await metric(processor, 'relay_flush_stalled') === 1)
  await send(site, events.slice(400))
  await until('lag to count what is in memory and what is not read', async () => await metric(
    processor, 'relay_lag_records'
  ) === 400)

  await client.query('rollback')
  await settled(site)
  await until('it to be ready again', async () => (await readiness(processor)).status === 200)
  await until('the metrics to say so', async () =>
    await metric(processor, 'relay_flush_stalled') === 0 && await metric(processor, 'relay_lag_records') === 0)
  await processor.close()
  assert.deepEqual(Object.fromEntries(await readWindows(site.database)), Object.fromEntries(recompute(events)))
})

test('a partition that can\'t be claimed makes the processor not ready', async t => {
  const site = (await openSite(t, 'postgres', soon))!
  await using opened = new AsyncDisposableStack()
  const client = opened.adopt(await site.database.connect(), it => it.release(true))
  await client.query('begin')
  await client.query('lock table progress in exclusive mode')
  const processor = await start(opened, site)
  await until(
    'it to say so', async () => /could not claim partitions/.test((await readiness(processor)).faults.flush ?? '')
  )
  await client.query('rollback')
  await until('it to be ready', async () => (await readiness(processor)).status === 200)
})

test('a statement beyond its time limit is ended, retried and counted', async t => {
  const site = (await openSite(t, 'postgres', { ...soon, DATABASE_STATEMENT_TIMEOUT_MS: '300' }))!
  await using opened = new AsyncDisposableStack()
  const processor = await start(opened, site)
  await send(site, events.slice(0, 200))
  await settled(site)

  const client = opened.adopt(await site.database.connect(), it => it.release(true))
  await client.query('begin')
  await client.query('lock table rollups_hour in share mode')
  await send(site, events.slice(200))
  await until(
    'it to say so', async () => /DATABASE_STATEMENT_TIMEOUT_MS/.test((await readiness(processor)).faults.rollups ?? '')
  )
  await until('two tries', async () => await metric(processor, 'relay_statement_timeouts_total') >= 2)
  await client.query('rollback')
  await settled(site)
  await until('it to be ready again', async () => (await readiness(processor)).status === 200)
  await processor.close()
  assert.deepEqual(Object.fromEntries(await readWindows(site.database)), Object.fromEntries(recompute(events)))
})
