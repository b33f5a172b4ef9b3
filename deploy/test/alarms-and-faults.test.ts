/**
 * A real Prometheus beside real faults, with lengths of time that are shorter: which alarms fire, that no other page does, and that
 * all of them end.
 *
 *     quiet, a restart ──▶ nothing            a fault ──▶ what it must call, and pages that may be  ──recovery──▶ nothing
 *
 * Two things are left out, as they are of the machine and of hours: pages about speed, which a busy machine earns, and tickets about
 * budgets, whose windows are days.
 */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { test, type TestContext } from 'node:test'

import getPort from 'get-port'
import { createLogger, openDatabase, openEventLog } from 'relay-common'

import { startApi } from '../../relay-api/src/app.ts'
import { readApiConfig } from '../../relay-api/src/config.ts'
import { authorization, eventOf, poster } from '../../relay-api/test/support/ingest-site.ts'
import { TOKEN } from '../../relay-api/test/support/ask.ts'
import { readProcessorConfig } from '../../relay-processor/src/config.ts'
import { startProcessor } from '../../relay-processor/src/processor.ts'
import { hang } from '../../test-support/hang.ts'
import { openOwnServers } from '../../test-support/own-servers.ts'
import { until } from '../../test-support/until.ts'
import { renderRules } from '../monitoring/render.ts'

const host = '127.0.0.1'
const log = createLogger('test', 'silent')
const hasPrometheus = spawnSync('prometheus', ['--version']).error === undefined
const withPrometheus = {
  timeout: 580_000, skip: hasPrometheus || process.env.CI ? false : 'there is no prometheus here (Debian: apt-get install prometheus)'
}

/** Five minutes of a rule are twenty seconds here; `for` is still longer than a restart. */
const SCALE = 15
const FOR_MIN_MS = 120_000 / SCALE
const SCRAPE_MS = 2_000
const LOAD_EVERY_MS = 100
/** of both programs */
const CALM_SCRAPES = 20
const LIMIT_MS = 240_000

const ofSpeed = ['RelayAnswersSlow', 'RelayRollupsLate', 'RelayLagOld']
const ofBudgets = ['RelayAnswersFailing', 'RelayAnswersSlow', 'RelayEventsNotAccepted', 'RelayRollupsLate']

interface Fault {
  readonly name: string
  /** alarms that must fire, with their severity */
  readonly must: readonly string[]
  /** pages that may: what users see of the same fault */
  readonly mayPage?: readonly string[]
  /** Begins it. @returns what ends it */
  begin (site: Site): Promise<() => Promise<void> | void>
}

const faults: readonly Fault[] = [
  {
    name: 'the processor is away',
    must: ['page RelayProcessorAbsent', 'ticket RelayTargetDown'],
    begin: async site => {
      await site.stopProcessor()
      return site.startProcessor
    }
  },
  {
    name: 'devices send what is no event',
    must: ['ticket RelayDeadLetters'],
    begin: async site => {
      await site.sendRaw(Array.from({ length: 100 }, (_, n) => ({ key: `device-${n}`, value: 'no event at all' })))
      return () => {}
    }
  },
  {
    name: 'PostgreSQL hangs',
    must: ['page RelayAnswersFailing', 'page RelayEventsNotAccepted', 'ticket RelayServerAway', 'ticket RelayDegraded'],
    mayPage: ['RelayFlushStalled'],
    begin: async site => {
      const hung = hang(site.databasePid)
      return () => hung[Symbol.dispose]()
    }
  }
]

