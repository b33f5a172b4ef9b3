import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { test } from 'node:test'
import type { AddressInfo } from 'node:net'
import { promisify } from 'node:util'

import { createLogger, createMetrics, openTracer, readConfig, tracingSettings, type Database } from 'relay-common'
import { openOtlpReceiver } from 'relay-test-support/otlp-receiver.ts'
import { until } from 'relay-test-support/until.ts'
import { createSampling } from '../src/tracing/sampling.ts'
import { readTracedDevices, traceDevice, watchTracedDevices } from '../src/tracing/traced-devices.ts'
import { formatTraceparent, parseTraceparent } from '../src/tracing/traceparent.ts'
import { openLocalPostgres } from 'relay-test-support/local-postgres.ts'
import { Type } from 'typebox'

const log = createLogger('test', 'silent')
const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
const spanId = '00f067aa0ba902b7'
const withoutDevices = { query: async () => [] } as unknown as Database
async function countOf (metrics: ReturnType<typeof createMetrics>, outcome: string): Promise<number> {
  const { values } = await metrics.getSingleMetric('relay_trace_spans_total')!.get()
  return values.find(it => it.labels.outcome === outcome)!.value
}

function configOf (endpoint?: string, more: Record<string, string> = {}) {
  return readConfig(Type.Object(tracingSettings), { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, ...more })
}

// prom-client loads the API of OpenTelemetry, which does nothing by itself
test('a program without an endpoint does not load the SDK of OpenTelemetry, and one with an endpoint does', async () => {
  const index = new URL('../src/index.ts', import.meta.url)
  const script = `
    import { registerHooks } from 'node:module'
    const seen = new Set()
    registerHooks({ resolve (name, context, next) { if (/opentelemetry[/](?!api$)/.test(name)) seen.add(name); return next(name, context) } })
    const { openTracer, createMetrics } = await import(${JSON.stringify(index.href)})
    const parts = { database: { query: async () => [] }, metrics: createMetrics('test'), log: { debug () {}, warn () {} } }
    const tracer = await openTracer({ TRACE_RATIO: 1, OTEL_EXPORTER_OTLP_ENDPOINT: process.env.ENDPOINT || undefined }, 'test', parts)
    await tracer?.close()
    console.log(seen.size)`
  const run = async (endpoint: string) => Number((await promisify(execFile)(
    process.execPath, ['--input-type=module', '--eval', script], { env: { ...process.env, ENDPOINT: endpoint } }
  )).stdout)
  assert.equal(await run(''), 0)
  assert.ok(await run('http://127.0.0.1:9') > 0)
})

