/** Exemplars: from a slow request in a histogram to its trace. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createLogger } from 'relay-common'

import { eventOf, openIngestSite } from '../../relay-api/test/support/ingest-site.ts'
import { readProcessorConfig } from '../../relay-processor/src/config.ts'
import { startProcessor } from '../../relay-processor/src/processor.ts'
import { openOtlpReceiver } from 'relay-test-support/otlp-receiver.ts'
import { until } from 'relay-test-support/until.ts'
import { startPrometheus, withPrometheus } from './support/prometheus.ts'

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
const asked = { traceparent: `00-${traceId}-00f067aa0ba902b7-01` }
const HISTOGRAM = 'relay_api_request_duration_seconds'

test('Prometheus gets the trace of a sampled request, and the same names and values as before', withPrometheus, async t => {
  const { url } = await openOtlpReceiver(t)
  await using site = (await openIngestSite(t, 'postgres', { OTEL_EXPORTER_OTLP_ENDPOINT: url, TRACE_RATIO: '0' }))!
  const port = Number(new URL(site.metricsUrl).port)
  await using prometheus = await startPrometheus({ jobs: { api: port }, intervalMs: 2_000 })
  assert.equal((await site.post(JSON.stringify(eventOf(1)), asked)).status, 202)
  await until('the exemplar', async () => (await prometheus.exemplars(`${HISTOGRAM}_bucket`)).length > 0)
  const exemplars = await prometheus.exemplars(`${HISTOGRAM}_bucket`)
  for (const { labels } of exemplars) assert.deepEqual(labels, { trace_id: traceId })

  const plain = await fetch(site.metricsUrl)
  assert.match(plain.headers.get('content-type')!, /^text\/plain; version=0\.0\.4/)
  const text = await plain.text()
  assert.equal(text.includes(traceId), false)
  const series = text.split('\n').filter(it => it !== '' && !it.startsWith('#')).map(it => /^\w+/.exec(it)![0])
  const known = await prometheus.names()
  assert.deepEqual([...new Set(series)].filter(it => !known.has(it)), [])
})

test('Prometheus gets the traces of flushes with how old their readings are, from each thread of a processor', withPrometheus, async t => {
  const { url, spans } = await openOtlpReceiver(t)
  await using site = (await openIngestSite(t, 'postgres', { OTEL_EXPORTER_OTLP_ENDPOINT: url, TRACE_RATIO: '1' }))!
  const environment = { ...site.environment, PROCESSOR_THREADS: '2', HEALTH_PORT: '0', LOG_LEVEL: 'silent' }
  await using opened = new AsyncDisposableStack()
  const processor = opened.adopt(
    await startProcessor(readProcessorConfig(environment), createLogger('test', 'silent')), it => it.close()
  )
  await using prometheus = await startPrometheus({ jobs: { processor: processor.healthPort }, intervalMs: 2_000 })
  /** Whose newest exemplars were seen: partition p belongs to thread p mod 2. */
  const seen = new Set<number>()
  const threadOf = (traceId: string) => {
    const flush = spans.find(it => it.name === 'flush' && it.traceId === traceId)
    return flush && Number(/^\d+/.exec(String(flush.attributes['relay.partitions']))![0]) % 2
  }
  let n = 0
  await until('exemplars of both threads', async () => {
    const timestamp = new Date().toISOString()
    await site.post(JSON.stringify([eventOf(n++, { timestamp })]))
    for (const { labels } of await prometheus.exemplars('relay_freshness_seconds_bucket')) {
      assert.deepEqual(Object.keys(labels), ['trace_id'])
      const thread = threadOf(labels.trace_id)
      if (thread !== undefined) seen.add(thread)
    }
    return seen.size === 2
  })
  const metrics = `http://127.0.0.1:${processor.healthPort}/metrics`
  assert.doesNotMatch(await (await fetch(metrics)).text(), /trace_id/)
})

test('without tracing metrics have one format, for each scraper', async t => {
  await using site = (await openIngestSite(t, 'postgres'))!
  const open = await fetch(site.metricsUrl, { headers: { accept: 'application/openmetrics-text;version=1.0.0' } })
  assert.match(open.headers.get('content-type')!, /^text\/plain/)
})