test('each fault calls whom it should, nobody else is woken, and all of it ends', withPrometheus, async t => {
  await using site = await openSite(t)
  await site.untilScraped()
  await site.untilNothing('a quiet site', [])

  const calmFromMs = performance.now()
  const fromScrape = await site.countScrapes()
  await site.stopProcessor()
  await site.startProcessor()
  const restartMs = performance.now() - calmFromMs
  await until('scrapes of a quiet site', async () => await site.countScrapes() >= fromScrape + CALM_SCRAPES)
  const fired = (await site.firedWithin(performance.now() - calmFromMs)).filter(isTold([]))
  // a machine that takes so long for a restart is not one that nothing is amiss with
  if (restartMs + 2 * SCRAPE_MS < FOR_MIN_MS) assert.deepEqual(fired, [], 'nothing was amiss, and a processor was restarted')
  else t.diagnostic(`a restart took ${restartMs.toFixed(0)} ms, and ${fired.length} alarms fired`)

  for (const { name, must, mayPage = [], begin } of faults) {
    const beganMs = performance.now()
    const end = await begin(site)
    let fired: string[] = []
    try {
      await until(() => `${must.join(', ')} while ${name}, and saw ${fired.join(', ')}`, async () => {
        fired = await site.firedWithin(performance.now() - beganMs)
        return must.every(it => fired.includes(it))
      }, LIMIT_MS)
    } finally {
      await end()
    }
    t.diagnostic(`${name}: ${fired.join(', ')} after ${((performance.now() - beganMs) / 1000).toFixed(0)} s`)
    await site.untilNothing(name, must)
    const pages = (await site.firedWithin(performance.now() - beganMs)).filter(it => it.startsWith('page')).map(it => it.slice('page '.length))
    const known = [...must.map(it => it.split(' ')[1]), ...mayPage, ...ofSpeed]
    assert.deepEqual(pages.filter(it => !known.includes(it)), [], `pages while ${name}`)
  }
})

/** What is told of a site that is well: not what is of speed or of budgets, but for those that a fault must have called. */
function isTold (must: readonly string[]): (fired: string) => boolean {
  return fired => {
    const [severity, name] = fired.split(' ')
    if (severity === 'ticket') return !ofBudgets.includes(name)
    return must.includes(fired) || !ofSpeed.includes(name)
  }
}

interface Site extends AsyncDisposable {
  readonly databasePid: number
  startProcessor (): Promise<void>
  stopProcessor (): Promise<void>
  sendRaw (records: readonly { key: string, value: string }[]): Promise<void>
  untilScraped (): Promise<void>
  /** since the start, of all programs */
  countScrapes (): Promise<number>
  /** Waits until no alarm fires. */
  untilNothing (after: string, must: readonly string[]): Promise<void>
  /** Alarms that have fired within the last ms, as `page RelayEventsLost`. */
  firedWithin (ms: number): Promise<string[]>
}