test('spans reach the collector, with parents, links, attributes and errors', async t => {
  const receiver = await openOtlpReceiver(t)
  const metrics = createMetrics('test')
  const config = configOf(receiver.url, { OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Bearer%20secret,x-site=one' })
  const tracer = (await openTracer(config, 'relay-test', { database: withoutDevices, metrics, log }))!
  const parent = { traceId, spanId }
  const startMs = Date.now() - 1_000
  const outer = tracer.start('outer', { kind: 'server', parent, startMs, attributes: { 'relay.flush': 7 } })
  const inner = outer.child('inner', { links: [{ context: parent, attributes: { 'relay.offset': '1' } }] })
  inner.end(Object.assign(new Error('it broke'), { code: 'RELAY_X' }))
  outer.end()
  await tracer.close()
  const [first, second] = receiver.spans.toSorted((a, b) => a.name < b.name ? -1 : 1)
  assert.deepEqual(
    [first.name, first.traceId, first.parentSpanId, first.error], ['inner', traceId, outer.spanId, 'it broke']
  )
  assert.deepEqual(first.links, [{ traceId, spanId, attributes: { 'relay.offset': '1' } }])
  assert.equal(first.attributes['error.type'], 'RELAY_X')
  assert.deepEqual([second.name, second.parentSpanId, second.program], ['outer', spanId, 'relay-test'])
  assert.deepEqual([second.startMs, second.attributes['relay.flush'], second.error], [startMs, 7, undefined])
  assert.equal(receiver.headers.authorization, 'Bearer secret')
  assert.equal(await countOf(metrics, 'exported'), 2)
  assert.equal(await countOf(metrics, 'dropped'), 0)
})

test('a collector that never answers costs a bounded queue, and what does not fit is counted', async t => {
  const silent = createServer(() => {})
  silent.listen(0, '127.0.0.1')
  await once(silent, 'listening')
  t.after(() => silent.close())
  const metrics = createMetrics('test')
  const { port } = silent.address() as AddressInfo
  const tracer = (await openTracer(
    configOf(`http://127.0.0.1:${port}`), 'relay-test', { database: withoutDevices, metrics, log }
  ))!
  for (let n = 0; n < 10_000; n++) tracer.start('span').end()
  assert.ok(tracer.isFull)
  const dropped = await countOf(metrics, 'dropped')
  assert.ok(dropped > 5_000 && dropped < 6_000, `${dropped}`)
  tracer.drop(5)
  assert.equal(await countOf(metrics, 'dropped'), dropped + 5)
  await tracer.close()
  assert.ok(await countOf(metrics, 'dropped') > dropped + 4_000) // those that waited
})

test('a collector that is away costs its spans, and those after its return arrive', async t => {
  const receiver = await openOtlpReceiver(t)
  const metrics = createMetrics('test')
  const away = (await openTracer(
    configOf('http://127.0.0.1:9'), 'relay-test', { database: withoutDevices, metrics, log }
  ))!
  away.start('lost').end()
  await away.close()
  await until('the span to be counted', async () => await countOf(metrics, 'dropped') === 1)
  const tracer = (await openTracer(
    configOf(receiver.url), 'relay-test', { database: withoutDevices, metrics: createMetrics('other'), log }
  ))!
  tracer.start('kept').end()
  await until('the span to arrive', () => receiver.spans.length === 1)
  await tracer.close()
})

test('an invalid endpoint or header ends the program at its start', async () => {
  const parts = () => ({ database: withoutDevices, metrics: createMetrics('test'), log })
  await assert.rejects(openTracer(configOf('collector:4318'), 'test', parts()), { code: 'RELAY_CONFIG_INVALID' })
  const withHeaders = configOf('http://127.0.0.1:9', { OTEL_EXPORTER_OTLP_HEADERS: 'secret' })
  await assert.rejects(openTracer(withHeaders, 'test', parts()), { code: 'RELAY_CONFIG_INVALID' })
})

test('a device is sampled always or never, and about a ratio of all devices is', () => {
  const ids = Array.from({ length: 20_000 }, (_, n) => `device-${n}`)
  for (const ratio of [0, 0.01, 0.5, 1]) {
    const [one, other] = [createSampling(ratio), createSampling(ratio)]
    const sampled = ids.filter(it => one.isSampled(it))
    assert.ok(Math.abs(sampled.length / ids.length - ratio) <= 0.02 * (1 - ratio), `${sampled.length} at ${ratio}`)
    assert.deepEqual(ids.filter(it => other.isSampled(Buffer.from(it))), sampled)
  }
  const fewer = createSampling(0.01)
  const more = createSampling(0.1)
  assert.ok(ids.every(it => !fewer.isSampled(it) || more.isSampled(it))) // a larger ratio keeps those of a smaller one
})

test('a device that is traced on demand is sampled until its time is over', () => {
  let nowMs = 1_000
  const sampling = createSampling(0, () => nowMs)
  sampling.name([{ deviceId: 'thermostat-ü', untilMs: 2_000 }])
  assert.ok(sampling.isSampled('thermostat-ü'))
  assert.ok(!sampling.isSampled('thermostat-1'))
  nowMs = 2_000
  assert.ok(!sampling.isSampled('thermostat-ü'))
})

test('programs learn within seconds which devices to trace', async t => {
  const { database } = await openLocalPostgres(t)
  const sampling = createSampling(0)
  const watching = watchTracedDevices(database, sampling, log)
  await traceDevice(database, 'thermostat-1', 60_000, 'test')
  await until('the device to be sampled', () => sampling.isSampled('thermostat-1'), 10_000)
  await traceDevice(database, 'thermostat-1', 0, 'test')
  await until('the device not to be sampled', () => !sampling.isSampled('thermostat-1'), 10_000)
  assert.deepEqual(await readTracedDevices(database), [])
  await watching.close()
})

test('a traceparent is read as the standard says', () => {
  const valid = `00-${traceId}-${spanId}-01`
  assert.deepEqual(parseTraceparent(valid), { traceId, spanId, isSampled: true })
  assert.deepEqual(parseTraceparent(`00-${traceId}-${spanId}-02`), { traceId, spanId, isSampled: false })
  assert.deepEqual(parseTraceparent(`cc-${traceId}-${spanId}-03-more`), { traceId, spanId, isSampled: true })
  assert.equal(formatTraceparent({ traceId, spanId }), valid)
  for (const it of [
    undefined, '', 7, `ff-${traceId}-${spanId}-01`, `00-${'0'.repeat(32)}-${spanId}-01`, `${valid}-more`,
    `00-${traceId}-${'0'.repeat(16)}-01`, valid.toUpperCase(), valid.slice(1), `00-${traceId}-${spanId}-0`
  ]) assert.equal(parseTraceparent(it), undefined, String(it))
})
