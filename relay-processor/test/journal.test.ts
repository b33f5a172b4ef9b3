/** A live fleet on a real database: a flush goes to the journal first, and then to rows, once. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'

import { MINUTE_MS, type DeviceEvent } from 'relay-rollups'
import { until } from 'relay-test-support/until.ts'
import { makeEvents, openSite, send, settled, spawnProcessor, type Site } from './support/open-processor.ts'
import { readWindows, recompute } from './support/recompute.ts'

const START_MS = Date.parse('2024-03-01T10:00:00Z')

/** One reading per device, some late by days, some duplicates. */
function round (n: number, before: readonly DeviceEvent[]): DeviceEvent[] {
  const events = Array.from({ length: 20 }, (_, device): DeviceEvent => ({
    deviceId: `device-${device}`,
    deviceType: 'THERMOSTAT',
    zone: `Zone ${'AB'[device % 2]}`,
    value: (n * 7 + device) / 10,
    timestampMs: START_MS + n * 20_000 + device - ((n + device) % 9 === 0 ? 3 * 86_400_000 : 0)
  }))
  return [...events, ...before.filter((_, at) => at % 11 === n % 11)]
}

async function countJournal (site: Site): Promise<number> {
  const [{ count }] = await site.database.query<{ count: bigint }>('select count(*) from journal')
  return Number(count)
}

test('readings are in the journal and then in rows, once, whoever is killed in between', { timeout: 180_000 }, async t => {
  const site = (await openSite(t, 'postgres', { JOURNAL_INTERVAL_S: '1', SESSION_TIMEOUT_MS: '1000' }))!
  const sent: DeviceEvent[] = []
  let wasJournaled = 0
  for (let run = 0; run < 3; run++) {
    const processor = await spawnProcessor(t, site)
    for (let n = 0; n < 8; n++) {
      const events = round(run * 8 + n, sent)
      sent.push(...events)
      await send(site, events)
      await settled(site)
      wasJournaled = Math.max(wasJournaled, await countJournal(site))
      assert.deepEqual(Object.fromEntries(await readWindows(site.database)), Object.fromEntries(recompute(sent)))
    }
    const exited = once(processor, 'exit')
    processor.kill('SIGKILL')
    await exited
  }
  assert.ok(wasJournaled > 0)

  await spawnProcessor(t, site)
  await until(
    'all of the journal to be rows, though nothing arrives any more', async () => await countJournal(site) === 0
  )
  assert.deepEqual(Object.fromEntries(await readWindows(site.database)), Object.fromEntries(recompute(sent)))
  const [{ span }] = await site.database.query<{ span: number }>(
    "select date_part('epoch', max(bucket_start) - min(bucket_start)) * 1000 as span from rollups_minute")
  assert.ok(span >= 3 * 86_400_000 - MINUTE_MS)
})

test('a database from before the journal continues to work, and resends of its readings count once', { timeout: 180_000 }, async t => {
  const site = (await openSite(t, 'postgres', { JOURNAL_INTERVAL_S: '0', SESSION_TIMEOUT_MS: '1000' }))!
  const sent = makeEvents(400)
  const before = await spawnProcessor(t, site)
  await send(site, sent)
  await settled(site)
  const exited = once(before, 'exit')
  before.kill('SIGKILL')
  await exited
  await site.database.query(`
    drop table journal, series_blocks, progress_group, programs, traced_devices, traced_flushes, processor_generations,
      canary_partitions, progress_claims;
    drop function note_progress_claim cascade;
    drop index series_groups;
    alter table progress drop last_record_offset, drop last_record_value_crc, drop last_record_next_offset;
    drop sequence series_blocks_made;
    drop function take_series_ids, read_event_log_with_times, read_event_log_with_headers, move_rollup_clock;
    drop table rollup_clock, rollup_commit_marks; drop function delete_old_commits;
    alter table event_log_topics drop log_time, drop looked_at;
    create index rollup_commits_recorded on rollup_commits (recorded_at);
    delete from migrations where name >= '0022'`)

  await spawnProcessor(t, site, { JOURNAL_INTERVAL_S: '1' })
  let wasJournaled = 0
  for (let n = 0; n < 8; n++) {
    const events = [...round(n, sent), ...sent.slice(n * 20, n * 20 + 20)]
    sent.push(...events)
    await send(site, events)
    await settled(site)
    wasJournaled = Math.max(wasJournaled, await countJournal(site))
    assert.deepEqual(Object.fromEntries(await readWindows(site.database)), Object.fromEntries(recompute(sent)))
  }
  assert.ok(wasJournaled > 0)
})

