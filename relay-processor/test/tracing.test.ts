/** Traces of flushes, from records with a `traceparent`, on both event logs. */
import assert from 'node:assert/strict'
import { describe, test, type TestContext } from 'node:test'

import { createLogger, formatTraceparent } from 'relay-common'
import type { DeviceEvent } from 'relay-rollups'
import { openOtlpReceiver, type ReceivedSpan } from 'relay-test-support/otlp-receiver.ts'
import { until } from 'relay-test-support/until.ts'
import { startProcessor } from '../src/processor.ts'
import { killBeforeCommit } from './support/kill-before-commit.ts'
import { encode, openSite, send, settled, spawnProcessor, type Site } from './support/open-processor.ts'
import { readWindows, recompute } from './support/recompute.ts'

const contextOf = (n: number) =>
  ({ traceId: n.toString(16).padStart(32, '0'), spanId: n.toString(16).padStart(16, '0') })

function eventOf (n: number): DeviceEvent {
  const timestampMs = Date.parse('2024-03-05T10:00:00Z') + n * 1_000
  return { deviceId: `device-${n % 5}`, deviceType: 'THERMOSTAT', zone: 'Zone A', value: n, timestampMs }
}

/** Sends an event with the trace of its number. */
async function sendTraced (site: Site, event: DeviceEvent, n: number, flags = '01'): Promise<void> {
  const traceparent = formatTraceparent(contextOf(n)).replace(/01$/, flags)
  await site.producer.send(site.config.EVENTS_TOPIC,
    [{ key: event.deviceId, value: encode(event), headers: { other: 'ä', traceparent } }])
}

const linkedTo = (spans: readonly ReceivedSpan[], n: number) =>
  spans.filter(it => it.name === 'flush' && it.links.some(link => link.traceId === contextOf(n).traceId))

async function openTracedSite (t: TestContext, kind: 'postgres' | 'kafka', settings: Record<string, string> = {}) {
  const receiver = await openOtlpReceiver(t)
  const site = await openSite(t, kind, { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, ...settings })
  return site && { site, spans: receiver.spans, receiver }
}

for (const kind of ['postgres', 'kafka'] as const) {
  describe(`with an event log in ${kind}`, () => {
    test('a flush links to the traced records in it, with its steps as children', async t => {
      const traced = await openTracedSite(t, kind)
      if (!traced) return
      const { site, spans } = traced
      await using processor = disposable(await startProcessor(site.config, createLogger('test', 'silent')))
      const events = [1, 2, 3, 4].map(eventOf)
      await send(site, [events[0]])
      await sendTraced(site, events[1], 2)
      await sendTraced(site, events[2], 3, '00')
      await send(site, [events[3]])
      await settled(site)
      await until('the flush to be exported', () => linkedTo(spans, 2).length > 0)

      const [flush] = linkedTo(spans, 2)
      assert.equal(flush.parentSpanId, '')
      assert.equal(linkedTo(spans, 3).length, 0) // it is not sampled
      const [link] = flush.links
      assert.equal(link.spanId, contextOf(2).spanId)
      assert.match(String(link.attributes['relay.offset']), /^\d+$/)
      const steps = () => spans.filter(it => it.parentSpanId === flush.spanId)
      await until('its steps to be exported', () => steps().length >= 4)
      assert.deepEqual(steps().map(it => it.name).sort(), ['COMMIT', 'COPY', 'read back', 'settle'])
      assert.ok(steps().every(it => it.traceId === flush.traceId && it.error === undefined))
      assert.equal((await site.database.query('select from traced_flushes')).length, linkedTo(spans, 2).length)
      await processor[Symbol.asyncDispose]()
      assert.deepEqual(Object.fromEntries(await readWindows(site.database)), Object.fromEntries(recompute(events)))
    })

    test('each dead letter is a span, and carries its trace', async t => {
      const traced = await openTracedSite(t, kind)
      if (!traced) return
      const { site, spans } = traced
      await using opened = new AsyncDisposableStack()
      opened.adopt(await startProcessor(site.config, createLogger('test', 'silent')), it => it.close())
      await site.producer.send(site.config.EVENTS_TOPIC, [
        { key: 'a', value: 'no json' },
        { key: 'b', value: '{}', headers: { traceparent: formatTraceparent(contextOf(9)) } }
      ])
      await settled(site)
      const letters = () => spans.filter(it => it.name === 'dead letter')
      await until('both letters to be exported', () => letters().length >= 2)
      assert.deepEqual(letters().map(it => it.attributes['relay.reason']).sort(), ['field-missing', 'not-json'])
      const [{ endOffset }] = await site.eventLog.readOffsets(site.config.DEAD_LETTERS_TOPIC)
      const stored = await Array.fromAsync(site.eventLog.readRecords(site.config.DEAD_LETTERS_TOPIC, 0, 0n, endOffset))
      assert.equal(stored.length, 2)
      for (const { headers } of stored) {
        assert.ok(letters().some(it => formatTraceparent(it) === headers.traceparent), headers['relay-reason'])
      }
      const linked = letters().filter(it => it.links.some(link => link.traceId === contextOf(9).traceId))
      assert.deepEqual(linked.map(it => it.attributes['relay.reason']), ['field-missing'])
    })
  })
}

