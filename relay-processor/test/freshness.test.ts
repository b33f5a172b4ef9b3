/** Freshness of rollups: the time from the append of a reading to its commit, counted in readings. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createLogger } from 'relay-common'

import { until } from 'relay-test-support/until.ts'
import { noteAppended, type Appended } from '../src/appended.ts'
import { startProcessor, type Processor } from '../src/processor.ts'
import { makeEvents, openSite, send, settled } from './support/open-processor.ts'
import { openTimedSite } from './support/times-of-events.ts'

const events = makeEvents(300)
const MANY_S = 3600

/** Number of readings that became rollups within a time after their append; undefined: at any time. */
async function countWithin (processor: Processor, seconds: number | undefined): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${processor.healthPort}/metrics`)).text()
  const name = seconds === undefined
    ? 'relay_freshness_seconds_count'
    : `relay_freshness_seconds_bucket{le="${seconds}"`
  return Number(text.split('\n').find(it => it.startsWith(name))!.split(' ').at(-1))
}

for (const kind of ['kafka', 'postgres'] as const) {
  test(`each reading of the event log in ${kind} counts once, with its true delay`, { timeout: 120_000 }, async t => {
    const site = await openSite(t, kind, { PROCESSOR_THREADS: '2' })
    if (!site) return
    await using opened = new AsyncDisposableStack()
    const processor = opened.adopt(await startProcessor(site.config, createLogger('test', 'silent')), it => it.close())
    await send(site, events.slice(0, 100))
    await settled(site)
    await send(site, events.slice(100))
    await settled(site)
    await until('all of them', async () => await countWithin(processor, undefined) === events.length)
    assert.equal(await countWithin(processor, MANY_S), events.length)
  })
}

test('a reading that has waited in the log for an hour is not fresh', { timeout: 120_000 }, async t => {
  const site = (await openSite(t, 'postgres'))!
  await send(site, events.slice(0, 200))
  await site.database.query('update event_log_batches set appended_at = appended_at - interval \'61 minutes\'')
  await send(site, events.slice(200))
  await using opened = new AsyncDisposableStack()
  const processor = opened.adopt(await startProcessor(site.config, createLogger('test', 'silent')), it => it.close())
  await settled(site)
  await until('all of them', async () => await countWithin(processor, undefined) === events.length)
  assert.equal(await countWithin(processor, MANY_S), 100)
})

test('readings that arrive while a processor reads are fresh, whatever the time of their records', { timeout: 120_000 }, async t => {
  const site = await openTimedSite(t)
  if (!site) return
  await using opened = new AsyncDisposableStack()
  const processor = opened.adopt(await startProcessor(site.config, createLogger('test', 'silent')), it => it.close())
  await site.sendAt(1_000n, events.slice(0, 100))
  await settled(site)
  await until('those before anything was seen of the log', async () => await countWithin(processor, undefined) === 100)
  const before = await countWithin(processor, MANY_S)
  await site.sendAt(1_000n, events.slice(100, 200))
  await settled(site)
  await site.sendAt(-1n, events.slice(200))
  await settled(site)
  await until('all of them', async () => await countWithin(processor, undefined) === events.length)
  assert.equal(await countWithin(processor, MANY_S) - before, 200)
})

test('a backlog of hours is about a hundred entries, each close to the time of its readings', () => {
  const nowMs = 4 * 3_600_000
  const noted: Appended[] = []
  let readings = 0
  for (let appendedMs = 0; appendedMs < nowMs; appendedMs += 50) {
    noteAppended(noted, appendedMs, 1, nowMs)
    const { appendedMs: countedMs } = noted.at(-1)!
    assert.ok(Math.abs(countedMs - appendedMs) <= (nowMs - countedMs) / 100)
    readings++
  }
  assert.equal(noted.reduce((sum, it) => sum + it.readings, 0), readings)
  assert.ok(noted.length < 1_500, String(noted.length))
})
