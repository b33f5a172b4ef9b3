/** `npm run test:traces`: traces of a whole site in a real collector, also when it or the processor is killed. */
import assert from 'node:assert/strict'
import { describe, test, type TestContext } from 'node:test'

import getPort from 'get-port'

import { authorization, eventOf, kinds } from '../../relay-api/test/support/ingest-site.ts'
import { openMqttSite, type MqttSite } from '../../relay-api/test/support/mqtt-site.ts'
import { listen } from '../../relay-api/test/support/stream-site.ts'
import { killBeforeCommit } from '../../relay-processor/test/support/kill-before-commit.ts'
import { spawnProcessor } from '../../relay-processor/test/support/open-processor.ts'
import type { ReceivedSpan } from 'relay-test-support/otlp-receiver.ts'
import { until } from 'relay-test-support/until.ts'
import { openCollector, withCollector, type Collector } from './collector.ts'

const limit = { ...withCollector, timeout: 300_000 }
const CLIENT_SPAN = '00f067aa0ba902b7'
const API = 'relay-api'
const PROCESSOR = 'relay-processor'

const traceOf = (n: number) => (n + 1).toString(16).padStart(32, '0')
const asked = (n: number) => ({ traceparent: `00-${traceOf(n)}-${CLIENT_SPAN}-01` })

interface TracedSite extends AsyncDisposable {
  readonly collector: Collector
  readonly site: MqttSite
  /** Sends the n-th event in a request with the trace of that number. */
  send (n: number): Promise<void>
  startProcessor (): ReturnType<typeof spawnProcessor>
  /** Waits until this many events are counted. */
  counted (events: number): Promise<void>
  /** Spans of a program, by what became of them. */
  outcomes (program: typeof API | typeof PROCESSOR): Promise<{ readonly exported: number, readonly dropped: number }>
}

/** @returns undefined if the machine can't run such a log: then the test is skipped */
async function openTracedSite (t: TestContext, kind: typeof kinds[number]): Promise<TracedSite | undefined> {
  const collector = await openCollector(t)
  const healthPort = await getPort({ host: '127.0.0.1' })
  const site = await openMqttSite(t, kind, {
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, TRACE_RATIO: '0', TRACED_REQUESTS_PER_MINUTE_MAX: '1000000'
  })
  if (!site) return undefined
  const metricsUrls = { [API]: site.metricsUrl, [PROCESSOR]: `http://127.0.0.1:${healthPort}/metrics` }
  return {
    collector,
    site,
    async send (n) {
      assert.equal((await site.post(JSON.stringify(eventOf(n)), asked(n))).status, 202)
    },
    startProcessor: () => spawnProcessor(t, site, {
      CONSUMER_GROUP: site.log.topic,
      FLUSH_INTERVAL_MS: '50',
      SESSION_TIMEOUT_MS: '2000',
      LOG_LEVEL: 'silent',
      HEALTH_PORT: String(healthPort)
    }),
    async counted (events) {
      const query = 'start=2024-01-01T00:00:00Z&end=2024-01-02T00:00:00Z&interval=range&stats=count'
      let count = 0
      await until(() => `${events} events, of which ${count} are counted`, async () => {
        const answer = await fetch(`${site.url}/api/v1/aggregates?${query}`, { headers: { authorization } })
        count = (await answer.json() as { rows: Array<{ count: number }> }).rows.at(0)?.count ?? 0
        return count === events
      })
    },
    async outcomes (program) {
      const text = await (await fetch(metricsUrls[program])).text()
      const of = (outcome: string) =>
        Number(new RegExp(`^relay_trace_spans_total\\{outcome="${outcome}"[^}]*\\} (\\d+)$`, 'm').exec(text)![1])
      return { exported: of('exported'), dropped: of('dropped') }
    },
    [Symbol.asyncDispose]: () => site[Symbol.asyncDispose]()
  }
}

/** The flushes that wrote a trace's event, each with its steps; its request and its record's span are checked. */
function flushesOf (spans: readonly ReceivedSpan[], traceId: string, topic: string): ReceivedSpan[] {
  const [request] = spans.filter(it => it.traceId === traceId && it.parentSpanId === CLIENT_SPAN)
  if (!request) return []
  const sent = spans.find(it => it.parentSpanId === request.spanId)
  if (!sent) return []
  assert.deepEqual([request.program, sent.program, sent.name], [API, API, `send ${topic}`])
  assert.equal(sent.traceId, traceId)
  return spans.filter(it => it.links.some(link => link.traceId === traceId && link.spanId === sent.spanId))
}

const stepsOf = (spans: readonly ReceivedSpan[], flush: ReceivedSpan) =>
  spans.filter(it => it.traceId === flush.traceId && it.parentSpanId === flush.spanId && it.error === undefined)
    .map(it => it.name).sort()

const isWhole = (spans: readonly ReceivedSpan[], flush: ReceivedSpan) =>
  ['COMMIT', 'COPY', 'settle'].every(it => stepsOf(spans, flush).includes(it))

/** For a person who looks for the missing one. */
const describeSpans = (spans: readonly ReceivedSpan[]) => spans.map(it =>
  `${it.name} ${it.spanId} of ${it.parentSpanId || 'nobody'}, links ${it.links.map(link => link.spanId).join(' ')}`)
  .join('\n')

