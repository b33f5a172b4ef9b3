/** Events deleted from the log before they were read: reported, never skipped silently. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'

import { createLogger, RelayError } from 'relay-common'
import { openLocalPostgres } from 'relay-test-support/local-postgres.ts'
import { until } from 'relay-test-support/until.ts'
import { openPostgresStore } from '../src/postgres-store.ts'
import { startProcessor } from '../src/processor.ts'
import { encode, makeEvents, openSite, send, settled, type Site } from './support/open-processor.ts'
import { readWindows, recompute } from './support/recompute.ts'

const log = createLogger('test', 'silent')

/** Reads 20 events of one partition, then has retention delete 20 more before they are read. */
async function openGap (site: Site): Promise<number> {
  const events = makeEvents(60).map(it => ({ ...it, deviceId: 'one-device' })) // one key: one partition
  const records = events.map(it => ({ key: it.deviceId, value: encode(it) }))
  const first = await startProcessor(site.config, log)
  await site.producer.send(site.config.EVENTS_TOPIC, records.slice(0, 20))
  await settled(site)
  await first.close()
  await site.producer.send(site.config.EVENTS_TOPIC, records.slice(20))
  const { partition } = (await site.eventLog.readOffsets(site.config.EVENTS_TOPIC)).find(it => it.endOffset > 0n)!
  await site.database.query(`
    update event_log_partitions set start_offset = 40
    where partition = $1 and topic_id = (select topic_id from event_log_topics where topic = $2)`,
  [partition, site.config.EVENTS_TOPIC])
  return partition
}

test('by default the processor stops at a gap, reports it, and moves nothing', async t => {
  const site = (await openSite(t, 'postgres'))!
  const partition = await openGap(site)
  const processor = await startProcessor(site.config, log)
  await assert.rejects(processor.done, (error: unknown) =>
    error instanceof RelayError &&
      error.code === 'RELAY_OFFSET_GAP' && /offset 20/.test(error.message) && /40/.test(error.message))
  await processor.close().catch(() => {})

  assert.deepEqual(await site.database.query(
    'select source_partition, kind, expected_offset, available_offset from gaps'
  ),
  [{ source_partition: partition, kind: 'offset-out-of-range', expected_offset: 20n, available_offset: 40n }])
  const [{ next_offset: nextOffset }] = await site.database.query<{ next_offset: bigint }>(
    'select next_offset from progress where source_partition = $1', [partition])
  assert.equal(nextOffset, 20n)
})

test('with the policy to continue it reads on after the gap, which stays recorded', async t => {
  const site = (await openSite(t, 'postgres', { GAP_POLICY: 'continue' }))!
  const partition = await openGap(site)
  const processor = await startProcessor(site.config, log)
  await settled(site)
  await processor.close()
  assert.equal((await site.database.query('select * from gaps where source_partition = $1', [partition])).length, 1)
})

test('an added partition that lost its beginning before it was read is a gap', async t => {
  const { database } = await openLocalPostgres(t)
  const store = await openPostgresStore(
    database, { kind: 'kafka', generation: 'blue', group: 'relay-processor', takeoverFrom: undefined })
  t.after(() => store.close())
  const topic = { name: 'iot-events', topicId: randomUUID(), partitions: 2 }
  // a topic that is read for the first time starts at its beginning, whichever processor comes first
  for (const partition of [0, 1]) {
    assert.equal(await store.findGap(topic, partition, 40n), undefined)
    await store.claim(topic, partition, 'first', 40n)
  }
  const grown = { ...topic, partitions: 4 }
  assert.equal(await store.findGap(grown, 2, 0n), undefined)
  await store.claim(grown, 0, 'first', 40n) // the first processor was restarted
  assert.deepEqual(await store.findGap(grown, 3, 7n),
    { kind: 'offset-out-of-range', partition: 3, expectedOffset: 0n, availableOffset: 7n })
  assert.equal(await store.findGap(grown, 1, 40n), undefined)
})

test('a recreated topic continues the rows of the old one, if configured', async t => {
  const site = (await openSite(t, 'postgres', { GAP_POLICY: 'continue' }))!
  const [before, after] = [makeEvents(300, 1), makeEvents(300, 2)] // of the same devices and days
  const first = await startProcessor(site.config, log)
  await send(site, before)
  await settled(site)
  await first.close()
  await site.database.query('select drop_event_log_topic($1)', [site.config.EVENTS_TOPIC])
  const second = await startProcessor(site.config, log)
  await send(site, after)
  await settled(site)
  await second.close()
  assert.deepEqual(
    Object.fromEntries(await readWindows(site.database)), Object.fromEntries(recompute([...before, ...after])))
  const gaps = await site.database.query<{ kind: string }>('select distinct kind from gaps')
  assert.deepEqual(gaps, [{ kind: 'topic-recreated' }])
})

test('a topic that was recreated before it was read is not a gap: it is read for the first time', async t => {
  const site = (await openSite(t, 'postgres'))!
  const first = await startProcessor(site.config, log)
  await until(
    'it to have claimed the partitions', async () => (await site.database.query('select from progress')).length === 4
  )
  await first.close()
  await site.database.query('select drop_event_log_topic($1)', [site.config.EVENTS_TOPIC])
  const second = await startProcessor(site.config, log)
  const events = makeEvents(100)
  await send(site, events)
  await settled(site)
  await second.close()
  assert.deepEqual(Object.fromEntries(await readWindows(site.database)), Object.fromEntries(recompute(events)))
  assert.deepEqual(await site.database.query('select * from gaps'), [])
})

test('a topic that was deleted and recreated is a gap too', async t => {
  const site = (await openSite(t, 'postgres'))!
  await openGap(site)
  await site.database.query('select drop_event_log_topic($1)', [site.config.EVENTS_TOPIC])
  const processor = await startProcessor(site.config, log)
  await assert.rejects(processor.done, /deleted and created again/)
  await processor.close().catch(() => {})
  const gaps = await site.database.query<{ kind: string }>('select kind from gaps')
  assert.ok(gaps.some(it => it.kind === 'topic-recreated'))
})
