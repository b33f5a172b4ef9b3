/** A topic of Kafka while a processor reads it: retention deletes unread records, it is recreated, it grows. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'

import { Admin } from '@platformatic/kafka'

import { createLogger } from 'relay-common'
import type { DeviceEvent } from 'relay-rollups'
import { openTcpProxy } from 'relay-test-support/tcp-proxy.ts'
import { until } from 'relay-test-support/until.ts'
import { startProcessor, type Processor } from '../src/processor.ts'
import { encode, makeEvents, openSite, send, settled, type Site } from './support/open-processor.ts'
import { readWindows, recompute } from './support/recompute.ts'

const log = createLogger('test', 'silent')

interface GapRow { kind: string, source_partition: number, expected_offset: bigint, available_offset: bigint }

function openAdmin (opened: AsyncDisposableStack, site: Site): Admin {
  const bootstrapBrokers = site.config.KAFKA_BOOTSTRAP_SERVERS!.split(',')
  return opened.adopt(new Admin({ clientId: 'test', bootstrapBrokers }), it => it.close())
}

async function readGaps (site: Site): Promise<GapRow[]> {
  return await site.database.query<GapRow & Record<string, unknown>>(
    'select kind, source_partition, expected_offset, available_offset from gaps order by gap_id')
}

async function gapsTold (processor: Processor, kind: string): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${processor.healthPort}/metrics`)).text()
  return Number(new RegExp(`^relay_gaps_total\\{.*kind="${kind}".*\\} (.*)$`, 'm').exec(text)?.[1] ?? 0)
}

/** Events of one device, so of one partition, each with an extra kilobyte. */
function makeWideRecords (events: readonly DeviceEvent[]) {
  const note = 'x'.repeat(1_000)
  return events.map(it => ({ key: 'one-device', value: encode(it).replace('{', `{"note":"${note}",`) }))
}

for (const policy of ['continue', 'stop'] as const) {
  test(`retention deletes unread records while a processor waits for its database: a gap is reported, and it ${policy}s`, { timeout: 120_000 }, async t => {
    const site = await openSite(t, 'kafka', { GAP_POLICY: policy, FETCH_BUFFER_MAX_BYTES: String(1024 * 1024) })
    if (!site) return
    await using opened = new AsyncDisposableStack()
    const admin = openAdmin(opened, site)
    const url = new URL(site.config.DATABASE_URL!)
    const proxy = opened.adopt(await openTcpProxy(Number(url.port)), it => it.close())
    url.hostname = '127.0.0.1'
    url.port = String(proxy.port)
    const events = makeEvents(20_000).map(it => ({ ...it, deviceId: 'one-device' }))
    const records = makeWideRecords(events)
    const topic = site.config.EVENTS_TOPIC
    const config = { ...site.config, DATABASE_URL: url.href }
    const processor = await startProcessor(config, log)
    opened.defer(() => processor.close().catch(() => {})) // it may have stopped by itself
    await site.producer.send(topic, records.slice(0, 100))
    await settled(site)

    proxy.isRefusing = true
    proxy.cut()
    // a waiting flush is not sufficient: the line reads on, perhaps past the offset that retention deletes up to
    await until('the line to wait', async () =>
      /reading misplaced readings/.test(await (await fetch(`http://127.0.0.1:${processor.healthPort}/readyz`)).text()))
    for (let at = 100; at < records.length; at += 1_000) await site.producer.send(topic, records.slice(at, at + 1_000))
    const { partition } = (await site.eventLog.readOffsets(topic)).find(it => it.endOffset > 0n)!
    await admin.deleteRecords({ topics: [{ name: topic, partitions: [{ partition, offset: 19_900n }] }] })
    proxy.isRefusing = false

    if (policy === 'stop') {
      await assert.rejects(processor.done, /RELAY_OFFSET_GAP|19900/)
    } else {
      await settled(site)
      await until('the gap to be told', async () => await gapsTold(processor, 'offset-out-of-range') === 1)
    }
    const [gap, ...more] = await readGaps(site)
    assert.deepEqual(more, [])
    assert.deepEqual(
      [gap.kind, gap.source_partition, gap.available_offset], ['offset-out-of-range', partition, 19_900n]
    )
    assert.ok(gap.expected_offset >= 100n && gap.expected_offset < 19_900n)
    // everything read before it is there; and, if configured, everything after it
    const read = events.slice(0, Number(gap.expected_offset))
    if (policy === 'continue') read.push(...events.slice(19_900))
    assert.deepEqual(Object.fromEntries(await readWindows(site.database)), Object.fromEntries(recompute(read)))
  })
}

test('a topic that is recreated under a running processor is a gap, and the same rows continue', async t => {
  const site = await openSite(t, 'kafka', { GAP_POLICY: 'continue' })
  if (!site) return
  await using opened = new AsyncDisposableStack()
  const admin = openAdmin(opened, site)
  const topic = site.config.EVENTS_TOPIC
  const processor = opened.adopt(await startProcessor(site.config, log), it => it.close())
  const [before, after] = [makeEvents(500, 1), makeEvents(500, 2)]
  await send(site, before)
  await settled(site)
  await admin.deleteTopics({ topics: [topic] })
  await until('the topic to be gone', async () => await site.eventLog.describeTopic(topic) === undefined)
  await site.eventLog.ensureTopic({ name: topic, partitions: 4, retentionMs: 3_600_000, replicationFactor: -1 })
  const again = opened.adopt(await site.eventLog.openProducer(), it => it.close())
  await again.send(topic, after.map(it => ({ key: it.deviceId, value: encode(it) })))
  const all = recompute([...before, ...after])
  await until('all to be read', async () => isDeepStrictEqual(await readWindows(site.database), all))
  const gaps = await readGaps(site)
  assert.ok(gaps.length > 0 && gaps.every(it => it.kind === 'topic-recreated'))
  await until('all gaps to be told', async () => await gapsTold(processor, 'topic-recreated') === gaps.length)
})

test('partitions that are added under a running processor are read from their beginning', async t => {
  const site = await openSite(t, 'kafka')
  if (!site) return
  await using opened = new AsyncDisposableStack()
  const admin = openAdmin(opened, site)
  const topic = site.config.EVENTS_TOPIC
  opened.adopt(await startProcessor(site.config, log), it => it.close())
  const events = makeEvents(1_000)
  await send(site, events.slice(0, 500))
  await settled(site)
  const onTheBroker = { brokerIds: [1] }
  await admin.createPartitions({
    topics: [{
      name: topic, count: 7, assignments: [onTheBroker, onTheBroker, onTheBroker]
    }]
  })
  await until('the partitions to be there', async () => (await site.eventLog.describeTopic(topic))?.partitions === 7)
  // a producer that knows them; a device may be in another partition from now on
  const producer = opened.adopt(await site.eventLog.openProducer(), it => it.close())
  const resent = new Set(events.slice(0, 500).map(encode))
  const fresh = events.slice(500).filter(it => !resent.has(encode(it))) // a duplicate is detected within a partition
  await producer.send(topic, fresh.map(it => ({ key: it.deviceId, value: encode(it) })))
  await settled(site)
  assert.deepEqual(
    Object.fromEntries(await readWindows(site.database)), Object.fromEntries(recompute([...events.slice(
      0, 500
    ), ...fresh])))
  assert.ok((await site.eventLog.readOffsets(topic)).slice(4).some(it => it.endOffset > 0n))
  assert.deepEqual(await readGaps(site), [])
})
