/**
 * Alarms: what is written down is what their source says, every one fires when it should and ends, and none of them
 * lies.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test, type TestContext } from 'node:test'

import getPort from 'get-port'
import { createLogger } from 'relay-common'
import { stringify } from 'yaml'

import { TOKEN } from '../../relay-api/test/support/ask.ts'
import { openIngestSite, authorization, eventOf } from '../../relay-api/test/support/ingest-site.ts'
import { spawnCli } from '../../relay-cli/test/support/run-cli.ts'
import { readProcessorConfig } from '../../relay-processor/src/config.ts'
import { startProcessor } from '../../relay-processor/src/processor.ts'
import { readSimulatorConfig } from '../../relay-simulator/src/config.ts'
import { startSimulator } from '../../relay-simulator/src/simulator.ts'
import { skipWithout } from 'relay-test-support/debian-tool.ts'
import { until } from 'relay-test-support/until.ts'
import { alerts, type Severity } from '../monitoring/alerts.ts'
import { metricsOf, renderPrometheusRule, renderRules, ruleGroups, type RuleGroup } from '../monitoring/render.ts'
import { withAlarms } from '../monitoring/runbook.ts'
import { createTime, MINUTE } from '../monitoring/time.ts'
import { alertCases, type AlertCase, type Series } from './support/alert-cases.ts'
import { ROOT } from './support/dockerfile.ts'
import { programs } from './support/programs.ts'

const withPromtool = { skip: skipWithout('promtool', 'prometheus') }

const committedRules = join(ROOT, 'deploy/monitoring/relay.rules.yml')
const exprs = ruleGroups().flatMap(it => it.rules.map(it => it.expr))
const severitiesOf = (alert: typeof alerts[number]) => Object.keys(alert.rules) as Severity[]

function promtool (...args: string[]): void {
  const { status, stdout, stderr } = spawnSync('promtool', args, { encoding: 'utf8' })
  assert.equal(status, 0, stdout + stderr)
}

test('the rules and the alarms of the runbook say what their source says', () => {
  const isWritten = (file: string, written: string) => assert.ok(readFileSync(join(ROOT, file), 'utf8') === written,
    `${file} is out of date; write it with: npm exec -- node deploy/monitoring/main.ts`)
  isWritten('deploy/monitoring/relay.rules.yml', renderRules())
  isWritten('deploy/monitoring/prometheus-rule.yaml', renderPrometheusRule())
  isWritten('docs/runbook.md', withAlarms(readFileSync(join(ROOT, 'docs/runbook.md'), 'utf8')))
})

test('Prometheus takes the rules, also with shorter times', withPromtool, t => {
  const folder = mkdtempSync(join(tmpdir(), 'relay-alerts-'))
  t.after(() => rmSync(folder, { recursive: true }))
  promtool('check', 'rules', committedRules)
  const short = join(folder, 'short.rules.yml')
  writeFileSync(short, renderRules(60))
  promtool('check', 'rules', short)
})

test('lengths of time are written in their largest unit, and scaled', () => {
  assert.deepEqual([300, 3600, 86_400, 90].map(it => createTime()(it)), ['5m', '1h', '1d', '90s'])
  assert.deepEqual([300, 3600, 86_400, 90].map(it => createTime(60)(it)), ['5s', '1m', '24m', '1500ms'])
})

suite('an alarm fires, ends, and is not fooled', () => {
  test('there are cases for each', () => {
    const known = alerts.flatMap(it => severitiesOf(it).map(severity => `${it.name} ${severity}`))
    assert.deepEqual(alertCases.map(it => `${it.alert} ${it.severity}`).sort(), known.sort())
  })

  for (const it of alertCases) {
    test(`${it.alert} is a ${it.severity}; no more when it is over; not when ${it.quiet.because}`, withPromtool, t => {
      const { status, output } = tryCase(t, it)
      assert.equal(status, 0, output)
    })
  }

  test('a case that is wrong fails', withPromtool, t => {
    const it = alertCases.find(it => it.alert === 'RelayFlushStalled')!
    const wrong = [
      { ...it, fires: { ...it.fires, atMinute: 6 } }, // before it has held for long enough
      { ...it, fires: { ...it.fires, endsAtMinute: it.fires.atMinute } },
      { ...it, quiet: { ...it.quiet, series: it.fires.series } }
    ]
    for (const one of wrong) assert.equal(tryCase(t, one).status, 1)
  })
})

/** Runs a case. Rules of other alarms are left out: they take their time. */
function tryCase (t: TestContext, it: AlertCase): { status: number | null, output: string } {
  const folder = mkdtempSync(join(tmpdir(), 'relay-alerts-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const groups = ruleGroups()
  const own = groups.flatMap(({ rules }) => rules).filter(rule => 'alert' in rule && rule.alert === it.alert)
  const isOwn = (rule: RuleGroup['rules'][number]) =>
    own.includes(rule) || ('record' in rule && own.some(({ expr }) => expr.includes(`slo="${rule.labels.slo}"`)))
  const [rulesFile, testFile] = [join(folder, 'rules.yml'), join(folder, 'test.yml')]
  writeFileSync(
    rulesFile, stringify({ groups: groups.map(({ name, rules }) => ({ name, rules: rules.filter(isOwn) })) })
  )
  writeFileSync(testFile, stringify(unitTest(it, rulesFile)))
  const { status, stdout, stderr } = spawnSync('promtool', ['test', 'rules', testFile], { encoding: 'utf8' })
  return { status, output: stdout + stderr }
}

/** A case as `promtool test rules` takes it. */
function unitTest ({ alert, severity, stepMinutes = 1, fires, quiet }: AlertCase, rulesFile: string) {
  const firing = `ALERTS{alertname="${alert}",alertstate="firing",severity="${severity}"}`
  const input = (series: Series) => Object.entries(series).map(([series, values]) => ({ series, values }))
  const interval = `${stepMinutes}m`
  return {
    rule_files: [rulesFile],
    // any order else, and then alarms may see what was recorded a step before
    group_eval_order: ruleGroups().map(it => it.name),
    evaluation_interval: interval,
    tests: [
      {
        interval,
        input_series: input(fires.series),
        promql_expr_test: [
          { expr: `count by (severity) (${firing})`, eval_time: `${fires.atMinute}m`, exp_samples: [{ labels: `{severity="${severity}"}`, value: 1 }] },
          { expr: firing, eval_time: `${fires.endsAtMinute}m`, exp_samples: [] }
        ]
      },
      {
        interval,
        input_series: input(quiet.series),
        promql_expr_test: [{ expr: `count_over_time(${firing}[7d])`, eval_time: `${quiet.untilMinute}m`, exp_samples: [] }]
      }
    ]
  }
}

suite('an expression', () => {
  const isCounter = (name: string) => /_(?:total|bucket|count|sum)$/.test(name)

  /** The counters that are compared as they are: such a rule fires until the program ends. */
  function bareCounters (expr: string): string[] {
    const named = [...expr.matchAll(/\b(?:relay|pg|kafka)_\w+/g)].filter(it => isCounter(it[0]))
    return named.filter(({ index, 0: name }) => {
      const isCounted = /(?:rate|increase)\($/.test(expr.slice(0, index))
      return !isCounted || !/^(?:\{[^}]*\})?\[/.test(expr.slice(index + name.length))
    }).map(it => it[0])
  }

  test('counts counters by their growth alone', () => {
    assert.deepEqual(bareCounters('relay_gaps_total > 0'), ['relay_gaps_total'])
    assert.deepEqual(bareCounters('delta(relay_gaps_total{kind="x"}[5m]) > 0'), ['relay_gaps_total'])
    assert.deepEqual(bareCounters('sum (rate(relay_gaps_total{kind="x"}[5m])) > 0'), [])
    for (const expr of exprs) assert.deepEqual(bareCounters(expr), [], expr)
  })

  test('holds for longer than a restart takes, or says why it need not', () => {
    const ofImage = readFileSync(join(ROOT, 'Dockerfile'), 'utf8')
    const drainMs = Number(ofImage.match(/SHUTDOWN_DRAIN_MS=(\d+)/)![1])
    const closeMs = (programs.api.settings.properties.SHUTDOWN_TIMEOUT_MS as { default?: number }).default!
    const startS = 30 // and one scrape in between
    const restartS = (drainMs + closeMs) / 1000 + startS
    for (const alert of alerts) {
      for (const severity of severitiesOf(alert)) {
        const { forS, atOnce } = alert.rules[severity]!
        assert.ok(forS >= restartS || (forS === 0 && atOnce !== undefined), `${alert.name}: ${forS} s, a restart takes up to ${restartS} s`)
        assert.ok(forS % MINUTE === 0)
      }
    }
  })

  test('names metrics, and labels of them, that a live site has', { timeout: 120_000 }, async t => {
    const samples = await readLiveMetrics(t)
    const known = new Set(samples.map(it => it.name.replace(/_(?:bucket|count|sum)$/, '')))
    const ours = exprs.flatMap(metricsOf).filter(it => it.startsWith('relay_')) // others: dashboards.test.ts
    assert.deepEqual([...new Set(ours)].filter(it => !known.has(it)), [])
    for (const { name, matchers } of exprs.flatMap(selectorsOf)) {
      const found = samples.some(
        it => it.name === name && matchers.every(({ label, test }) => test(it.labels[label] ?? ''))
      )
      assert.ok(found, `no series of a live site is ${name}{${matchers.map(it => it.text).join()}}`)
    }
  })
})

interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
}

interface Matcher {
  readonly text: string
  readonly label: string
  readonly test: (value: string) => boolean
}

/** The series that an expression asks for, as far as they are of a program. */
function selectorsOf (expr: string): { name: string, matchers: Matcher[] }[] {
  return [...expr.matchAll(/\b(relay_\w+)(?:\{([^}]*)\})?/g)].map(({ 1: name, 2: inner = '' }) => ({
    name,
    matchers: [...inner.matchAll(/\b(\w+)(=~|!=|=)"([^"]*)"/g)].map(([text, label, operator, written]): Matcher => {
      const value = written.replaceAll('\\\\', '\\')
      const pattern = new RegExp(`^(?:${value})$`)
      const tests = {
        '=': (it: string) => it === value, '!=': (it: string) => it !== value, '=~': (it: string) => pattern.test(it)
      }
      return { text, label, test: tests[operator as keyof typeof tests] }
    })
  }))
}

