/** `docker compose --profile monitoring up`: each part finds the others, and is given what is checked in. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test } from 'node:test'

import { WELL_KNOWN_TOKEN } from 'relay-access'
import { parse } from 'yaml'

import { skipWithout } from 'relay-test-support/debian-tool.ts'
import { alerts } from '../monitoring/alerts.ts'
import { readOverlay } from './support/cluster.ts'
import { environmentOf, readCompose } from './support/compose.ts'
import { environmentOf as environmentOfImage, ROOT } from './support/dockerfile.ts'

const { services } = readCompose()
const folder = join(ROOT, 'deploy/monitoring/compose')
const read = (file: string) => readFileSync(join(folder, file), 'utf8')
const config = parse(read('prometheus.yml')) as {
  readonly rule_files: readonly string[]
  readonly alerting: {
    readonly alertmanagers: ReadonlyArray<{
      readonly static_configs: ReadonlyArray<{ readonly targets: readonly string[] }>
    }>
  }
  readonly scrape_configs: ReadonlyArray<{
    readonly job_name: string
    readonly static_configs?: ReadonlyArray<{ readonly targets: readonly string[] }>
    readonly dns_sd_configs?: ReadonlyArray<{ readonly names: readonly string[], readonly port: number }>
  }>
}

test('it has a Prometheus, an Alertmanager, a Grafana, an exporter and a probe, which come only when they are asked for', () => {
  const asked = Object.entries(services).filter(([, it]) => it.profiles?.includes('monitoring'))
  assert.deepEqual(
    asked.map(([name]) => name).sort(), ['alertmanager', 'grafana', 'postgres-exporter', 'probe', 'prometheus']
  )
  for (const [name, { profiles, read_only: isReadOnly }] of asked) {
    assert.deepEqual(profiles, ['monitoring'], name)
    assert.equal(isReadOnly, true, name)
  }
})

test('what is mounted is here', () => {
  for (const [name, { volumes = [] }] of Object.entries(services)) {
    for (const it of volumes.filter(it => it.startsWith('./'))) assert.ok(existsSync(join(ROOT, it.split(':')[0])), `${name}: ${it}`)
  }
})

suite('Prometheus', () => {
  /** Host and port, by job. */
  const targets = new Map(config.scrape_configs.map(it => [it.job_name, it.static_configs?.[0].targets[0] ??
    `${it.dns_sd_configs![0].names[0]}:${it.dns_sd_configs![0].port}`]))

  test('scrapes each program where it serves metrics, under the job that alarms know', () => {
    const { METRICS_PORT } = environmentOfImage('api')
    assert.equal(targets.get('relay-api'), `api:${METRICS_PORT}`)
    for (const name of ['processor', 'simulator']) assert.equal(targets.get(`relay-${name}`), `${name}:${environmentOfImage(name).HEALTH_PORT}`)
    const port = services.probe.command!.find(it => it.startsWith('--metrics-port='))!.split('=')[1]
    assert.equal(targets.get('relay-probe'), `probe:${port}`)
    assert.ok(services.probe.command!.includes('--metrics-host=0.0.0.0'))
    assert.equal(targets.get('postgres'), 'postgres-exporter:9187')
    for (const [job, at] of targets) assert.ok(job === 'kafka' || at.split(':')[0] in services, at)
  })

  test('finds the metrics of Kafka by a name that only compose.kafka-metrics.yaml gives, at the port of its agent', () => {
    const { kafka } = readOverlay('compose.kafka-metrics.yaml').services
    const [, port, rules] = /^-javaagent:\/opt\/exporter\/agent\.jar=(\d+):\/opt\/exporter\/(\S+)$/.exec(environmentOf(kafka).KAFKA_OPTS)!
    assert.equal(targets.get('kafka'), `${kafka.networks!.default.aliases[0]}:${port}`)
    const context = (kafka.build as { readonly context: string }).context
    const dockerfile = readFileSync(join(ROOT, context, 'Dockerfile'), 'utf8')
    assert.equal(/^FROM (.*)$/m.exec(dockerfile)![1], services.kafka.image)
    assert.ok(dockerfile.includes(`COPY ${rules} /opt/exporter/`) && existsSync(join(ROOT, context, rules)))
    const pom = readFileSync(join(ROOT, 'relay-stack/kafka/exporter/pom.xml'), 'utf8')
    const version = /jmx_prometheus_javaagent<\/artifactId>\s*<version>([^<]+)/.exec(pom)![1]
    assert.ok(dockerfile.includes(`/${version}/jmx_prometheus_javaagent-${version}.jar`))
  })

  test('calls the Alertmanager, and keeps what budgets are counted of', () => {
    assert.deepEqual(config.alerting.alertmanagers[0].static_configs[0].targets, ['alertmanager:9093'])
    const days = Number(services.prometheus.command!.join(' ').match(/retention\.time=(\d+)d/)![1])
    assert.ok(days >= 30)
  })

  test('takes its settings, with the rules that are mounted', { skip: skipWithout('promtool', 'prometheus') }, t => {
    const mounted = Object.fromEntries(
      services.prometheus.volumes!.map(it => it.split(':')).map(([from, to]) => [to, join(ROOT, from)])
    )
    const place = mkdtempSync(join(tmpdir(), 'relay-compose-'))
    t.after(() => rmSync(place, { recursive: true }))
    const file = join(place, 'prometheus.yml')
    const [rules] = config.rule_files
    assert.ok(mounted[rules].endsWith('deploy/monitoring/relay.rules.yml'))
    writeFileSync(file, read('prometheus.yml').replace(rules, mounted[rules]))
    const { status, stdout, stderr } = spawnSync('promtool', ['check', 'config', file], { encoding: 'utf8' })
    assert.equal(status, 0, stdout + stderr)
  })
})

