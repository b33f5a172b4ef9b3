import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createLogger } from 'relay-common'
import { startProcessor } from '../../relay-processor/src/processor.ts'
import { makeEvents, openSite, send, settled } from '../../relay-processor/test/support/open-processor.ts'
import { readWindows, recompute } from '../../relay-processor/test/support/recompute.ts'
import { documents, runCli } from './support/run-cli.ts'

const log = createLogger('test', 'silent')

for (const kind of ['kafka', 'postgres'] as const) {
  test(`dead letters on the ${kind} log are listed, shown, and sent again once they are valid`, async t => {
    const site = await openSite(t, kind)
    if (!site) return
    const events = makeEvents(20)
    const toasters = makeEvents(5, 9).map(it => ({ ...it, deviceType: 'TOASTER' }))
    const first = await startProcessor(site.config, log)
    await send(site, events)
    await send(site, toasters)
    await site.producer.send(
      site.config.EVENTS_TOPIC, [{ key: 'broken', value: '{"deviceId":\u001b[31m' }, { key: 'gone', value: null }]
    )
    await settled(site)
    await first.close()

    const all = documents(await runCli(site, ['dead-letters', 'list', '--json']))
    assert.equal(all.length, 7)
    const list = async (...args: string[]) => documents(await runCli(site, ['dead-letters', 'list', '--json', ...args]))
    assert.deepEqual(
      (await list('--reason', 'not-json', '--reason', 'record-empty')).map(it => it.device).sort(), ['broken', 'gone']
    )
    assert.equal((await list('--device', 'broken')).length, 1)
    const time = (it: { time: string }) => it.time
    assert.deepEqual(all.map(time), all.map(time).sort(), 'the newest come last')
    assert.deepEqual(await list('--limit', '3'), all.slice(-3), 'and those are shown')
    assert.equal((await list('--until', '2024-01-01')).length, 0)
    assert.equal((await list('--since', '1h')).length, 7)
    const [{ sourcePartition }] = all
    assert.deepEqual(
      await list('--source-partition', String(sourcePartition)),
      all.filter(it => it.sourcePartition === sourcePartition)
    )
    const table = await runCli(site, ['dead-letters', 'list', '--limit', '3'])
    assert.match(table.stdout, /4 older letters are not shown/)

    const broken = all.find(it => it.device === 'broken')!
    const shown = await runCli(site, ['dead-letters', 'show', broken.letter])
    assert.match(shown.stdout, /reason +not-json/)
    assert.ok(!shown.stdout.includes('\u001b'), 'a terminal is not told what a device likes')
    assert.equal(
      (await runCli(site, ['dead-letters', 'show', broken.letter, '--raw'])).stdout, '{"deviceId":\u001b[31m'
    )
    assert.equal((await runCli(site, ['dead-letters', 'show', '0:999'])).code, 2)

    const endOf = async () => (await site.eventLog.readOffsets(site.config.EVENTS_TOPIC)).reduce(
      (sum, it) => sum + it.endOffset, 0n
    )
    const before = await endOf()
    const dry = await runCli(site, ['dead-letters', 'replay', '--reason', 'device-type-unknown'])
    assert.match(dry.stdout, /^to send to \S+ again: 5 letters$/m)
    assert.equal(await endOf(), before, 'a dry run sends nothing')

    const sent = await runCli(site, ['dead-letters', 'replay', '--reason', 'device-type-unknown', '--yes'])
    assert.match(sent.stdout, /^sent to \S+ again: 5 letters$/m)
    assert.equal(await endOf(), before + 5n)
    assert.ok((await list('--reason', 'device-type-unknown')).every(it => it.replayedAt !== null))
    assert.ok((await list('--reason', 'not-json')).every(it => it.replayedAt === null))
    const again = await runCli(site, ['dead-letters', 'replay', '--reason', 'device-type-unknown', '--yes'])
    assert.match(again.stdout, /^sent to \S+ again: 0 letters\nskipped 5 replayed before/)
    assert.equal(await endOf(), before + 5n)

    const second = await startProcessor({ ...site.config, DEVICE_TYPES: `${site.config.DEVICE_TYPES},TOASTER` }, log)
    await settled(site)
    await second.close()
    assert.deepEqual(
      Object.fromEntries(await readWindows(site.database)), Object.fromEntries(recompute([...events, ...toasters]))
    )
  })
}

test('more letters than fit in memory are listed too: each once, in order, with its state', async t => {
  const site = (await openSite(t, 'postgres'))!
  const processor = await startProcessor(site.config, log)
  for (let n = 0; n < 30; n++) { // 21 MB
    await site.producer.send(
      site.config.EVENTS_TOPIC, [{ key: 'one-device', value: `{"n":${n},"no end":"${'x'.repeat(700_000)}` }]
    )
  }
  await settled(site)
  await processor.close()
  const list = async () => documents(await runCli(site, ['dead-letters', 'list', '--json'])).map(
    it => [Number(it.sourceOffset), it.replayedAt !== null]
  )
  const all = Array.from({ length: 30 }, (_, n) => n)
  assert.deepEqual(await list(), all.map(n => [n, false]))
  assert.equal((await runCli(site, ['dead-letters', 'replay', '--limit', '29', '--yes'])).code, 0)
  assert.deepEqual(await list(), all.map(n => [n, n < 29]))
})