/** What all programs of a site say, after an event and a question. */
async function readLiveMetrics (t: TestContext): Promise<Sample[]> {
  await using opened = new AsyncDisposableStack()
  const log = createLogger('test', 'silent')
  const site = opened.use((await openIngestSite(t, 'postgres', async url => ({
    MQTT_PORT: String(await getPort({ host: '127.0.0.1' })), DATABASE_REPLICA_URL: url
  })))!)
  const environment = { ...site.environment, HEALTH_PORT: '0', LOG_LEVEL: 'silent' }
  const processor = opened.adopt(await startProcessor(readProcessorConfig(environment), log), it => it.close())
  const simulator = opened.adopt(await startSimulator(readSimulatorConfig(environment, []), log), it => it.close())
  const ask = async () => {
    const answer = await fetch(`${site.url}/api/v1/aggregates?start=2024-01-01T00:00:00Z&end=2024-01-02T00:00:00Z`, { headers: { authorization } })
    return answer.status
  }
  assert.equal((await site.post(JSON.stringify([eventOf(1)]))).status, 202)
  assert.equal(await ask(), 200)

  let samples: Sample[] = []
  const read = async (url: string) => parse(await (await fetch(url)).text())
  const probePort = await getPort({ host: '127.0.0.1' })
  const probe = spawnCli(
    { environment: { RELAY_URL: site.url, RELAY_TOKEN: TOKEN, API_TOKENS: '' } },
    ['probe', '--metrics-port', String(probePort)]
  )
  opened.defer(() => { probe.kill('SIGKILL') })
  const ports = [processor.healthPort, simulator.healthPort, probePort]
  const urls = [site.metricsUrl, ...ports.map(it => `http://127.0.0.1:${it}/metrics`)]
  await until('the partitions to be claimed, and the probe to be up', async () => {
    samples = (await Promise.all(urls.map(read)).catch(() => [])).flat()
    return ['relay_lag_records', 'relay_event_time_max_seconds', 'relay_api_lag_seconds'].every(
      name => samples.some(it => it.name === name)
    )
  })
  return samples
}

function parse (text: string): Sample[] {
  return text.split('\n').filter(it => it !== '' && !it.startsWith('#')).map(line => {
    const [, name, inner = ''] = line.match(/^(\w+)(?:\{([^}]*)\})? /)!
    return { name, labels: Object.fromEntries([...inner.matchAll(/\b(\w+)="([^"]*)"/g)].map(it => [it[1], it[2]])) }
  })
}
