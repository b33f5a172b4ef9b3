/** Traces of requests: who is sampled, and what of it gets into the event log. */
import assert from 'node:assert/strict'
import { Writable } from 'node:stream'
import { describe, test } from 'node:test'

import { pino } from 'pino'
import { formatTraceparent, parseTraceparent, traceDevice } from 'relay-common'
import type { LoggedRecord } from 'relay-event-log'

import { openOtlpReceiver } from 'relay-test-support/otlp-receiver.ts'
import { until } from 'relay-test-support/until.ts'
import { authorization, eventOf, kinds, openIngestSite, type IngestSite } from './support/ingest-site.ts'
import { openMqttSite, readLetters } from './support/mqtt-site.ts'
import { openStreamSite } from './support/stream-site.ts'

const limit = { timeout: 180_000 }
const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
const asked = { traceparent: `00-${traceId}-00f067aa0ba902b7-01` }

async function readRecords ({ log: { eventLog, topic } }: IngestSite, name = topic): Promise<LoggedRecord[]> {
  const records: LoggedRecord[] = []
  for (const { partition, startOffset, endOffset } of await eventLog.readOffsets(name)) {
    records.push(...await Array.fromAsync(eventLog.readRecords(name, partition, startOffset, endOffset)))
  }
  return records
}

const tracedKeys = (records: readonly LoggedRecord[]) =>
  records.filter(it => it.headers.traceparent !== undefined).map(it => String(it.key)).sort()

for (const kind of kinds) {
  describe(`with an event log in ${kind}`, limit, () => {
    test('a client that asks for a trace gets one, from its request to the record', async t => {
      const { url, spans } = await openOtlpReceiver(t)
      await using site = await openIngestSite(t, kind, { OTEL_EXPORTER_OTLP_ENDPOINT: url, TRACE_RATIO: '0' })
      if (!site) return
      await site.post(JSON.stringify(eventOf(1)))
      const { status } = await site.post(JSON.stringify(eventOf(2)), asked)
      assert.equal(status, 202)
      await until('both spans', () => spans.length >= 2)
      const [request, sent] = spans.toSorted((a, b) => a.name < b.name ? -1 : 1)
      assert.deepEqual([request.name, request.traceId], ['POST /api/v1/events', traceId])
      assert.equal(request.parentSpanId, '00f067aa0ba902b7')
      assert.equal(request.attributes['http.response.status_code'], 202)
      assert.deepEqual([sent.name, sent.parentSpanId], [`send ${site.log.topic}`, request.spanId])
      const records = await readRecords(site)
      assert.deepEqual(tracedKeys(records), ['device-2'])
      assert.equal(records.find(it => String(it.key) === 'device-2')!.headers.traceparent, formatTraceparent(sent))
      assert.equal(spans.length, 2)
    })

    test('events of a device that is traced on demand are traced, and no others', async t => {
      const { url, spans } = await openOtlpReceiver(t)
      await using site = await openIngestSite(t, kind, { OTEL_EXPORTER_OTLP_ENDPOINT: url, TRACE_RATIO: '0' })
      if (!site) return
      await traceDevice(site.database, 'device-3', 60_000, 'test')
      let n = 0
      await until('the device to be traced', async () => {
        await site.post(JSON.stringify(Array.from({ length: 7 }, () => eventOf(n++))))
        return spans.length > 0
      })
      const records = await readRecords(site)
      assert.ok(tracedKeys(records).length > 0)
      assert.deepEqual([...new Set(tracedKeys(records))], ['device-3'])
    })
  })
}

test('with a ratio of 1 each event is traced, with one of 0 none; a sampled client marks 32 of its events', limit, async t => {
  const { url } = await openOtlpReceiver(t)
  for (const [TRACE_RATIO, headers, count] of [['1', {}, 50], ['0', {}, 0], ['0', asked, 32]] as const) {
    await using site = (await openIngestSite(t, 'postgres', { OTEL_EXPORTER_OTLP_ENDPOINT: url, TRACE_RATIO }))!
    await site.post(JSON.stringify(Array.from({ length: 50 }, (_, n) => eventOf(n))), headers)
    const records = await readRecords(site)
    assert.deepEqual([records.length, tracedKeys(records).length], [50, count])
  }
})

