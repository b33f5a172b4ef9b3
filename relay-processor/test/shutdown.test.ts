/** SIGTERM ends a processor within 5 s, in any state; it reports what could not be written. */
import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { test, type TestContext } from 'node:test'

import { createLogger } from 'relay-common'
import { openTcpProxy } from 'relay-test-support/tcp-proxy.ts'
import { until } from 'relay-test-support/until.ts'
import { startProcessor } from '../src/processor.ts'
import { makeEvents, openSite, send, settled, spawnProcessor, type Site } from './support/open-processor.ts'
import { readWindows, recompute } from './support/recompute.ts'

const LEAVES_WITHIN_MS = 5_000

/** @returns its exit code */
async function terminate (processor: ChildProcess): Promise<number | null> {
  const signalledMs = performance.now()
  const exit = once(processor, 'exit')
  processor.kill('SIGTERM')
  const [code] = await exit
  const tookMs = performance.now() - signalledMs
  assert.ok(tookMs < LEAVES_WITHIN_MS, `it left after ${Math.round(tookMs)} ms`)
  return code
}

test('during a backlog it writes what it holds, and the next one continues from there', async t => {
  const site = await openSite(t, 'kafka')
  if (!site) return
  const events = makeEvents(60_000)
  for (let at = 0; at < events.length; at += 5_000) await send(site, events.slice(at, at + 5_000))
  // a flush per 20,000 readings: there is always more in memory
  const settings = { FLUSH_INTERVAL_MS: '60000', FLUSH_INTERVAL_MAX_MS: '60000', FLUSH_READINGS_MAX: '20000' }
  const processor = await spawnProcessor(t, site, settings)
  await until('a first flush', async () =>
    (await site.database.query('select 1 from progress where next_offset > 0')).length > 0)
  assert.equal(await terminate(processor), 0)

  const again = await startProcessor(site.config, createLogger('test', 'silent'))
  await settled(site)
  await again.close()
  assert.deepEqual(Object.fromEntries(await readWindows(site.database)), Object.fromEntries(recompute(events)))
})

/** A connection to the database that can be cut. */
async function openDatabaseProxy (t: TestContext, site: Site) {
  const url = new URL(site.config.DATABASE_URL!)
  const proxy = await openTcpProxy(Number(url.port))
  t.after(() => proxy.close())
  url.hostname = '127.0.0.1'
  url.port = String(proxy.port)
  return { proxy, url: url.href }
}

/** A processor whose log is read. */
async function spawnHeard (t: TestContext, site: Site, databaseUrl: string) {
  const processor = await spawnProcessor(t, site, { DATABASE_URL: databaseUrl, LOG_LEVEL: 'info' })
  const output: string[] = []
  processor.stdout!.on('data', chunk => output.push(String(chunk)))
  return { processor, output }
}

for (const away of ['refuses connections', 'says nothing any more'] as const) {
  test(`while the database ${away} it ends in time and reports unfinished work, and nothing is lost`, async t => {
    const site = await openSite(t, 'kafka')
    if (!site) return
    const { proxy, url } = await openDatabaseProxy(t, site)
    const { processor, output } = await spawnHeard(t, site, url)
    const events = makeEvents(2_000)
    await send(site, events.slice(0, 1_000))
    await settled(site)

    if (away === 'refuses connections') {
      proxy.isRefusing = true
      proxy.cut()
    } else {
      proxy.delayMs = 3_600_000
    }
    const before = proxy.requestedBytes
    await send(site, events.slice(1_000))
    await until('it to write the rest', () => proxy.requestedBytes > before || away === 'refuses connections')
    if (away === 'refuses connections') await until('it to notice', () => output.join('').includes(' failed'))
    assert.equal(await terminate(processor), 1)
    assert.match(output.join(''), /RELAY_FLUSH_UNFINISHED/)

    const again = await startProcessor(site.config, createLogger('test', 'silent'))
    await settled(site)
    await again.close()
    assert.deepEqual(Object.fromEntries(await readWindows(site.database)), Object.fromEntries(recompute(events)))
  })
}

test('while the database lets it claim nothing it ends at once, because it holds nothing', async t => {
  const site = await openSite(t, 'kafka')
  if (!site) return
  const { proxy, url } = await openDatabaseProxy(t, site)
  const other = await spawnProcessor(t, site)
  const { processor, output } = await spawnHeard(t, site, url)
  const events = makeEvents(1_000)
  await send(site, events)
  await settled(site)

  proxy.isRefusing = true
  proxy.cut()
  assert.equal(await terminate(other), 0) // its partitions go to the one that can't claim them
  await until('it to try', () => output.join('').includes('claiming a partition failed'))
  assert.equal(await terminate(processor), 0)
  assert.doesNotMatch(output.join(''), /RELAY_FLUSH_UNFINISHED/)
})
