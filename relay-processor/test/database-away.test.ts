/** PostgreSQL becomes unreachable during work, and returns. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createLogger } from 'relay-common'
import { startProcessor } from '../src/processor.ts'
import { until } from 'relay-test-support/until.ts'
import { makeEvents, openSite, send, settled } from './support/open-processor.ts'
import { readWindows, recompute } from './support/recompute.ts'

test('connections that are cut repeatedly only cost time', async t => {
  const site = await openSite(t, 'kafka')
  if (!site) return
  const events = makeEvents(10_000, 3)
  const processor = await startProcessor(site.config, createLogger('test', 'silent'))
  for (let n = 0; n < 10; n++) {
    await send(site, events.slice(n * 1_000, (n + 1) * 1_000))
    // at any moment of the processor: a statement, a COPY, or a COMMIT
    await site.database.query(`
      select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and application_name = 'relay-processor'`)
  }
  await settled(site)
  await processor.close()
  assert.deepEqual(Object.fromEntries(await readWindows(site.database)), Object.fromEntries(recompute(events)))
})

test('a read-only database pauses the line, /readyz reports it, and the line resumes by itself', async t => {
  const site = await openSite(t, 'kafka')
  if (!site) return
  const events = makeEvents(2_000, 5)
  const processor = await startProcessor(site.config, createLogger('test', 'silent'))
  const readiness = async () => await (await fetch(`http://127.0.0.1:${processor.healthPort}/readyz`)).json() as {
    status: string, faults?: Record<string, string>
  }
  await send(site, events.slice(0, 1_000))
  await settled(site)
  assert.equal((await readiness()).status, 'ready')

  const [{ name }] = await site.database.query<{ name: string }>('select current_database() as name')
  const readOnly = async (value: boolean) => {
    await site.database.query(`alter database ${name} set default_transaction_read_only = ${value}`)
    // sessions apply the setting at their start
    await site.database.query(`
      select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and application_name = 'relay-processor'`)
  }
  await readOnly(true)
  await send(site, events.slice(1_000))
  await until('the processor to notice', async () => /read-only/.test((await readiness()).faults?.rollups ?? ''))
  await site.database.query('set default_transaction_read_only = off')
  await readOnly(false)
  await settled(site)
  await until('the processor to be ready again', async () => (await readiness()).status === 'ready')
  await processor.close()
  assert.deepEqual(Object.fromEntries(await readWindows(site.database)), Object.fromEntries(recompute(events)))
})
