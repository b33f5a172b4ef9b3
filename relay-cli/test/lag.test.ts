import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createLogger } from 'relay-common'
import { startProcessor } from '../../relay-processor/src/processor.ts'
import { makeEvents, openSite, send, settled } from '../../relay-processor/test/support/open-processor.ts'
import { documents, runCli } from './support/run-cli.ts'

for (const kind of ['kafka', 'postgres'] as const) {
  test(`lag on the ${kind} log says how far the rollups are behind, and who has what`, async t => {
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

test('what is wrong is one line, and the exit code tells a wrong command line from work that failed', async t => {
  const site = (await openSite(t, 'postgres'))!
  const missing = await runCli({ ...site, environment: { ...site.environment, EVENTS_TOPIC: 'no-such-topic' } }, ['lag'])
  assert.deepEqual([missing.code, missing.stdout], [2, ''])
  assert.match(missing.stderr, /^relay: there is no topic no-such-topic .*\(RELAY_TOPIC_MISSING\)\n$/)

  const away = { ...site.environment, DATABASE_URL: 'postgres://relay:secret@127.0.0.1:1/relay' }
  const unreachable = await runCli({ ...site, environment: away }, ['lag'])
  assert.equal(unreachable.code, 2)
  assert.match(unreachable.stderr, /^relay: no connection to PostgreSQL at 127.0.0.1:1\/relay.*\n$/)
  assert.doesNotMatch(unreachable.stderr, /secret/)

  for (const args of [['lagg'], ['lag', '--nonsense'], ['verify'], ['verify', '--from', 'yesterday', '--to', '0s']]) {
    const usage = await runCli(site, args)
    assert.equal(usage.code, 64, args.join(' '))
    assert.match(usage.stderr, /error: .*\n.*--help/)
  }
  const help = await runCli(site, ['replay', '--help'])
  assert.equal(help.code, 0)
  assert.match(help.stdout, /Examples:/)
})
