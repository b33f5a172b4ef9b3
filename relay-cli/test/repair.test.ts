import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createLogger } from 'relay-common'
import { startProcessor } from '../../relay-processor/src/processor.ts'
import { makeEvents, openSite, send, settled, type Site } from '../../relay-processor/test/support/open-processor.ts'
import { readWindows, recompute } from '../../relay-processor/test/support/recompute.ts'
import { documents, runCli } from './support/run-cli.ts'

const log = createLogger('test', 'silent')
const RANGE = ['--from', '2024-01-01', '--to', '2024-04-01']

/** The state of a version without homes: half of the events were sent by two producers that hash differently. */
async function countTwice (site: Site, database = site.database): Promise<void> {
  for (const level of ['minute', 'hour', 'day']) {
    await database.query(`
      insert into rollups_${level}
      select series_id, bucket_start, source_partition + 4, count, sum, min, max, body from rollups_${level}`)
  }
}

test('repair makes readings in two partitions count once, while processors continue', async t => {
  const site = await openSite(t, 'postgres')
  if (!site) return
  const events = makeEvents(2_000)
  await using running = new AsyncDisposableStack()
  running.adopt(await startProcessor(site.config, log), it => it.close())
  await send(site, events)
  await settled(site)
  const right = Object.fromEntries(await readWindows(site.database))
  await countTwice(site)
  assert.notDeepEqual(Object.fromEntries(await readWindows(site.database)), right)
  const doubled = documents(await runCli(site, ['verify', ...RANGE, '--json']))
  assert.ok(doubled.some(it => it.kind === 'doubled'))

  const wary = await runCli(site, ['repair', ...RANGE, '--yes', '--dry-run'])
  assert.match(wary.stdout, /would be repaired[^]*nothing was changed; --yes repairs them\n$/)
  const dry = await runCli(site, ['repair', ...RANGE, '--json'])
  assert.equal(dry.code, 0, dry.stderr)
  const done = await runCli(site, ['repair', ...RANGE, '--yes', '--json'])
  assert.equal(done.code, 0, done.stderr)
  const days = documents(done)
  assert.deepEqual(
    documents(dry), days.map(it => ({ ...it, isDryRun: true })), 'a dry run says what the repair does then'
  )
  const distinct = new Set(events.map(it => JSON.stringify(it))).size
  assert.equal(days.reduce((sum, it) => sum + it.doubled, 0), distinct)
  assert.deepEqual(Object.fromEntries(await readWindows(site.database)), right)

  const more = makeEvents(500, 7)
  await send(site, more)
  await settled(site)
  assert.deepEqual(
    Object.fromEntries(await readWindows(site.database)), Object.fromEntries(recompute([...events, ...more]))
  )
  assert.deepEqual(documents(await runCli(site, ['verify', ...RANGE, '--json'])).at(-1).differences, 0)
  assert.match(
    (await runCli(site, ['repair', ...RANGE])).stdout, /nothing to repair: no device has a minute in several partitions/
  )
})

test('repair leaves a day unchanged if its minutes are incomplete, and reports it', async t => {
  const site = await openSite(t, 'postgres')
  if (!site) return
  const processor = await startProcessor(site.config, log)
  await send(site, makeEvents(500))
  await settled(site)
  await processor.close()
  await countTwice(site)
  await site.database.query(`
    delete from rollups_minute where (series_id, bucket_start, source_partition) in (
      select series_id, bucket_start, source_partition from rollups_minute where bucket_start >= '2024-03-01' order by 1, 2, 3 limit 1)`)
  const before = Object.fromEntries(await readWindows(site.database))
  const run = await runCli(site, ['repair', '--from', '2024-03-01', '--to', '2024-03-02', '--yes'])
  assert.deepEqual([run.code, run.stdout.trim()],
    [1, '2024-03-01: not repaired: some of its minutes are past their retention'])
  assert.deepEqual(Object.fromEntries(await readWindows(site.database)), before)
})