suite('the Alertmanager', () => {
  const amtool = (...args: string[]) => spawnSync('amtool', [...args], { encoding: 'utf8' })
  const file = join(folder, 'alertmanager.yml')

  test('takes its settings, and pages for a page', { skip: skipWithout('amtool', 'prometheus-alertmanager') }, () => {
    const { status, stdout, stderr } = amtool('check-config', file)
    assert.equal(status, 0, stdout + stderr)
    const severities = new Set(alerts.flatMap(it => Object.keys(it.rules)))
    const receivers = { page: 'pager', ticket: 'tickets' } as Record<string, string>
    for (const severity of severities) {
      const routed = amtool('config', 'routes', 'test', `--config.file=${file}`, `severity=${severity}`, 'alertname=RelayLagOld')
      assert.equal(routed.stdout.trim(), receivers[severity])
    }
  })
})

suite('Grafana', () => {
  const mounts = services.grafana.volumes!.map(it => it.split(':'))
  const mounted = (path: string) => {
    const [from, to] = mounts.find(([, to]) => path === to || path.startsWith(`${to}/`))!
    return join(ROOT, from, path.slice(to.length))
  }

  test('has the dashboards that are checked in, and asks that Prometheus', () => {
    const [{ url, uid, type }] = parse(
      readFileSync(mounted('/etc/grafana/provisioning/datasources/prometheus.yml'), 'utf8')
    ).datasources
    assert.deepEqual([url, uid, type], ['http://prometheus:9090', 'prometheus', 'prometheus'])
    const [{ options }] = parse(
      readFileSync(mounted('/etc/grafana/provisioning/dashboards/relay.yml'), 'utf8')
    ).providers
    assert.equal(mounted(options.path), join(ROOT, 'deploy/monitoring/dashboards'))
    assert.ok(readdirSync(mounted(options.path)).length >= 6)
    assert.ok(existsSync(mounted(String(services.grafana.environment.GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH))))
  })
})

test('the exporter measures backups as well', () => {
  const exporter = services['postgres-exporter']
  const path = environmentOf(exporter).PG_EXPORTER_EXTEND_QUERY_PATH
  const [from] = exporter.volumes!.map(it => it.split(':')).find(([, to]) => to === path)!
  assert.ok(existsSync(join(ROOT, from)))
})

test('the exporter logs in as PostgreSQL was set up, and the probe with a token that the API takes', () => {
  for (const given of [{}, { POSTGRES_PASSWORD: 'another' }] as Record<string, string>[]) {
    const { 'postgres-exporter': exporter, postgres } = readCompose(given).services
    const { DATA_SOURCE_URI, DATA_SOURCE_USER, DATA_SOURCE_PASS } = environmentOf(exporter)
    const { POSTGRES_DB, POSTGRES_USER, POSTGRES_PASSWORD } = environmentOf(postgres)
    assert.deepEqual([DATA_SOURCE_URI, DATA_SOURCE_USER, DATA_SOURCE_PASS], [`postgres:5432/${POSTGRES_DB}?sslmode=disable`, POSTGRES_USER, POSTGRES_PASSWORD])
  }
  const { RELAY_URL, RELAY_TOKEN } = environmentOf(services.probe)
  assert.equal(RELAY_URL, `http://api:${environmentOfImage('api').API_PORT}`)
  assert.equal(RELAY_TOKEN, WELL_KNOWN_TOKEN)
  assert.equal(readCompose({ RELAY_TOKEN: 'mine' }).services.probe.environment.RELAY_TOKEN, 'mine')
})
