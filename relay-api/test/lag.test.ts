/** The lag of the rollups according to the API, with a running processor or without. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'
import { createLogger } from 'relay-common'

import { startProcessor } from '../../relay-processor/src/processor.ts'
import { openSite, send, settled, type Site } from '../../relay-processor/test/support/open-processor.ts'
import { openTimedSite } from '../../relay-processor/test/support/times-of-events.ts'
import { until } from 'relay-test-support/until.ts'
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

/** What a reader of ends sees: ends of partitions, which move back if a leader lost records, and questions. */
const steps = fc.array(fc.record({
  partition: fc.nat({ max: 2 }),
  end: fc.bigInt({ min: 0n, max: 30n }),
  read: fc.bigInt({ min: 0n, max: 5n }),
  waitMs: fc.nat({ max: 3 })
}), { maxLength: 80 })

/** Compares bounds with those of a plain list of everything that was observed. */
function checkBounds (all: Array<{ partition: number, end: bigint, read: bigint, waitMs: number }>, endsMax: number,
  check: (bound: number, plain: number, times: readonly number[]) => void): void {
  const seen = new SeenEnds(endsMax)
  const observed: Array<{ partition: number, end: bigint, atMs: number }> = []
  const next = new Map<number, bigint>()
  let atMs = 0
  for (const { partition, end, read, waitMs } of all) {
    atMs += waitMs
    seen.note(partition, end, atMs)
    observed.push({ partition, end, atMs })
    const offset = (next.get(partition) ?? 0n) + read
    next.set(partition, offset)
    const times = observed.filter(it => it.partition === partition && it.end <= offset).map(it => it.atMs)
    check(seen.notBeforeMs(partition, offset), Math.max(-Infinity, ...times), times)
  }
}

test('observed ends give the latest time at which each record was not there', () => {
  fc.assert(fc.property(steps, all => checkBounds(all, 100, (bound, plain) => assert.equal(bound, plain))))
})

test('if few of the observed ends are kept, the time is that of an earlier one, and never a later time', () => {
  fc.assert(fc.property(steps, fc.integer({ min: 1, max: 8 }), (all, endsMax) => {
    checkBounds(all, endsMax, (bound, plain, times) => {
      assert.ok(bound === plain || (bound < plain && [-Infinity, ...times].includes(bound)), `${bound} for ${plain}`)
    })
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