for (const kind of kinds) {
  describe(`with an event log in ${kind}`, limit, () => {
    test('an event by HTTP and one by MQTT are traces from their client to the stream, and so is an answer', async t => {
      await using traced = await openTracedSite(t, kind)
      if (!traced) return
      const { collector, site } = traced
      await traced.startProcessor()
      const listening = await listen(site.url)
      const client = await site.connect({ protocolVersion: 5 })
      await traced.send(0)
      await client.publishAsync(
        site.topic, JSON.stringify(eventOf(1)), { qos: 1, properties: { userProperties: asked(1) } }
      )
      await traced.counted(2)
      const answer = await fetch(`${site.url}/api/v1/zones`, { headers: { authorization, ...asked(2) } })
      assert.equal(answer.status, 200)

      let spans: ReceivedSpan[] = []
      const streamsOf = (flush: ReceivedSpan) =>
        spans.filter(it => it.name === 'stream' && it.links.some(link => link.spanId === flush.spanId))
      await until(() => `both traces to reach the stream: ${describeSpans(spans)}`, async () => {
        spans = await collector.spans()
        return [0, 1].every(n => flushesOf(spans, traceOf(n), site.topic)
          .some(it => isWhole(spans, it) && streamsOf(it).length > 0)) && spans.some(it => it.traceId === traceOf(2))
      })
      listening.close()
      const roots = spans.filter(it => it.parentSpanId === CLIENT_SPAN)
      assert.deepEqual(roots.map(it => it.name).sort(), ['GET /api/v1/zones', 'MQTT publish', 'POST /api/v1/events'])
      for (const [name, status] of [['GET /api/v1/zones', 200], ['POST /api/v1/events', 202]] as const) {
        assert.equal(roots.find(it => it.name === name)!.attributes['http.response.status_code'], status)
      }
      for (const n of [0, 1]) {
        const flushes = flushesOf(spans, traceOf(n), site.topic)
        assert.equal(flushes.length, 1)
        const [flush] = flushes
        assert.deepEqual([flush.program, flush.name, flush.parentSpanId], [PROCESSOR, 'flush', ''])
        const { attributes } = flush.links.find(it => it.traceId === traceOf(n))!
        assert.equal(attributes['messaging.destination.name'], site.topic)
        assert.match(String(attributes['messaging.destination.partition.id']), /^[0-3]$/)
        assert.match(String(attributes['relay.offset']), /^\d+$/)
        for (const stream of streamsOf(flush)) assert.equal(stream.links[0].traceId.length, 32)
      }
      await until('each span to be counted as exported', async () =>
        (await traced.outcomes(API)).exported + (await traced.outcomes(PROCESSOR)).exported >= spans.length)
    })

    test('a collector that hangs and is killed costs no event and no wait, and spans that are dropped are counted', async t => {
      await using traced = await openTracedSite(t, kind)
      if (!traced) return
      const { collector, site } = traced
      await traced.startProcessor()
      let n = 0
      const send = async (count: number) => {
        const end = n + count
        const senders = Array.from({ length: 8 }, async () => { while (n < end) await traced.send(n++) })
        await Promise.all(senders)
      }
      await send(50)
      await until('spans of both programs to be exported', async () =>
        (await traced.outcomes(API)).exported > 0 && (await traced.outcomes(PROCESSOR)).exported > 0)

      // whatever waits for a collector that hangs waits for ever
      collector.pause()
      const { exported } = await traced.outcomes(API)
      await send(200)
      await traced.counted(250)
      assert.ok((await traced.outcomes(API)).exported - exported <= 100, 'at most what it had read already')

      const sending = send(200)
      await collector.kill()
      await sending
      await traced.counted(450)
      await until('dropped spans of both programs', async () =>
        (await traced.outcomes(API)).dropped > 0 && (await traced.outcomes(PROCESSOR)).dropped > 0)

      await collector.start()
      const later: string[] = []
      await until('another trace to arrive', async () => {
        later.push(traceOf(n))
        await traced.send(n++)
        const spans = await collector.spans()
        return later.some(trace => flushesOf(spans, trace, site.topic).some(it => isWhole(spans, it)))
      })
      await traced.counted(n)
      await until('each of the two spans of a request to be exported or dropped', async () => {
        const { exported, dropped } = await traced.outcomes(API)
        return exported + dropped === 2 * n
      })
    })

    test('a processor that is killed leaves whole traces of what it has written, and its successor traces the rest', async t => {
      await using traced = await openTracedSite(t, kind)
      if (!traced) return
      const { collector, site } = traced
      const killed = await traced.startProcessor()
      for (let n = 0; n < 20; n++) await traced.send(n)
      await traced.counted(20)
      let spans: ReceivedSpan[] = []
      const areWhole = async (first: number, count: number) => {
        spans = await collector.spans()
        return Array.from({ length: count }, (_, n) => traceOf(first + n)).every(traceId =>
          flushesOf(spans, traceId, site.topic).some(it => isWhole(spans, it)))
      }
      await until('the traces of what is written', () => areWhole(0, 20))

      await killBeforeCommit(killed, site.database, async () => {
        for (let n = 20; n < 40; n++) await traced.send(n)
      })
      assert.ok(await areWhole(0, 20))
      assert.equal(spans.some(it => it.links.some(link => link.traceId === traceOf(20))), false)

      await traced.startProcessor()
      await traced.counted(40)
      await until('the traces of the rest', () => areWhole(20, 20))
      const commits = spans.filter(it => it.name === 'COMMIT')
      assert.ok(commits.every(it => spans.some(flush => flush.spanId === it.parentSpanId)), 'no step without its flush')
    })
  })
}