test('a flush has at most 32 links, and counts all traced records', async t => {
  const { site, spans } = (await openTracedSite(t, 'postgres'))!
  await site.producer.send(site.config.EVENTS_TOPIC, Array.from({ length: 100 }, (_, n) => ({
    key: 'device-1', value: encode(eventOf(n)), headers: { traceparent: formatTraceparent(contextOf(n + 1)) }
  })))
  await using opened = new AsyncDisposableStack()
  opened.adopt(await startProcessor(site.config, createLogger('test', 'silent')), it => it.close())
  await settled(site)
  const flushes = () => spans.filter(it => it.name === 'flush')
  await until('all to be exported', () =>
    flushes().reduce((sum, it) => sum + Number(it.attributes['relay.traced_events']), 0) === 100)
  assert.ok(flushes().every(it => it.links.length <= 32))
  assert.ok(flushes().some(it => it.links.length === 32))
})

test('after a kill -9 another flush links to the records that were not written, and each counts once', async t => {
  const { site, spans } = (await openTracedSite(t, 'postgres', { PROCESSOR_THREADS: '2' }))!
  const killed = await spawnProcessor(t, site)
  const events = [1, 2].map(eventOf)
  await sendTraced(site, events[0], 1)
  await settled(site)
  await until('the first flush to be exported', () => linkedTo(spans, 1).length > 0)

  await killBeforeCommit(killed, site.database, () => sendTraced(site, events[1], 2))
  assert.equal(linkedTo(spans, 2).length, 0)

  await spawnProcessor(t, site)
  await settled(site)
  await until('the flush after the kill to be exported', () => linkedTo(spans, 2).length > 0)
  assert.deepEqual(Object.fromEntries(await readWindows(site.database)), Object.fromEntries(recompute(events)))
})

test('while the collector is away, events are counted as always', async t => {
  const { site, receiver } = (await openTracedSite(t, 'postgres'))!
  await receiver.close()
  await using opened = new AsyncDisposableStack()
  opened.adopt(await startProcessor(site.config, createLogger('test', 'silent')), it => it.close())
  const events = Array.from({ length: 200 }, (_, n) => eventOf(n))
  for (const [n, event] of events.entries()) await sendTraced(site, event, n + 1)
  await settled(site)
  assert.deepEqual(Object.fromEntries(await readWindows(site.database)), Object.fromEntries(recompute(events)))
})

function disposable<T extends { close (): Promise<void> }> (it: T): T & AsyncDisposable {
  return Object.assign(it, { [Symbol.asyncDispose]: () => it.close() })
}
