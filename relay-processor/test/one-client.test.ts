/** Whatever valid events one client sends, the events of all others reach the rollups with them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createLogger } from 'relay-common'
import type { DeviceEvent } from 'relay-rollups'
import { until } from 'relay-test-support/until.ts'
import { startProcessor } from '../src/processor.ts'
import { encode, openSite, settled, type Site } from './support/open-processor.ts'
import { readWindows, recompute } from './support/recompute.ts'

const startMs = Date.parse('2024-03-01T10:00:00Z')
const event = (n: number, rest: Partial<DeviceEvent> = {}): DeviceEvent => ({
  deviceId: `device-${n}`, deviceType: 'THERMOSTAT', zone: 'Zone A', value: n, timestampMs: startMs + n * 10, ...rest
})
const range = (count: number) => Array.from({ length: count }, (_, n) => n)

/** Names that arrays, statements and logs might misinterpret. */
const oddNames = [
  'null', 'NULL', '{}', '{"a","b"}', '"', '\\', '\\"', "'", "';drop table series;--", ',', ' a', '$1', '%', '_',
  '\ufffd', 'x\ufeff',
  'x\u2028', 'é', 'e\u0301', '🌡', 'a'.repeat(128), '語'.repeat(128), '🌡'.repeat(64), '-0', '1e999', '__proto__',
  'constructor'
]

const cases: Readonly<Record<string, readonly DeviceEvent[]>> = {
  'names of all kinds, as device and as zone': oddNames.flatMap((name, n) => [
    event(n, { deviceId: name }), event(n, { deviceId: name, zone: name }), event(n, { zone: name })
  ]),
  'three thousand zones in a flush': range(3_000).map(n => event(n, { zone: `${n}${'語'.repeat(120)}` })),
  'one device in two thousand zones': range(2_000).map(n => event(n, { deviceId: 'device', zone: `Zone ${n}` })),
  'late readings and resends of one hour, again and again': range(1_500).flatMap(n => [
    event(0, { value: n % 7, timestampMs: startMs - 7_200_000 + n % 100 }),
    event(n % 3, { timestampMs: startMs + n * 1_000 })
  ]),
  'the largest and smallest values': [
    Number.MAX_VALUE, -Number.MAX_VALUE, Number.MIN_VALUE, 0, 5e-324, 1.7976931348623157e308
  ]
    .flatMap((value, n) => [event(n, { value }), event(1, { value, timestampMs: startMs + n })])
}

for (const [what, events] of Object.entries(cases)) {
  test(`${what}: everything counts, and nobody else waits`, async t => {
    const site: Site = (await openSite(t, 'postgres'))!
    await using opened = new AsyncDisposableStack()
    const processor = opened.adopt(await startProcessor(site.config, createLogger('test', 'silent')), it => it.close())
    const honest = range(50).map(n => event(n, { deviceId: `honest-${n % 5}`, zone: 'Honest zone' }))
    // meaningless keys: events of one device arrive in several partitions; duplicates in the same one
    const records = [...events, ...honest].map(it => ({ key: `key-${it.timestampMs % 97}`, value: encode(it) }))
    for (let n = 0; n < records.length; n += 1_000) {
      await site.producer.send(site.config.EVENTS_TOPIC, records.slice(n, n + 1_000))
    }
    await settled(site)
    await until('it to be ready', async () =>
      (await fetch(`http://127.0.0.1:${processor.healthPort}/readyz`)).status === 200)
    assert.deepEqual(await site.database.query('select key, value, headers from dead_letters'), [])
    const [windows, expected] = [await readWindows(site.database), recompute([...events, ...honest])]
    assert.equal(windows.size, expected.size)
    for (const [name, bytes] of expected) assert.equal(windows.get(name), bytes, name)
  })
}
