/** What the API says of how far the rollups are behind the event log, whether a processor is alive or not. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'
import { createLogger } from 'relay-common'

import { startProcessor } from '../../relay-processor/src/processor.ts'
import { openSite, send, settled } from '../../relay-processor/test/support/open-processor.ts'
import { until } from '../../test-support/until.ts'
import { createApp } from '../src/app.ts'
import { readApiConfig } from '../src/config.ts'
import { unreadOf } from '../src/lag.ts'
import { TOKEN } from './support/ask.ts'

const log = createLogger('test', 'silent')
const offset = fc.bigInt({ min: 0n, max: 20n })

test('what is unread is what the log still has from where reading goes on', () => {
  fc.assert(fc.property(offset, offset, fc.option(offset), (startOffset, length, next) => {
    const endOffset = startOffset + length
    const [unread] = unreadOf({ offsets: [{ partition: 3, startOffset, endOffset }] }, new Map(next === null ? [] : [[3, next]]))
    const offsets = Array.from({ length: Number(length) }, (_, n) => startOffset + BigInt(n)).filter(it => it >= (next ?? 0n))
    assert.equal(Number(unread.endOffset - unread.offset), offsets.length)
    assert.equal(unread.offset, offsets[0] ?? endOffset)
  }))
})

for (const kind of ['postgres', 'kafka'] as const) {
  test(`lag is known in records and in seconds while no processor is alive: ${kind}`, { timeout: 180_000 }, async t => {
    const site = await openSite(t, kind)
    if (!site) return
    await using started = new AsyncDisposableStack()
    const config = readApiConfig({ ...site.environment, API_TOKENS: TOKEN })
    const app = started.adopt(await createApp(config, site.database, log), it => it.close())
    await app.ready()
    const read = async () => {
      const text = await app.metrics.metrics()
      const valuesOf = (name: string) => [...text.matchAll(new RegExp(`^${name}\\{.*\\} (\\S+)$`, 'gm'))].map(it => Number(it[1]))
      const records = valuesOf('relay_api_lag_records')
      return { partitions: records.length, records: records.reduce((sum, it) => sum + it, 0), seconds: Math.max(...valuesOf('relay_api_lag_seconds')) }
    }
    const untilLag = (records: number) => until(`a lag of ${records} records`, async () => {
      const lag = await read()
      return lag.partitions === 4 && lag.records === records
    })
    let sent = 0
    const sendSome = (count: number) => send(site, Array.from({ length: count }, () => ({
      deviceId: `d-${sent % 10}`, deviceType: 'THERMOSTAT', zone: 'Zone A', value: sent, timestampMs: Date.now() - 60_000 + sent++
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
