import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createLogger } from 'relay-common'
import { startProcessor } from '../../relay-processor/src/processor.ts'
import { makeEvents, openSite, send, settled } from '../../relay-processor/test/support/open-processor.ts'
import { documents, runCli } from './support/run-cli.ts'

for (const kind of ['kafka', 'postgres'] as const) {
  test(`lag on the ${kind} log shows how far the rollups lag, and the owners`, async t => {
    const site = await openSite(t, kind)
    if (!site) return
    const early = await runCli(site, ['lag'])
    assert.equal(early.code, 0, early.stderr)
    assert.match(early.stdout, /nobody/)

    const processor = await startProcessor(site.config, createLogger('test', 'silent'))
    await send(site, makeEvents(100))
    await settled(site)
    await processor.close()
    await send(site, makeEvents(30, 2))

    const run = await runCli(site, ['lag', '--json'])
    assert.equal(run.code, 0, run.stderr)
    const [{ lag, partitions }] = documents(run)
    assert.equal(lag, '30')
    const offsets = await site.eventLog.readOffsets(site.config.EVENTS_TOPIC)
    assert.deepEqual(partitions.map((it: any) => it.endOffset), offsets.map(it => String(it.endOffset)))
    for (const { processedOffset, endOffset, lag, owner, flushAgeMs } of partitions) {
      assert.equal(BigInt(endOffset) - BigInt(processedOffset), BigInt(lag))
      assert.match(owner, new RegExp(`:${process.pid}$`))
      assert.ok(flushAgeMs >= 0 && flushAgeMs < 600_000)
    }
    assert.equal((await runCli(site, ['lag', '--max', '0'])).code, 1)
    assert.equal((await runCli(site, ['lag', '--max', '30'])).code, 0)
  })
}
