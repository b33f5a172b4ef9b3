import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

import { databaseUserOf } from 'relay-access'
import { createLogger } from 'relay-common'
import { startProcessor } from '../../relay-processor/src/processor.ts'
import {
  makeEvents, openSite, send, settled, spawnProcessor, type Site
} from '../../relay-processor/test/support/open-processor.ts'
import { readWindows, recompute } from '../../relay-processor/test/support/recompute.ts'
import { until } from 'relay-test-support/until.ts'
import { documents, runCli, spawnCli } from './support/run-cli.ts'

const log = createLogger('test', 'silent')

/** Deletes rows and changes others: of old windows, which a processor does not hold in memory. */
async function damage ({ database }: Site): Promise<void> {
  await database.query("delete from rollups_hour where bucket_start < '2024-02-25'")
  await database.query(`
    update rollups_day d set count = o.count, sum = o.sum, min = o.min, max = o.max, body = o.body
    from (select * from rollups_day where bucket_start < '2024-02-25' order by count limit 1) o
    where d.bucket_start = o.bucket_start`)
}

for (const kind of ['kafka', 'postgres'] as const) {
  test(`replay on the ${kind} log corrects damaged rows while a processor works, and that continues`, async t => {
    const site = await openSite(t, kind)
    if (!site) return
    const events = makeEvents(3_000)
    const processor = await spawnProcessor(t, site)
    await send(site, events.slice(0, 2_000))
    await settled(site)
    const right = await readWindows(site.database)
    await damage(site)
    const damaged = await readWindows(site.database)
    assert.notDeepEqual(Object.fromEntries(damaged), Object.fromEntries(right))

    const asked = await runCli(site, ['replay'])
    assert.match(asked.stdout, /nothing was changed; --yes replaces them\n$/)
    const dry = await runCli(site, ['replay', '--dry-run', '--yes', '--json'])
    assert.equal(dry.code, 0, dry.stderr)
    assert.equal(documents(dry)[0].isDryRun, true)
    assert.deepEqual(Object.fromEntries(await readWindows(site.database)), Object.fromEntries(damaged))

    const replaying = runCli(site, ['replay', '--yes', '--json'])
    await send(site, events.slice(2_000, 2_500)) // at any moment: before, during or after the swap
    const run = await replaying
    assert.equal(run.code, 0, run.stderr)
    const [{ changes }] = documents(run)
    assert.ok(changes.hour.added > 0 && changes.day.changed > 0, run.stdout)
    assert.deepEqual(documents(dry)[0].changes, changes, 'a dry run says what the replay does then')

    await send(site, events.slice(2_500))
    await settled(site)
    processor.kill('SIGTERM')
    await once(processor, 'exit')
    assert.deepEqual(Object.fromEntries(await readWindows(site.database)), Object.fromEntries(recompute(events)))

    const nothing = documents(await runCli(site, ['replay', '--yes', '--json']))
    const none = { added: 0, changed: 0, removed: 0 }
    assert.deepEqual(nothing[0].changes, { minute: none, hour: none, day: none })
  })

  test(`a replay on the ${kind} log that is killed in its swap changes nothing, and the processor continues`, async t => {
    const site = await openSite(t, kind)
    if (!site) return
    const events = makeEvents(2_000)
    const first = await startProcessor(site.config, log)
    await send(site, events.slice(0, 1_000))
    await settled(site)
    await first.close()
    await damage(site)
    const before = await readWindows(site.database)
    const progress = () => site.database.query('select source_partition, epoch, next_offset from progress order by 1')
    const progressBefore = await progress()
    const arrivals = () => site.database.query(`
      select series_id, bucket_start, source_partition, late, duplicates from arrival_counts
      where late > 0 or duplicates > 0 order by 1, 2, 3`)
    const arrivalsBefore = await arrivals()
    assert.ok(arrivalsBefore.length > 0, 'some events came again')

    const locker = await site.database.connect()
    try {
      await locker.query('begin; lock table rollups_day in share mode')
      const replaying = spawnCli(site, ['replay', '--yes'])
      await until('the swap to be half done', async () => (await site.database.query(`
        select from pg_stat_activity
        where datname = current_database() and application_name = 'relay-cli' and wait_event_type = 'Lock'`)).length > 0)
      replaying.kill('SIGKILL')
      await once(replaying, 'exit')
      await locker.query('commit')
    } finally {
      locker.release()
    }
    await until('the server to drop the session', async () => (await site.database.query(`
      select from pg_stat_activity where datname = current_database() and application_name = 'relay-cli'`)).length === 0)
    assert.deepEqual(Object.fromEntries(await readWindows(site.database)), Object.fromEntries(before))
    assert.deepEqual(await progress(), progressBefore)

    assert.equal((await runCli(site, ['replay', '--yes'])).code, 0)
    assert.deepEqual(await arrivals(), arrivalsBefore, 'in a replay nothing arrives late, or again')
    const second = await startProcessor(site.config, log)
    await send(site, events.slice(1_000))
    await settled(site)
    await second.close()
    assert.deepEqual(Object.fromEntries(await readWindows(site.database)), Object.fromEntries(recompute(events)))
  })
}

