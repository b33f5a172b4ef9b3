/** A processor with several threads looks like one processor. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createLogger, RelayError } from 'relay-common'
import { until } from 'relay-test-support/until.ts'
import { startProcessor, type Processor } from '../src/processor.ts'
import { makeEvents, openSite, send, settled, type Site } from './support/open-processor.ts'

const log = createLogger('test', 'silent')
const THREADS = { JOURNAL_INTERVAL_S: '0', PROCESSOR_THREADS: '2' }

/** @param opened closes the processor in any case, because the database waits for its connections */
async function start (opened: AsyncDisposableStack, site: Site): Promise<Processor> {
  return opened.adopt(await startProcessor(site.config, log), it => it.close().catch(() => {}))
}

const ask = async ({ healthPort }: Processor, path: string) => await fetch(`http://127.0.0.1:${healthPort}${path}`)

test('its metrics are the sums over its threads, and those of the process', async t => {
  const site = (await openSite(t, 'postgres', THREADS))!
  await using opened = new AsyncDisposableStack()
  const processor = await start(opened, site)
  await send(site, makeEvents(1_000))
  await settled(site)
  const metrics = await (await ask(processor, '/metrics')).text()
  const valueOf = (name: string) =>
    Number(new RegExp(`^${name}\\{program="relay-processor"\\} (.*)$`, 'm').exec(metrics)?.[1])
  assert.equal(valueOf('relay_readings_total') + valueOf('relay_duplicates_total'), 1_000)
  assert.ok(valueOf('process_resident_memory_bytes') > 0)
  for (const partition of [0, 1, 2, 3]) {
    assert.match(metrics, new RegExp(`^relay_lag_records\\{.*partition="${partition}".*\\} 0$`, 'm'))
  }
})

test('it is not ready while one of its threads can\'t write', async t => {
  const site = (await openSite(t, 'postgres', THREADS))!
  await using opened = new AsyncDisposableStack()
  const processor = await start(opened, site)
  assert.equal((await ask(processor, '/readyz')).status, 200)
  await site.database.query(`
    create function no_room () returns trigger language plpgsql as $$
    begin raise exception 'could not extend file: No space left on device' using errcode = 'disk_full'; end $$`)
  await site.database.query(
    'create trigger no_room before insert on rollups_hour for each row execute function no_room()'
  )
  await send(site, makeEvents(100).map(it => ({ ...it, deviceId: 'of-one-partition' })))
  await until('it to say that it is not ready', async () => (await ask(processor, '/readyz')).status === 503)
  assert.match(await (await ask(processor, '/readyz')).text(), /No space left on device/)
  await site.database.query('drop trigger no_room on rollups_hour')
  await settled(site)
  await until('it to be ready again', async () => (await ask(processor, '/readyz')).status === 200)
})

test('a failing thread ends the processor, with its error', async t => {
  for (const deviceId of ['device-0', 'device-1', 'device-2', 'device-3']) { // some of each thread
    const site = (await openSite(t, 'postgres', THREADS))!
    const events = makeEvents(60).map(it => ({ ...it, deviceId }))
    await send(site, events.slice(0, 20))
    const first = await startProcessor(site.config, log)
    await settled(site)
    await first.close()
    await send(site, events.slice(20))
    await site.database.query('update event_log_partitions set start_offset = 40 where next_offset > 40')
    await using opened = new AsyncDisposableStack()
    const processor = await start(opened, site)
    await assert.rejects(
      processor.done, (error: unknown) => error instanceof RelayError && error.code === 'RELAY_OFFSET_GAP'
    )
  }
})
