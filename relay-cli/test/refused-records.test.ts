/** Which records stay refused when the log is read again: those that their owner refused, and no others. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createLogger } from 'relay-common'
import { toDeadLetterRecord, type LetterClaim } from 'relay-dead-letters'
import type { EventLog } from 'relay-event-log'
import { rebuildRollups } from 'relay-processor/rebuild'
import { readClaims } from 'relay-processor/refused-records'

import { setNextOffset } from '../../relay-processor/src/progress.ts'
import { startProcessor } from '../../relay-processor/src/processor.ts'
import { makeEvents, openSite, send, settled, type Site } from '../../relay-processor/test/support/open-processor.ts'
import { readDeadLetters } from '../../relay-processor/test/support/read-dead-letters.ts'
import { readWindows, recompute } from '../../relay-processor/test/support/recompute.ts'
import { until } from 'relay-test-support/until.ts'
import { documents, runCli } from './support/run-cli.ts'

const log = createLogger('test', 'silent')
const none = { added: 0, changed: 0, removed: 0 }
const HOUR_MS = 3_600_000

const topicOf = async ({ eventLog, config }: Site) => (await eventLog.describeTopic(config.EVENTS_TOPIC))!

/** Reads everything that the log has, by a processor that ends then. */
async function readAll (site: Site): Promise<void> {
  const epochs = async () => (await site.database.query<{ epochs: bigint }>(
    'select coalesce(sum(epoch), 0)::bigint as epochs from progress'))[0].epochs
  const before = await epochs()
  const processor = await startProcessor(site.config, log)
  await until('claims of all partitions', async () => await epochs() >= before + 4n)
  await settled(site)
  await processor.close()
}

async function claimsOf ({ database }: Site, partition: number) {
  return await database.query<{ epoch: bigint, history_id: string, from_offset: bigint }>(`
    select epoch, history_id, from_offset from progress_claims where source_partition = $1 order by epoch`, [partition])
}

for (const kind of ['kafka', 'postgres'] as const) {
  test(`a dead letter of an owner that was fenced before its record decides nothing: ${kind}`, async t => {
    const site = await openSite(t, kind)
    if (!site) return
    const events = makeEvents(400)
    await send(site, events.slice(0, 200))
    await readAll(site)
    await send(site, events.slice(200))
    await readAll(site)
    const right = Object.fromEntries(recompute(events))
    assert.deepEqual(Object.fromEntries(await readWindows(site.database)), right)

    const topic = await topicOf(site)
    const partition = (await site.eventLog.readOffsets(topic.name)).find(it => it.endOffset > 20n)!.partition
    const [first, second] = (await claimsOf(site, partition))
      .map(it => ({ epoch: it.epoch, historyId: it.history_id, fromOffset: it.from_offset }))
    const refuse = async (claim: LetterClaim | undefined, offset: bigint) => await site.producer.send(
      site.config.DEAD_LETTERS_TOPIC, [toDeadLetterRecord({
        key: null,
        value: null,
        reason: 'timestamp-future',
        field: 'timestamp',
        detail: '',
        source: { topic: topic.name, partition, offset, claim }
      }, Date.now())])
    const replay = async () => {
      const run = await runCli(site, ['replay', '--dry-run', '--json'])
      assert.equal(run.code, 0, run.stderr)
      return documents(run)[0]
    }

    await refuse(first, second.fromOffset) // the first processor paused before its write, and the second one read on
    await refuse(second, 0n) // not possible
    await refuse({ ...second, historyId: 'another' }, second.fromOffset) // of what a restore has undone
    assert.deepEqual((await replay()).changes, { minute: none, hour: none, day: none })
    assert.deepEqual((await replay()).rowsWithFewerReadings, 0)
    const verified = await runCli(site, ['verify', '--from', '2024-01-01', '--to', '2024-04-01'])
    assert.equal(verified.code, 0, verified.stdout + verified.stderr)

    await refuse(first, 0n)
    assert.ok((await replay()).rowsWithFewerReadings > 0, 'a letter of the owner decides')
  })
}

test('records that processors refuse during a rebuild stay refused', async t => {
  const site = (await openSite(t, 'postgres'))!
  const events = makeEvents(200)
  const processor = await startProcessor(site.config, log)
  t.after(() => processor.close())
  await send(site, events)
  await settled(site)
  const right = Object.fromEntries(recompute(events))

  /** The log, on which a processor refuses a record once the rebuild has begun. */
  const eventLog: EventLog = Object.create(site.eventLog, {
    openConsumer: {
      value: async (...args: Parameters<EventLog['openConsumer']>) => {
        await send(site, [{ ...events[0], timestampMs: Date.now() + 5 * HOUR_MS }])
        await settled(site)
        return await site.eventLog.openConsumer(...args)
      }
    }
  })
  const { config } = site
  const { isSwapped } = await rebuildRollups(site.database, eventLog, {
    topic: config.EVENTS_TOPIC,
    deadLettersTopic: config.DEAD_LETTERS_TOPIC,
    rules: { deviceTypes: new Set(['THERMOSTAT', 'HEART_RATE_METER', 'CAR_FUEL']), futureMaxMs: config.FUTURE_MAX_MS },
    readingsPerRowMax: config.READINGS_PER_ROW_MAX,
    keepDuplicates: false,
    seriesInMemoryMax: 10_000,
    keepMs: [Infinity, Infinity, Infinity],
    isLossAllowed: false,
    isDryRun: false
  }, () => {}, new AbortController().signal)
  assert.ok(isSwapped)
  assert.equal((await readDeadLetters(site)).length, 1)
  assert.deepEqual(Object.fromEntries(await readWindows(site.database)), right)
})

test('a record belongs to the newest claim that begins at or before it', async t => {
  const site = (await openSite(t, 'postgres'))!
  await send(site, makeEvents(200))
  await readAll(site)
  const topic = await topicOf(site)
  const { partition, endOffset } = (await site.eventLog.readOffsets(topic.name)).find(it => it.endOffset > 20n)!
  const [first] = await claimsOf(site, partition)
  assert.equal(first.from_offset, 0n)

  await readAll(site) // finds nothing new
  await readAll(site)
  const idle = await claimsOf(site, partition)
  assert.deepEqual(idle.map(it => it.from_offset), [0n, endOffset], 'claims without a record are forgotten')

  await site.database.transaction(client => setNextOffset(client, 'postgres', topic, partition, 'a test', 10n))
  await readAll(site)
  const claims = await claimsOf(site, partition)
  assert.deepEqual(claims.map(it => it.from_offset), [0n, 10n])
  const read = await readClaims(site.database, topic)
  const owners = [0n, 9n, 10n, endOffset + 5n].map(it => read.ownerOf(partition, it)!.epoch)
  assert.deepEqual(owners, [first.epoch, first.epoch, claims[1].epoch, claims[1].epoch])
  assert.equal(read.isOwner(partition, 9n, undefined), true, 'of a version that wrote no claims')

  await site.database.query('update event_log_partitions set start_offset = 10 where partition = $1', [partition])
  await readAll(site)
  assert.deepEqual((await claimsOf(site, partition)).map(it => it.from_offset), [10n, endOffset],
    'claims whose records the log has deleted are forgotten')
})
