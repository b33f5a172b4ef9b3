import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createLogger } from 'relay-common'

import { until } from 'relay-test-support/until.ts'
import { startProcessor } from '../src/processor.ts'
import { makeEvents, openSite, send, settled } from './support/open-processor.ts'
import { readWindows, recompute } from './support/recompute.ts'

const PARTITIONS = 4
const events = makeEvents(200)

test('partitions taken over at once are one takeover, and all are counted at the end', { timeout: 180_000 }, async t => {
  const site = (await openSite(t, 'postgres', { JOURNAL_INTERVAL_S: '0' }))!
  const processor = await startProcessor(site.config, createLogger('test', 'silent'))
  t.after(() => processor.close())
  const metric = async (name: string) => {
    const text = await (await fetch(`http://127.0.0.1:${processor.healthPort}/metrics`)).text()
    return Number(new RegExp(`^${name}(?:\\{.*\\})? (.*)$`, 'm').exec(text)?.[1])
  }
  await send(site, events.slice(0, 100))
  await settled(site)
  assert.deepEqual([await metric('relay_fenced_total'), await metric('relay_takeovers_total')], [0, 0])

  const claimed = 'select from progress where topic = $1'
  await until('all partitions to be claimed', async () =>
    (await site.database.query(claimed, [site.config.EVENTS_TOPIC])).length === PARTITIONS)
  await site.database.query('update progress set epoch = epoch + 1') // like an owner of all of them
  await until('the processor to hear of all', async () => await metric('relay_fenced_total') === PARTITIONS)
  assert.equal(await metric('relay_takeovers_total'), 1)

  await send(site, events.slice(100))
  await settled(site)
  await processor.close()
  assert.deepEqual(Object.fromEntries(await readWindows(site.database)), Object.fromEntries(recompute(events)))
})
