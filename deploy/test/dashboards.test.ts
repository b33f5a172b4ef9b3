/**
 * Dashboards: the files are what their source says, Grafana and Prometheus can read them, and a site that is well fills
 * them.
 */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite, test } from 'node:test'

import { parser } from '@prometheus-io/lezer-promql'
import getPort from 'get-port'
import { createLogger } from 'relay-common'
import { openEventLog } from 'relay-event-log'

import { openOwnKafka } from 'relay-test-support/local-kafka.ts'
import { readProcessorConfig } from '../../relay-processor/src/config.ts'
import { until } from 'relay-test-support/until.ts'
import { alerts } from '../monitoring/alerts.ts'
import { dashboards } from '../monitoring/dashboards.ts'
import { addressOf, placeOf, places, renderDashboard } from '../monitoring/grafana.ts'
import type { Query } from '../monitoring/panels.ts'
import { metricsOf, ruleGroups } from '../monitoring/render.ts'
import { ROOT } from './support/dockerfile.ts'
import { startPrometheus, withPrometheus, type Prometheus } from './support/prometheus.ts'
import { openWatchedSite } from './support/watched-site.ts'

const folder = join(ROOT, 'deploy/monitoring/dashboards')

interface PanelJson {
  readonly id: number
  readonly type: string
  readonly title: string
  readonly description?: string
  readonly gridPos: { readonly x: number, readonly y: number, readonly w: number, readonly h: number }
  readonly targets?: ReadonlyArray<{ readonly expr: string, readonly refId: string }>
  readonly fieldConfig?: {
    readonly defaults: {
      readonly unit: string, readonly thresholds: { readonly steps: { value: number | null, color: string }[] }
    }
  }
}

const panelsOf = (uid: string): PanelJson[] => JSON.parse(readFileSync(join(folder, `${uid}.json`), 'utf8')).panels

test('the dashboards say what their source says, and there are no others', () => {
  assert.deepEqual(readdirSync(folder).sort(), dashboards.map(it => `${it.uid}.json`).sort())
  for (const it of dashboards) {
    assert.ok(readFileSync(join(folder, `${it.uid}.json`), 'utf8') === renderDashboard(it),
      `${it.uid}.json is out of date; write it with: npm exec -- node deploy/monitoring/main.ts`)
  }
})

test('panels have numbers of their own, lie beside each other, and have what their source says', () => {
  for (const { uid, rows } of dashboards) {
    const panels = panelsOf(uid)
    assert.equal(new Set(panels.map(it => it.id)).size, panels.length)
    const taken = new Set<string>()
    for (const { title, gridPos: { x, y, w, h } } of panels) {
      assert.ok(x >= 0 && x + w <= 24, title)
      for (let column = x; column < x + w; column++) {
        for (let line = y; line < y + h; line++) {
          assert.ok(!taken.has(`${column} ${line}`), `${uid}: ${title} lies on another`)
          taken.add(`${column} ${line}`)
        }
      }
    }
    assert.deepEqual(panels.filter(it => it.type === 'row').map(it => it.title), rows.map(it => it.title))
    for (const place of places.filter(it => it.dashboard.uid === uid)) {
      const made = panels.find(it => it.id === place.id)!
      assert.equal(made.title, place.panel.title)
      assert.equal(made.fieldConfig!.defaults.unit, place.panel.unit)
      assert.deepEqual(made.targets!.map(it => it.expr), place.panel.queries.map(it => it.expr))
      assert.equal(new Set(made.targets!.map(it => it.refId)).size, made.targets!.length)
    }
  }
})

suite('alarms and panels', () => {
  const rules = ruleGroups().flatMap(it => it.rules).filter(it => 'alert' in it)

  test('each alarm has a panel that names it, and leads there', () => {
    for (const { name } of alerts) {
      const place = placeOf(name)
      assert.ok(place, `no panel is about ${name}`)
      for (const { annotations } of rules.filter(it => it.alert === name)) {
        assert.equal(annotations.dashboard, addressOf(place))
      }
      const [, uid, id] = addressOf(place).match(/^\/d\/([\w-]+)\?viewPanel=panel-(\d+)$/)!
      assert.ok(panelsOf(uid).find(it => it.id === Number(id))!.description?.includes(`docs/runbook.md#${name.toLowerCase()}`))
    }
    const known = alerts.map(it => it.name)
    assert.deepEqual(places.flatMap(it => it.panel.alarms).filter(it => !known.includes(it)), [])
  })

  test('a panel is red where its alarm of one comparison fires', () => {
    const drawn = new Map<string, number[]>()
    for (const { uid } of dashboards) {
      for (const { description = '', fieldConfig } of panelsOf(uid)) {
        const red = fieldConfig?.defaults.thresholds.steps.filter(it => it.color === 'red').map(it => it.value!) ?? []
        for (const { name } of alerts) if (description === `Alarms: ${name} (docs/runbook.md#${name.toLowerCase()})`) drawn.set(name, red)
      }
    }
    const limits = {
      RelayLagOld: 60,
      RelayNoFreshEvents: 300,
      RelayWritesSlow: 5,
      RelayReplicaBehind: 10,
      RelayIngestMemory: 2 ** 25,
      RelayLongAnswersFull: 64
    }
    for (const [name, limit] of Object.entries(limits)) {
      assert.ok(rules.find(it => it.alert === name)!.expr.endsWith(` ${limit}`), `${name} has another limit now`)
      assert.deepEqual(drawn.get(name), [limit], name)
    }
  })
})

