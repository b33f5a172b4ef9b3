import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createLogger } from 'relay-common'
import type { DeviceEvent } from 'relay-rollups'

import { startProcessor } from '../../relay-processor/src/processor.ts'
import { encode, openSite, send, settled } from '../../relay-processor/test/support/open-processor.ts'
import { documents, runCli } from './support/run-cli.ts'

test('a device is traced for a while, listed, and no longer traced when that is over', async t => {
  const site = (await openSite(t, 'postgres'))!
  const traced = await runCli(site, ['trace', 'device', 'thermostat-ü', '--for', '1h', '--json'])
  const [{ deviceId, until }] = documents(traced)
  assert.equal(deviceId, 'thermostat-ü')
  assert.ok(Math.abs(Date.parse(until) - Date.now() - 3_600_000) < 600_000)
  const listed = async () => documents(await runCli(site, ['trace', 'list', '--json']))[0].map((it: any) => it.deviceId)
  assert.deepEqual(await listed(), ['thermostat-ü'])
  assert.equal((await runCli(site, ['trace', 'device', 'thermostat-ü', '--for', '0s'])).code, 0)
  assert.deepEqual(await listed(), [])
  for (const wrong of [['a\u001b[2J'], ['thermostat-1', '--for', '25h'], ['thermostat-1', '--for', 'ever']]) {
    assert.equal((await runCli(site, ['trace', 'device', ...wrong])).code, 64, wrong.join(' '))
  }
})

for (const kind of ['kafka', 'postgres'] as const) {
  test(`what became of each event of a device is reported, with the ${kind} log`, async t => {
    const site = await openSite(t, kind)
    if (!site) return
    const { EVENTS_TOPIC: topic } = site.config
    const nowMs = Math.floor(Date.now() / 1000) * 1000
    const eventAt = (agoS: number, value: number): DeviceEvent =>
      ({ deviceId: 'probe "ü"', deviceType: 'THERMOSTAT', zone: 'Zone A', value, timestampMs: nowMs - agoS * 1000 })
    const fates = async (...args: string[]) => {
      const answer = await runCli(site, ['trace', 'event', 'probe "ü"', '--json', ...args])
      return { code: answer.code, events: documents(answer).map(it => [it.event?.value ?? 'unreadable', it.fate]) }
    }
    assert.deepEqual(await fates(), { code: 1, events: [] })

    const processor = await startProcessor(site.config, createLogger('test', 'silent'))
    const [first, second] = [eventAt(3, 1), eventAt(2, 2)]
    await send(site, [first, { ...second, deviceId: 'probe' }, second])
    await site.producer.send(topic, [{ key: 'another partitioner', value: encode(first) }])
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    await site.producer.send(topic, [
      { key: 'probe "ü"', value: '{' },
      {
        key: 'probe "ü"',
        value: encode({ ...first, timestampMs: nowMs + 86_400_000, value: 3 }),
        headers: { traceparent }
      }
    ])
    await settled(site)
    await processor.close()
    await send(site, [eventAt(1, 4)])

    const all = await fates()
    const wanted = [
      [1, 'counted'], [1, 'duplicate'], [2, 'counted'], [3, 'dead-letter'], [4, 'waiting'],
      ['unreadable', 'dead-letter']
    ]
    assert.deepEqual([all.code, all.events.toSorted()], [0, wanted])
    const at = await fates('--at', new Date(second.timestampMs).toISOString())
    assert.deepEqual(at.events.toSorted(), [[2, 'counted'], ['unreadable', 'dead-letter']])
    const people = await runCli(site, ['trace', 'event', 'probe "ü"'])
    assert.match(people.stdout, /0af7651916cd43dd8448eb211c80319c {2}dead-letter {2}\d:\d+, timestamp-future/)
    assert.match(people.stdout, /6 events/)

    for (const table of ['journal', 'rollups_minute']) await site.database.query(`delete from ${table}`)
    const lost = await fates('--at', new Date(second.timestampMs).toISOString())
    assert.deepEqual([lost.code, lost.events.toSorted()], [1, [[2, 'missing'], ['unreadable', 'dead-letter']]])
  })
}
