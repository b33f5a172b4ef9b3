import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { createLogger } from 'relay-common'
import { startProcessor } from '../src/processor.ts'
import { makeEvents, openSite, send, settled, spawnProcessor } from './support/open-processor.ts'
import { readWindows, recompute } from './support/recompute.ts'

const log = createLogger('test', 'silent')

const variants = [
  { kind: 'kafka', threads: '1' }, { kind: 'kafka', threads: '3' },
  { kind: 'postgres', threads: '1' }, { kind: 'postgres', threads: '2' }
] as const

for (const { kind, threads } of variants) {
  const settings = { PROCESSOR_THREADS: threads }
  describe(`the processor on the ${kind} log, threads: ${threads}`, () => {
    test('every window equals a straightforward computation, over several processors and a restart', async t => {
      const site = await openSite(t, kind, settings)
      if (!site) return
      const events = makeEvents(4_000)
      const first = await startProcessor(site.config, log)
      await send(site, events.slice(0, 1_500))
      await settled(site)
      const second = await startProcessor(site.config, log)
      await send(site, events.slice(1_500, 3_000))
      await first.close()
      await send(site, events.slice(3_000))
      await settled(site)
      await second.close()
      assert.deepEqual(Object.fromEntries(await readWindows(site.database)), Object.fromEntries(recompute(events)))
    })

    test('a killed processor loses nothing and counts nothing twice', async t => {
      const site = await openSite(t, kind, settings)
      if (!site) return
      const events = makeEvents(20_000, 7)
      const batches = Array.from({ length: 20 }, (_, n) => events.slice(n * 1_000, (n + 1) * 1_000))
      let processor = await spawnProcessor(t, site)
      for (const [n, batch] of batches.entries()) {
        await send(site, batch)
        if (n % 6 === 3) {
          processor.kill('SIGKILL')
          processor = await spawnProcessor(t, site)
        }
      }
      await settled(site)
      assert.deepEqual(Object.fromEntries(await readWindows(site.database)), Object.fromEntries(recompute(events)))
    })

    test('SIGTERM ends a busy processor with exit code 0, and its readings are written or read again', async t => {
      const site = await openSite(t, kind, settings)
      if (!site) return
      const processor = await spawnProcessor(t, site, { FLUSH_INTERVAL_MS: '3000', FLUSH_INTERVAL_MAX_MS: '3000' })
      const events = makeEvents(3_000)
      await send(site, events.slice(0, 1_500))
      await settled(site)
      await send(site, events.slice(1_500))
      const exit = new Promise<number | null>(resolve => processor.once('exit', resolve))
      processor.kill('SIGTERM')
      assert.equal(await exit, 0)

      const again = await startProcessor(site.config, log)
      await settled(site)
      await again.close()
      assert.deepEqual(Object.fromEntries(await readWindows(site.database)), Object.fromEntries(recompute(events)))
    })
  })
}