test('days that the log no longer covers completely stay unchanged', async t => {
  const site = (await openSite(t, 'postgres'))!
  const events = makeEvents(500)
  const processor = await startProcessor(site.config, log)
  await send(site, events)
  await settled(site)
  await processor.close()
  const all = await readWindows(site.database)
  await site.database.query(`
    update event_log_partitions set start_offset = next_offset / 2
    where next_offset > 0 and topic_id = (select topic_id from event_log_topics where topic = $1)`, [site.config.EVENTS_TOPIC])

  const run = await runCli(site, ['replay', '--yes', '--json'])
  assert.equal(run.code, 0, run.stderr)
  for (const { start } of documents(run)[0].ranges.filter((it: any) => it.start.day !== null)) {
    assert.ok(Date.parse(start.day) > Date.now(), 'what is held was sent today: no day is whole')
  }
  assert.deepEqual(Object.fromEntries(await readWindows(site.database)), Object.fromEntries(all))
})

test('a replay does not drop readings that the log has lost, unless told to', async t => {
  const site = (await openSite(t, 'postgres'))!
  const events = makeEvents(300)
  const processor = await startProcessor(site.config, log)
  await send(site, events)
  await settled(site)
  await processor.close()
  const all = await readWindows(site.database)
  const [{ batches }] = await site.database.query<{ batches: bigint }>(`
    with gone as (
      delete from event_log_batches b using event_log_topics t
      where t.topic_id = b.topic_id and t.topic = $1 and b.partition = (
        select min(partition) from event_log_batches where topic_id = b.topic_id)
      returning b.partition)
    select count(*) as batches from gone`, [site.config.EVENTS_TOPIC])
  assert.ok(batches > 0n)
  // a partition with deleted records can't be read to its end: here they look as if they had never existed
  await site.database.query(`
    update progress set next_offset = 0 where source_partition = (
      select min(p.partition) from event_log_partitions p join event_log_topics t using (topic_id)
      where t.topic = $1 and p.next_offset > 0)`, [site.config.EVENTS_TOPIC])

  const refused = await runCli(site, ['replay', '--yes'])
  assert.equal(refused.code, 2)
  assert.match(refused.stderr, /rows would have fewer readings.*RELAY_REPLAY_REFUSED/)
  assert.deepEqual(Object.fromEntries(await readWindows(site.database)), Object.fromEntries(all))
  assert.equal((await runCli(site, ['replay', '--yes', '--allow-fewer'])).code, 0)
  assert.ok((await readWindows(site.database)).size < all.size)
})

test('a replay compacts the journal, and its owner continues', { timeout: 180_000 }, async t => {
  const site = (await openSite(t, 'postgres', { JOURNAL_INTERVAL_S: '600' }))!
  const events = makeEvents(24, 5)
  const more = makeEvents(48, 5)
  await using opened = new AsyncDisposableStack()
  opened.adopt(await startProcessor(site.config, createLogger('test', 'silent')), it => it.close())
  await send(site, events)
  await settled(site)
  const isJournaled = async () => (await site.database.query('select from journal limit 1')).length > 0
  assert.ok(await isJournaled())
  const replayed = await runCli(site, ['replay', '--yes'])
  assert.equal(replayed.code, 0, replayed.stderr)
  assert.ok(!await isJournaled())
  assert.deepEqual(Object.fromEntries(await readWindows(site.database)), Object.fromEntries(recompute(events)))

  await send(site, more) // the first half again
  await settled(site)
  assert.ok(await isJournaled())
  assert.deepEqual(
    Object.fromEntries(await readWindows(site.database)), Object.fromEntries(recompute([...events, ...more]))
  )
  const verified = await runCli(site, ['verify', '--from', '2024-01-01T00:00:00Z', '--to', '2024-04-01T00:00:00Z'])
  assert.equal(verified.code, 0, verified.stdout + verified.stderr)
})

test('replay and repair refuse a processor\'s login before they read anything; a dry run accepts it', async t => {
  const site = await openSite(t, 'postgres')
  if (!site) return
  const processor = await startProcessor(site.config, log)
  await send(site, makeEvents(1_000))
  await settled(site)
  await processor.close()

  const folder = await mkdtemp(join(tmpdir(), 'relay-logins-'))
  t.after(() => rm(folder, { recursive: true }))
  await runCli(site, ['migrate', '--login', `processor=${folder}/password`])
  const url = new URL(site.environment.DATABASE_URL)
  url.username = databaseUserOf('processor')
  url.password = (await readFile(join(folder, 'password'), 'utf8')).trim()
  const asProcessor = { environment: { ...site.environment, DATABASE_URL: url.href } }
  assert.equal((await runCli(asProcessor, ['replay'])).code, 0)
  for (const command of [['replay', '--yes'], ['repair', '--from', '2024-01-01', '--to', '2024-03-01', '--yes']]) {
    const { code, stderr } = await runCli(asProcessor, command)
    assert.equal(code, 2)
    assert.match(
      stderr, /relay_processor_login may not delete from rollups_minute, rollups_hour, rollups_day: log in as the owner/
    )
  }
})
