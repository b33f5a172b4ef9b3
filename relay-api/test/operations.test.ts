/** How a site does, as administrators are told. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createApiKey } from 'relay-access'
import { createLogger, version } from 'relay-common'

import { startProcessor } from '../../relay-processor/src/processor.ts'
import { openSite, send, settled, type Site } from '../../relay-processor/test/support/open-processor.ts'
import { until } from 'relay-test-support/until.ts'
import { startApi } from '../src/app.ts'
import { readApiConfig } from '../src/config.ts'
import { openTestApi, TOKEN } from './support/ask.ts'

const log = createLogger('test', 'silent')

async function openApi (site: Site, opened: AsyncDisposableStack, settings: Record<string, string> = {}) {
  const config = readApiConfig({ ...site.environment, API_TOKENS: TOKEN, API_PORT: '0', ...settings })
  const api = opened.adopt(await startApi(config, log), it => it.close())
  return async (token = TOKEN) => {
    const response = await fetch(`http://127.0.0.1:${api.port}/api/v1/operations`, { headers: { authorization: `Bearer ${token}` } })
    return { status: response.status, body: await response.json() as any }
  }
}

const sum = (partitions: readonly any[], name: string) => partitions.reduce((all, it) => all + it[name], 0)

for (const kind of ['kafka', 'postgres'] as const) {
  test(`lag by partition is there without a processor, and with one its owner, version and flushes: ${kind}`, { timeout: 180_000 }, async t => {
    const site = await openSite(t, kind)
    if (!site) return
    await using opened = new AsyncDisposableStack()
    const ask = await openApi(site, opened)
    const untilBody = async (what: string, is: (body: any) => boolean) => {
      let body: any
      await until(what, async () => is(body = (await ask()).body))
      return body
    }
    const empty = await untilBody('all partitions', it => it.partitions.length === 4)
    assert.ok(empty.partitions.every(
      (it: any) => it.owner === null && it.lagRecords === 0 && it.lagSeconds === 0 && it.flushedAt === null
    ))
    assert.deepEqual(
      [empty.isEventLogReachable, empty.hasReplica, empty.replicaLagSeconds, empty.gapCount], [true, false, null, 0]
    )

    const nowMs = Date.now()
    await send(site, Array.from({ length: 40 }, (_, n) =>
      ({ deviceId: `d-${n}`, deviceType: 'THERMOSTAT', zone: 'Zone A', value: n, timestampMs: nowMs - n * 1_000 })))
    const waiting = await untilBody('a lag of 40 records', it => sum(it.partitions, 'lagRecords') === 40)
    assert.ok(waiting.partitions.some((it: any) => it.lagSeconds > 0))

    const processor = await startProcessor(site.config, log)
    await settled(site)
    const read = await untilBody('no lag', it => sum(it.partitions, 'lagRecords') === 0)
    assert.equal(sum(read.partitions, 'nextOffset'), sum(read.partitions, 'endOffset'))
    const reported = await untilBody('both programs', it => it.programs.length === 2)
    const [api, own] = reported.programs
    assert.deepEqual([api.program, own.program, own.version, own.isUp], ['relay-api', 'relay-processor', version, true])
    assert.ok(read.partitions.every((it: any) => it.owner === own.instance && it.flushedAt !== null))
    assert.ok(read.partitions.some((it: any) => it.newestEventTime === new Date(nowMs).toISOString()))
    await processor.close()
  })
}

test('gaps are listed, the newest first', async t => {
  const { app, database } = await openTestApi(t)
  for (const offset of [5, 7]) {
    await database.query(`
      insert into gaps (topic_id, topic, source_partition, kind, expected_offset, available_offset)
      values (gen_random_uuid(), 'iot-events', 3, 'offset-out-of-range', 1, $1)`, [offset])
  }
  const { gapCount, gaps } = (await app.inject({ url: '/api/v1/operations', headers: { authorization: `Bearer ${TOKEN}` } })).json()
  assert.equal(gapCount, 2)
  assert.deepEqual(gaps.map(({ foundAt: _, ...it }: any) => it), [7, 5].map(availableOffset =>
    ({ topic: 'iot-events', partition: 3, kind: 'offset-out-of-range', expectedOffset: 1, availableOffset })))
})

test('an event log that is away leaves what the database knows, and says so', { timeout: 120_000 }, async t => {
  const site = (await openSite(t, 'postgres'))!
  await using opened = new AsyncDisposableStack()
  await site.database.query(`
    insert into progress (topic_id, source_partition, event_log, topic, epoch, owner, next_offset)
    values (gen_random_uuid(), 0, 'kafka', $1, 1, 'host:1', 12)`, [site.config.EVENTS_TOPIC])
  const ask = await openApi(site, opened, { EVENT_LOG: 'kafka', KAFKA_BOOTSTRAP_SERVERS: '127.0.0.1:1' })
  const { status, body } = await ask()
  assert.equal(status, 200)
  assert.deepEqual([body.isEventLogReachable, body.completeThrough], [false, null])
  const { flushedAt: _, ...partition } = body.partitions[0]
  assert.deepEqual(partition, {
    partition: 0,
    owner: 'host:1',
    nextOffset: 12,
    endOffset: null,
    lagRecords: null,
    lagSeconds: null,
    newestEventTime: null
  })
})

test('whoever may see a part of the site is refused, and so is whoever may only read', async t => {
  const { app, database } = await openTestApi(t)
  const statusOf = async (scopes: ('admin' | 'events:read')[], grants: object) => {
    const { key } = await createApiKey(database,
      { environment: 'local', name: 'k', scopes, grants, expiresAtMs: undefined }, { principal: 'test' })
    return (await app.inject({ url: '/api/v1/operations', headers: { authorization: `Bearer ${key}` } })).statusCode
  }
  assert.equal(await statusOf(['admin'], {}), 200)
  assert.equal(await statusOf(['admin', 'events:read'], { zones: ['Zone A'] }), 403)
  assert.equal(await statusOf(['admin'], { devicePrefixes: ['d-'] }), 403)
  assert.equal(await statusOf(['events:read'], {}), 403)
})