test('a caller that asks for too many traces gets no more of them, and its events are taken', limit, async t => {
  const { url, spans } = await openOtlpReceiver(t)
  await using site = (await openIngestSite(t, 'postgres', {
    OTEL_EXPORTER_OTLP_ENDPOINT: url, TRACE_RATIO: '0', TRACED_REQUESTS_PER_MINUTE_MAX: '3'
  }))!
  for (let n = 0; n < 10; n++) assert.equal((await site.post(JSON.stringify(eventOf(n)), asked)).status, 202)
  const traced = tracedKeys(await readRecords(site)).length
  assert.ok(traced >= 3 && traced < 10, `${traced}`) // it refills
  await until('the spans', () => spans.filter(it => it.name.startsWith('POST')).length === traced)
})

test('without tracing a traceparent gets into no record', limit, async t => {
  await using site = (await openIngestSite(t, 'postgres'))!
  await site.post(JSON.stringify(eventOf(1)), asked)
  assert.deepEqual((await readRecords(site)).map(it => it.headers), [{}])
})

test('a request without a valid token gets no trace', limit, async t => {
  const { url, spans } = await openOtlpReceiver(t)
  await using site = (await openIngestSite(t, 'postgres', { OTEL_EXPORTER_OTLP_ENDPOINT: url }))!
  const refused = await fetch(`${site.url}/api/v1/devices`, { headers: { authorization: 'Bearer wrong', ...asked } })
  assert.equal(refused.status, 401)
  const answered = await fetch(`${site.url}/api/v1/devices`, { headers: { authorization, ...asked } })
  assert.equal(answered.status, 200)
  await until('the span', () => spans.length > 0)
  assert.deepEqual(spans.map(it => it.attributes['http.response.status_code']), [200])
})

test('messages of MQTT are traced: by a user property, and each dead letter', limit, async t => {
  const { url, spans } = await openOtlpReceiver(t)
  await using site = (await openMqttSite(t, 'postgres', { OTEL_EXPORTER_OTLP_ENDPOINT: url, TRACE_RATIO: '0' }))!
  const five = await site.connect({ protocolVersion: 5 })
  await five.publishAsync(site.topic, JSON.stringify(eventOf(1)), { qos: 1 })
  await five.publishAsync(site.topic, JSON.stringify(eventOf(2)), { qos: 1, properties: { userProperties: asked } })
  assert.deepEqual(tracedKeys(await readRecords(site)), ['device-2'])
  await until('the span', () => spans.some(it => it.name === 'MQTT publish' && it.traceId === traceId))

  const four = await site.connect({ protocolVersion: 4 })
  await four.publishAsync(site.topic, '{"deviceId":"device-1"', { qos: 1 })
  assert.equal((await readLetters(site)).length, 1)
  const [{ headers }] = await readRecords(site, site.environment.DEAD_LETTERS_TOPIC)
  const context = parseTraceparent(headers.traceparent)!
  await until('the span of the letter', () => spans.some(it => it.spanId === context.spanId))
})

test('what a stream sends links to the flush that wrote it', limit, async t => {
  const { url, spans } = await openOtlpReceiver(t)
  await using site = await openStreamSite(t, { OTEL_EXPORTER_OTLP_ENDPOINT: url, TRACE_RATIO: '0' })
  const listening = await site.listen()
  await site.post(JSON.stringify(eventOf(1)), asked)
  await until('the span of the stream', () => spans.some(it => it.name === 'stream'))
  const stream = spans.find(it => it.name === 'stream')!
  await until('the flush', () => spans.some(it => it.spanId === stream.links[0].spanId))
  const flush = spans.find(it => it.spanId === stream.links[0].spanId)!
  assert.deepEqual([flush.name, flush.links.map(it => it.traceId)], ['flush', [traceId]])
  assert.ok(stream.startMs >= flush.startMs)
  listening.close()
})

test('log lines of a traced request have its trace and span', limit, async t => {
  const { url, spans } = await openOtlpReceiver(t)
  const lines: Array<Record<string, unknown>> = []
  const output = new Writable({
    write (line, _encoding, done) {
      lines.push(JSON.parse(String(line)))
      done()
    }
  })
  const log = pino({ level: 'debug' }, output)
  await using site = (await openIngestSite(t, 'postgres', { OTEL_EXPORTER_OTLP_ENDPOINT: url, TRACE_RATIO: '0' }, log))!
  await site.post(JSON.stringify(eventOf(1)), asked)
  await until('the span', () => spans.some(it => it.name.startsWith('POST')))
  const request = spans.find(it => it.name.startsWith('POST'))!
  await until('its line', () => lines.some(it => it.traceId === traceId && it.spanId === request.spanId))
})