/** A query as Grafana sends it: for all sites, with a window of four scrapes. */
const sent = ({ expr }: Query) => expr.replaceAll('$namespace', '.*').replaceAll('$__rate_interval', '20s')

/** Names of the metrics in an expression, and whether it is one. */
function read (expr: string): { isRight: boolean, metrics: string[] } {
  const metrics: string[] = []
  let isRight = true
  parser.parse(expr).iterate({
    enter: ({ type, from, to, node }) => {
      if (type.isError) isRight = false
      if (type.name === 'Identifier' && node.parent?.name === 'VectorSelector') metrics.push(expr.slice(from, to))
    }
  })
  return { isRight, metrics }
}

const queries = places.flatMap(({ dashboard, panel }) => panel.queries.map(query => ({ query, where: `${dashboard.uid}, ${panel.title}, ${query.legend}` })))

test('each query is PromQL', () => {
  assert.deepEqual(read('sum by (job) (rate(up[5m])'), { isRight: false, metrics: ['up'] })
  assert.deepEqual(read('a{b="c"} / on (d) e:f'), { isRight: true, metrics: ['a', 'e:f'] })
  for (const { query, where } of queries) {
    const { isRight, metrics } = read(sent(query))
    assert.ok(isRight && metrics.length > 0, `${where}: ${query.expr}`)
  }
})

/** Waits until each query has values. */
async function untilFilled (prometheus: Prometheus, asked: typeof queries): Promise<void> {
  let empty: string[] = []
  await until(() => `panels to have values; these have none: ${empty.join('; ')}`, async () => {
    empty = []
    for (const { query, where } of asked) {
      const samples = await prometheus.query(sent(query))
      if (query.emptyAsLong === undefined && !samples.some(it => Number.isFinite(it.value))) empty.push(where)
    }
    return empty.length === 0
  }, 90_000)
  // what has no values as long as all is well is there all the same, and not a name that was changed
  const names = await prometheus.names()
  const named = asked.flatMap(({ query, where }) => read(sent(query)).metrics.map(metric => ({ metric, where })))
  assert.deepEqual(named.filter(it => it.metric !== 'ALERTS' && !names.has(it.metric)), [])
}

/** Metrics of servers that alarms are about. */
const metricsOfAlarms = [...new Set(ruleGroups().flatMap(it => it.rules).flatMap(it => metricsOf(it.expr)))]

const isOfKafka = ({ query }: { readonly query: Query }) => /\bkafka_|job="kafka"/.test(query.expr)

test('a site that is well fills every panel', { ...withPrometheus, timeout: 240_000 }, async t => {
  const mqttPort = String(await getPort({ host: '127.0.0.1' }))
  await using site = await openWatchedSite(t, {
    isSimulated: true, isBackedUp: true, environment: { MQTT_PORT: mqttPort }, watch: { intervalMs: 1_500 }
  })
  const { prometheus } = site!
  const hasExporter = (await prometheus.query('pg_up == 1')).length > 0
  assert.ok(hasExporter || !process.env.CI)
  const asked = queries.filter(it => !isOfKafka(it))
    .filter(({ query }) => hasExporter || !query.expr.includes('pg_'))
  await untilFilled(prometheus, asked)
  if (!hasExporter) return
  const names = await prometheus.names()
  assert.deepEqual(metricsOfAlarms.filter(it => it.startsWith('pg_') && !names.has(it)), [])
})

test('a Kafka that is well fills every panel about it', { ...withPrometheus, timeout: 240_000 }, async t => {
  const metricsPort = await getPort({ host: '127.0.0.1' })
  const kafka = await openOwnKafka(t, { metricsPort })
  if (!kafka) return
  const config = readProcessorConfig({ EVENT_LOG: 'kafka', KAFKA_BOOTSTRAP_SERVERS: kafka.bootstrapServers })
  const eventLog = await openEventLog(config, undefined, createLogger('test', 'silent'))
  t.after(() => eventLog.close())
  const topic = { name: 'panels', partitions: 2, retentionMs: 3_600_000, replicationFactor: -1 }
  await eventLog.ensureTopic(topic)
  const producer = await eventLog.openProducer()
  t.after(() => producer.close())
  await using prometheus = await startPrometheus({ jobs: { kafka: metricsPort }, intervalMs: 1_500 })
  const sending = setInterval(() => { producer.send('panels', [{ key: 'a', value: 'b' }]).catch(() => {}) }, 200)
  t.after(() => clearInterval(sending))
  await untilFilled(prometheus, queries.filter(isOfKafka))
  const names = await prometheus.names()
  assert.deepEqual(metricsOfAlarms.filter(it => it.startsWith('kafka_') && !names.has(it)), [])
})
