/**
 * Readings that arrive in another partition than their device's home: from producers that hash differently, or send no
 * keys.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'

import { createLogger } from 'relay-common'
import { partitionOf } from 'relay-event-log'
import type { DeviceEvent } from 'relay-rollups'

import { until } from 'relay-test-support/until.ts'
import { startProcessor } from '../src/processor.ts'
import { encode, makeEvents, openSite, send, settled, spawnProcessor, type Site } from './support/open-processor.ts'
import { readWindows, recompute } from './support/recompute.ts'

const log = createLogger('test', 'silent')

/** Sends events like producers that disagree on partitions: with their own keys, or none. */
async function sendElsewhere (site: Site, events: readonly DeviceEvent[]): Promise<void> {
  await site.producer.send(site.config.EVENTS_TOPIC, events.map((it, n) =>
    ({ key: n % 3 === 0 ? null : `${it.deviceId} hashed by ${n % 5}`, value: encode(it) })))
}

const equal = async (site: Site, events: readonly DeviceEvent[]) =>
  assert.deepEqual(Object.fromEntries(await readWindows(site.database)), Object.fromEntries(recompute(events)))

for (const kind of ['kafka', 'postgres'] as const) {
  test(`on the ${kind} log a reading that several producers send counts once, in any partitions`, async t => {
    const site = await openSite(t, kind)
    if (!site) return
    const events = makeEvents(2_000)
    await using running = new AsyncDisposableStack()
    running.adopt(await startProcessor(site.config, log), it => it.close())
    await send(site, events)
    await sendElsewhere(site, events)
    await sendElsewhere(site, events.toReversed())
    await settled(site)
    await equal(site, events)
    const rows = await site.database.query<{ device_id: string, source_partition: number }>(
      'select distinct device_id, source_partition from rollups_minute join series using (series_id) where device_id ' +
        'is not null')
    for (const { device_id: deviceId, source_partition: partition } of rows) {
      assert.equal(partition, partitionOf(Buffer.from(deviceId), 4), deviceId)
    }
  })

  test(`on the ${kind} log readings on their way home survive kill -9 and rebalances, and count once`, async t => {
    const site = await openSite(t, kind)
    if (!site) return
    const events = makeEvents(3_000)
    let processor = await spawnProcessor(t, site)
    const other = await spawnProcessor(t, site)
    for (let n = 0; n < 6; n++) {
      await send(site, events.slice(n * 500, (n + 1) * 500).filter((_, at) => at % 2 === 0))
      await sendElsewhere(site, events.slice(n * 500, (n + 1) * 500))
      await until('some of them to be on their way, or at home', async () =>
        (await site.database.query('select from misplaced_readings union all select from ' +
          'rollups_day limit 1')).length > 0)
      processor.kill('SIGKILL')
      await once(processor, 'exit')
      processor = await spawnProcessor(t, site)
    }
    await settled(site)
    await equal(site, events)
    other.kill('SIGKILL')
  })
}

test('readings resent after partitions were added count once, wherever the home of their device is', async t => {
  const site = await openSite(t, 'postgres')
  if (!site) return
  const events = makeEvents(2_000)
  await using running = new AsyncDisposableStack()
  running.adopt(await startProcessor(site.config, log), it => it.close())
  await send(site, events.slice(0, 1_500))
  await settled(site)
  await site.database.query('select add_event_log_partitions($1, 9)', [site.config.EVENTS_TOPIC])
  await until('homes to be decided again', async () => {
    await send(site, events.slice(500, 600))
    return (await site.database.query('select from homes where partitions = 9')).length > 0
  })
  await send(site, events) // from producers that know the new partitions
  await sendElsewhere(site, events)
  await settled(site)
  await equal(site, events)
})
