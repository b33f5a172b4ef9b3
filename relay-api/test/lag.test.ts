/** The lag of the rollups according to the API, with a running processor or without. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'
import { createLogger } from 'relay-common'

import { startProcessor } from '../../relay-processor/src/processor.ts'
import { openSite, send, settled, type Site } from '../../relay-processor/test/support/open-processor.ts'
import { openTimedSite } from '../../relay-processor/test/support/times-of-events.ts'
import { until } from '../../test-support/until.ts'
import { createApp } from '../src/app.ts'
import { readApiConfig } from '../src/config.ts'
import { SeenEnds, unreadOf } from '../src/lag.ts'
import { TOKEN } from './support/ask.ts'

const log = createLogger('test', 'silent')
const offset = fc.bigInt({ min: 0n, max: 20n })

test('unread records are those in the log from the next offset', () => {
  fc.assert(fc.property(offset, offset, fc.option(offset), (startOffset, length, next) => {
    const endOffset = startOffset + length
    const [unread] = unreadOf(
      { offsets: [{ partition: 3, startOffset, endOffset }] }, new Map(next === null ? [] : [[3, next]])
    )
    const offsets = Array.from({ length: Number(length) }, (_, n) =>
      startOffset + BigInt(n)).filter(it => it >= (next ?? 0n))
    assert.equal(Number(unread.endOffset - unread.offset), offsets.length)
    assert.equal(unread.offset, offsets[0] ?? endOffset)
  }))
})

/** Starts an API, and reads its lag. */
async function openApi (site: Site, started: AsyncDisposableStack) {
  const config = readApiConfig({ ...site.environment, API_TOKENS: TOKEN })
  const app = started.adopt(await createApp(config, site.database, log), it => it.close())
  await app.ready()
  const read = async () => {
    const text = await app.metrics.metrics()
    const valuesOf = (name: string) => [...text.matchAll(new RegExp(`^${name}\\{.*\\} (\\S+)$`, 'gm'))].map(it =>
      Number(it[1]))
    const records = valuesOf('relay_api_lag_records')
    return {
      partitions: records.length,
      records: records.reduce((sum, it) => sum + it, 0),
      seconds: Math.max(...valuesOf('relay_api_lag_seconds'))
    }
  }
  const untilLag = (records: number) => until(`a lag of ${records} records`, async () => {
    const lag = await read()
    return lag.partitions === 4 && lag.records === records
  })
  return { read, untilLag }
}

test('observed ends give the latest time at which each record was not there, as far as stored', () => {
  const steps = fc.array(fc.tuple(fc.bigInt({ min: 0n, max: 3n }), fc.bigInt({ min: 0n, max: 4n })), { maxLength: 40 })
  fc.assert(fc.property(steps, all => {
    const seen = new SeenEnds()
    const ends: [bigint, number][] = []
    let [end, offset] = [0n, 0n]
    for (const [n, [more, read]] of all.entries()) {
      end += more
      seen.note(1, end, n)
      ends.push([end, n])
      offset = offset + read < end ? offset + read : end
      const times = ends.filter(it => it[0] <= offset).map(it => it[1])
      assert.equal(seen.notBeforeMs(1, offset), Math.max(-Infinity, ...times))
    }
  }))
  const seen = new SeenEnds()
  for (let n = 0; n < 100_000; n++) seen.note(1, BigInt(n), n)
  const bound = seen.notBeforeMs(1, 99_000n)
  assert.ok(bound <= 99_000 && bound > 90_000, String(bound))
})

test('lag is measured by the time in the log, whatever time producers give their records', { timeout: 180_000 }, async t => {
  const site = await openTimedSite(t)
  if (!site) return
  await using started = new AsyncDisposableStack()
  const { read, untilLag } = await openApi(site, started)
  await untilLag(0)
  const beforeMs = Date.now()
  await site.sendAt(1_000n, Array.from({ length: 20 }, (_, n) =>
    ({ deviceId: `d-${n}`, deviceType: 'THERMOSTAT', zone: 'Zone A', value: n, timestampMs: beforeMs - 60_000 })))
  await untilLag(20)
  assert.ok((await read()).seconds < 3_600)
})

for (const kind of ['postgres', 'kafka'] as const) {
  test(`lag is known in records and seconds while no processor runs: ${kind}`, { timeout: 180_000 }, async t => {
    const site = await openSite(t, kind)
    if (!site) return
    await using started = new AsyncDisposableStack()
    const { read, untilLag } = await openApi(site, started)
    let sent = 0
    const sendSome = (count: number) => send(site, Array.from({ length: count }, () => ({
      deviceId: `d-${sent % 10}`,
      deviceType: 'THERMOSTAT',
      zone: 'Zone A',
      value: sent,
      timestampMs: Date.now() - 60_000 + sent++
    })))

    await untilLag(0)
    assert.equal((await read()).seconds, 0)
    const beforeMs = Date.now()
    await sendSome(30)
    await untilLag(30)
    const { seconds } = await read()
    assert.ok(seconds <= (Date.now() - beforeMs) / 1000)
    await sendSome(5)
    await untilLag(35)
    await until('the oldest of them to be older', async () => (await read()).seconds > seconds)

    const processor = await startProcessor(site.config, log)
    await settled(site)
    await untilLag(0)
    assert.equal((await read()).seconds, 0)
    await processor.close()
    await sendSome(7)
    await untilLag(7)
    assert.ok((await read()).seconds > 0)
  })
}