async function openSite (t: TestContext): Promise<Site> {
  await using opened = new AsyncDisposableStack()
  const server = await (await openOwnServers(t)).start('watched', await getPort({ host }))
  const [healthPort, metricsPort, prometheusPort] = [await getPort({ host }), await getPort({ host }), await getPort({ host })]
  const environment = {
    DATABASE_URL: server.url('postgres'),
    EVENT_LOG: 'postgres',
    EVENTS_TOPIC: 'iot-events',
    EVENTS_PARTITIONS: '4',
    API_TOKENS: TOKEN,
    API_PORT: '0',
    METRICS_PORT: String(metricsPort),
    HEALTH_PORT: String(healthPort),
    LOG_LEVEL: 'silent'
  }
  const api = opened.adopt(await startApi(readApiConfig(environment), log), it => it.close())
  let processor = await startProcessor(readProcessorConfig(environment), log)
  opened.defer(() => processor.close())
  const database = opened.adopt(await openDatabase(readProcessorConfig(environment), 'test', log), it => it.close())
  const eventLog = opened.adopt(await openEventLog(readProcessorConfig(environment), database, log), it => it.close())
  const producer = opened.adopt(await eventLog.openProducer(), it => it.close())
  opened.adopt(startLoad(`http://${host}:${api.port}`), it => it.close())
  const url = await startPrometheus(t, opened, prometheusPort, { 'relay-api': metricsPort, 'relay-processor': healthPort })

  const query = async (text: string) => {
    const answer = await fetch(`${url}/api/v1/query?${new URLSearchParams({ query: text })}`)
    assert.equal(answer.status, 200, await answer.clone().text())
    return (await answer.json() as { data: { result: { metric: Record<string, string> }[] } }).data.result.map(it => it.metric)
  }
  const countScrapes = async () => {
    const answer = await fetch(`${url}/api/v1/query?${new URLSearchParams({ query: 'sum(count_over_time(up[1h]))' })}`)
    const { data } = await answer.json() as { data: { result: { value: [number, string] }[] } }
    return Number(data.result[0]?.value[1] ?? 0)
  }
  const named = (alarms: readonly Record<string, string>[]) =>
    [...new Set(alarms.map(it => `${it.severity} ${it.alertname}`))].sort()
  const running = opened.move()
  return {
    databasePid: server.pid,
    async startProcessor () { processor = await startProcessor(readProcessorConfig(environment), log) },
    stopProcessor: () => processor.close(),
    sendRaw: records => producer.send('iot-events', records),
    untilScraped: () => until('both targets to be up', async () => (await query('up == 1')).length === 2),
    countScrapes,
    async untilNothing (after, must) {
      let firing: string[] = []
      await until(() => `all alarms to end after ${after}, and saw ${firing.join(', ')}`, async () => {
        firing = named(await query('ALERTS{alertstate="firing"}')).filter(isTold(must))
        return firing.length === 0
      }, LIMIT_MS)
    },
    firedWithin: async ms => named(await query(`last_over_time(ALERTS{alertstate="firing"}[${Math.ceil(ms / 1000)}s])`)),
    [Symbol.asyncDispose]: () => running.disposeAsync()
  }
}

/** Questions that need the database, and events of now: what devices and dashboards do. */
function startLoad (url: string): { close (): Promise<void> } {
  const over = new AbortController()
  const post = poster(url)
  const send = async (n: number) => {
    const now = new Date().toISOString()
    await Promise.allSettled([
      post(JSON.stringify([eventOf(n, { timestamp: now })])),
      fetch(`${url}/api/v1/aggregates?start=-${1 + n % 60}m`, { headers: { authorization } }).then(it => it.text())
    ])
  }
  const done = (async () => {
    for (let n = 0; !over.signal.aborted; n++) {
      await Promise.race([send(n), delay(LOAD_EVERY_MS)])
      await delay(LOAD_EVERY_MS, undefined, { signal: over.signal }).catch(() => {})
    }
  })()
  return {
    close: async () => {
      over.abort()
      await done
    }
  }
}

/** @returns its address */
async function startPrometheus (
  t: TestContext, opened: AsyncDisposableStack, port: number, jobs: Readonly<Record<string, number>>
): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'relay-alarms-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  await writeFile(join(folder, 'relay.rules.yml'), renderRules(SCALE))
  await writeFile(join(folder, 'prometheus.yml'), `
global: { scrape_interval: ${SCRAPE_MS}ms, evaluation_interval: 1s }
rule_files: [relay.rules.yml]
scrape_configs:
${Object.entries(jobs).map(([job, at]) => `  - { job_name: ${job}, static_configs: [{ targets: ['${host}:${at}'] }] }`).join('\n')}
`)
  const prometheus = spawn('prometheus', [
    `--config.file=${join(folder, 'prometheus.yml')}`, `--storage.tsdb.path=${join(folder, 'data')}`, `--web.listen-address=${host}:${port}`
  ], { stdio: 'ignore' })
  const exited = once(prometheus, 'exit')
  opened.defer(async () => {
    prometheus.kill('SIGTERM')
    await exited
  })
  const url = `http://${host}:${port}`
  await until('Prometheus to be ready', () => fetch(`${url}/-/ready`).then(it => it.ok, () => false))
  return url
}