const NOW_MS = Date.parse('2024-03-05T10:00:30Z')

function thermostat (deviceId: string, timestampMs: number): DeviceEvent {
  return { deviceId, deviceType: 'THERMOSTAT', zone: 'Zone A', value: timestampMs / 1_000 % 40, timestampMs }
}

test('a day of history that arrives after a live reading does not stall the processor', { timeout: 180_000 }, async t => {
  const site = (await openSite(t, 'postgres', { JOURNAL_INTERVAL_S: '120', FLUSH_INTERVAL_MS: '1000' }))!
  await spawnProcessor(t, site)
  const live = [thermostat('a', NOW_MS), thermostat('b', NOW_MS)]
  await send(site, live)
  await settled(site)
  assert.ok(await countJournal(site) > 0)
  const history = Array.from({ length: 200_000 }, (_, n) => thermostat('ab'[n % 2], NOW_MS - (200_000 - n) * 500))
  for (let at = 0; at < history.length; at += 20_000) await send(site, history.slice(at, at + 20_000))
  await settled(site)
  await send(site, history.slice(0, 100_000)) // again: none of it counts
  await settled(site)
  assert.deepEqual(
    Object.fromEntries(await readWindows(site.database)), Object.fromEntries(recompute([...live, ...history]))
  )
})

test('history in the journals of other partitions is compared at once when partitions are added', { timeout: 300_000 }, async t => {
  const site = (await openSite(t, 'postgres', { JOURNAL_INTERVAL_S: '600' }))!
  await spawnProcessor(t, site)
  const devices = Array.from({ length: 5_000 }, (_, n) => `device-${n}`)
  const live = devices.map(it => thermostat(it, NOW_MS))
  const late = Array.from(
    { length: 18 }, (_, round) => devices.map(it => thermostat(it, NOW_MS - 3_600_000 - round * 61_000))
  )
  await send(site, live)
  for (const it of late) {
    await send(site, it)
    await settled(site) // a separate flush: the journal has them in many rows
  }
  assert.ok(await countJournal(site) > 40)
  await site.database.query('select add_event_log_partitions($1, 9)', [site.config.EVENTS_TOPIC])
  await until('homes to be decided again', async () => {
    await send(site, live.slice(0, 10))
    return (await site.database.query('select from homes where partitions = 9')).length > 0
  })
  for (const it of late) await send(site, it)
  await settled(site)
  assert.deepEqual(
    Object.fromEntries(await readWindows(site.database)), Object.fromEntries(recompute([...live, ...late.flat()]))
  )
})

test('each reading of a fleet that is always late counts once', { timeout: 180_000 }, async t => {
  const site = (await openSite(t, 'postgres', { JOURNAL_INTERVAL_S: '120' }))!
  await spawnProcessor(t, site)
  const devices = Array.from({ length: 10_000 }, (_, n) => `device-${n}`)
  const sent = devices.map(it => thermostat(it, NOW_MS))
  await send(site, sent)
  for (let round = 0; round < 20; round++) {
    const late = devices.map(it => thermostat(it, NOW_MS - 3_600_000 - round * 7_000))
    await send(site, late)
    sent.push(...late)
  }
  await settled(site)
  assert.deepEqual(Object.fromEntries(await readWindows(site.database)), Object.fromEntries(recompute(sent)))
})
