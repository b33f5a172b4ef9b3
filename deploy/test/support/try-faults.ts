/**
 * Makes faults happen to a watched site, and compares whom they call with `fault-alarms.ts`. Lengths of time are
 * shorter.
 *
 *     quiet, a restart ──▶ nothing            a fault ──▶ what it must call, and pages that may be  ──recovery──▶ nothing
 *
 * Two things are left out, as they are of the machine and of hours: pages about speed, which a busy machine earns, and
 * tickets about budgets, whose windows are days.
 */
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'

import { isRunning } from 'relay-common'

import { hang } from 'relay-test-support/hang.ts'
import { whyNoSmallDisk } from 'relay-test-support/small-disk.ts'
import { until } from 'relay-test-support/until.ts'
import { faultAlarms, type FaultAlarms, type FaultName } from '../../monitoring/fault-alarms.ts'
import { openWatchedSite, type WatchedSite } from './watched-site.ts'

/** Five minutes of a rule are fifteen seconds here; `for` is still longer than a restart. */
const SCALE = 20
/** pages about budgets end with their window of 30 minutes: 45 seconds here */
const BUDGET_SCALE = 40
const INTERVAL_MS = 2_000
const FOR_MIN_MS = 120_000 / SCALE
/** of all programs */
const CALM_SCRAPES = 24
const ENDS_WITHIN_MS = 120_000
/** what takes its time whatever the rules say: breakers, probes, 10 bad events */
const SLACK_MS = 60_000

const isOfDisk = (name: FaultName) => name.endsWith('disk-full')
const ofSpeed = ['RelayAnswersSlow', 'RelayRollupsLate', 'RelayLagOld']
const ofBudgets = ['RelayAnswersFailing', 'RelayAnswersSlow', 'RelayEventsNotAccepted', 'RelayRollupsLate']

/** Each begins a fault. @returns what ends it */
const begin: Readonly<Record<FaultName, (site: WatchedSite) => Promise<() => Promise<void> | void>>> = {
  'processor-stopped': async ({ processor }) => {
    await processor.stop()
    return processor.start
  },
  'processor-hung': async ({ processor }) => hang(processor.pid).goOn,
  'api-stopped': async ({ api }) => {
    await api.stop()
    return api.start
  },
  'postgres-hung': async ({ database }) => hang(database.pid).goOn,
  'postgres-stopped': async site => {
    const { promise: healed, resolve: heal } = Promise.withResolvers<void>()
    const restarted = site.restartDatabase(() => healed)
    return async () => {
      heal()
      await restarted
    }
  },
  'no-events': async ({ sendRaw }) => {
    await sendRaw(Array.from({ length: 100 }, (_, n) => ({ key: `device-${n}`, value: 'no event at all' })))
    return () => {}
  },
  'wrong-answer': async ({ post, probe }) => {
    const timestamp = new Date().toISOString()
    const foreign = { deviceId: 'relay-probe', zone: 'relay-probe', deviceType: 'THERMOSTAT', value: 1_000, timestamp }
    assert.equal((await post(JSON.stringify([foreign]))).status, 202)
    return async () => { // one that is started again knows nothing of what was before
      await probe.stop()
      await probe.start()
    }
  },
  'way-cut': async ({ way }) => {
    way.isRefusing = true
    way.cut()
    return () => { way.isRefusing = false }
  },
  'kafka-hung': async ({ kafka }) => hang(kafka!.pid).goOn,
  'kafka-slow': async ({ wayToKafka }) => {
    wayToKafka!.delayMs = 600 // of a request, and again of its answer
    return () => { wayToKafka!.delayMs = 0 }
  },
  'kafka-disk-full': async ({ disks, kafka }) => {
    const free = await disks!.kafka.fill()
    return async () => {
      await free()
      await kafka!.restart()
    }
  },
  'database-disk-full': async site => {
    const free = await site.disks!.database.fill()
    return async () => {
      await free()
      if (!isRunning(site.database.pid)) await site.restartDatabase(async () => {})
    }
  },
  'collector-away': async ({ wayToCollector }) => {
    wayToCollector.isRefusing = true
    wayToCollector.cut()
    return () => { wayToCollector.isRefusing = false }
  },
  'database-restored': async site => {
    await site.restartDatabase(() => site.servers.copy('watched', 'older'))
    const before = await site.countReadings()
    await until('readings that the copy lacks', async () => await site.countReadings() > before + 20)
    await site.restartDatabase(() => site.servers.copy('older', 'watched'))
    return () => {}
  }
}

/** Tries these faults on one site, one after the other. They have to have one event log. */
export async function tryFaults (t: TestContext, asked: readonly FaultName[]): Promise<void> {
  const whyNoDisk = asked.some(isOfDisk) && whyNoSmallDisk()
  if (whyNoDisk) t.diagnostic(`full disks are not tried: ${whyNoDisk}`)
  const names = whyNoDisk ? asked.filter(it => !isOfDisk(it)) : asked
  if (names.length === 0) return t.skip(String(whyNoDisk))
  const { eventLog } = faultAlarms[names[0]]
  await using site = await openWatchedSite(t, {
    eventLog,
    hasSmallDisks: names.some(isOfDisk),
    watch: { intervalMs: INTERVAL_MS, scale: SCALE, budgetScale: BUDGET_SCALE }
  })
  if (!site) return
  const alarms = new Alarms(site)
  await alarms.untilNothing('a start', [])
  await isQuiet(t, site, alarms)
  for (const [n, name] of names.entries()) {
    if (n > 0) await site.watchAnew() // else a budget that the fault before has burnt pages for a few more bad events
    await tryFault(t, site, alarms, name)
  }
}

async function isQuiet (t: TestContext, site: WatchedSite, alarms: Alarms): Promise<void> {
  const beganMs = performance.now()
  const fromScrape = await countScrapes(site)
  await site.processor.stop()
  await site.processor.start()
  const restartMs = performance.now() - beganMs
  await until('scrapes of a quiet site', async () => await countScrapes(site) >= fromScrape + CALM_SCRAPES)
  const fired = (await alarms.firedSince(beganMs)).filter(isTold([]))
  // a machine that takes so long for a restart is not one that nothing is amiss with
  if (restartMs + 2 * INTERVAL_MS < FOR_MIN_MS) {
    assert.deepEqual(
      fired, [], 'nothing was amiss, and a processor was restarted'
    )
  } else t.diagnostic(`a restart took ${restartMs.toFixed(0)} ms, and ${fired.length} alarms fired`)
}

async function countScrapes ({ prometheus }: WatchedSite): Promise<number> {
  return (await prometheus.query('sum(count_over_time(up[1h]))'))[0]?.value ?? 0
}

async function tryFault (t: TestContext, site: WatchedSite, alarms: Alarms, name: FaultName): Promise<void> {
  const { what, pages, laterPages, tickets, withinMinutes }: FaultAlarms = faultAlarms[name]
  const must = [...pages.map(it => `page ${it}`), ...tickets.map(it => `ticket ${it}`)]
  const beganMs = performance.now()
  const end = await begin[name](site)
  let fired: string[] = []
  try {
    await until(() => `${must.join(', ')} while ${what}, and saw ${fired.join(', ')}`, async () => {
      fired = await alarms.firedSince(beganMs)
      return must.every(it => fired.includes(it))
    }, withinMinutes * 60_000 / SCALE + SLACK_MS)
  } finally {
    await end()
  }
  const firedMs = performance.now() - beganMs
  await alarms.untilNothing(what, must)
  const all = await alarms.firedSince(beganMs)
  t.diagnostic(`${name}: ${fired.join(', ')} after ${(firedMs / 1000).toFixed(0)} s, over after ${((performance.now() - beganMs) / 1000).toFixed(0)} s`)
  const known = [...pages, ...laterPages, ...ofSpeed]
  assert.deepEqual(all.filter(it => it.startsWith('page') && !known.includes(it.split(' ')[1])), [], `pages while ${what}`)
}

/**
 * What is told of a site that is well: not what is of speed or of budgets, but for those that a fault must have called.
 */
function isTold (must: readonly string[]): (fired: string) => boolean {
  return fired => {
    const [severity, name] = fired.split(' ')
    if (severity === 'ticket') return !ofBudgets.includes(name)
    return must.includes(fired) || !ofSpeed.includes(name)
  }
}

/** Alarms that fire, as `page RelayEventsLost`. */
class Alarms {
  readonly #site: WatchedSite

  constructor (site: WatchedSite) {
    this.#site = site
  }

  /** @param ms of `performance.now()`; what fired before that is not among them */
  async firedSince (ms: number): Promise<string[]> {
    return await this.#named(`last_over_time(ALERTS{alertstate="firing"}[${Math.max(1, Math.floor(performance.now() - ms))}ms])`)
  }

  /** Waits until no alarm fires. */
  async untilNothing (after: string, must: readonly string[]): Promise<void> {
    let firing: string[] = []
    await until(() => `all alarms to end after: ${after}; and saw ${firing.join(', ')}`, async () => {
      firing = (await this.#named('ALERTS{alertstate="firing"}')).filter(isTold(must))
      return firing.length === 0
    }, ENDS_WITHIN_MS)
  }

  async #named (query: string): Promise<string[]> {
    const alarms = await this.#site.prometheus.query(query)
    return [...new Set(alarms.map(({ metric }) => `${metric.severity} ${metric.alertname}`))].sort()
  }
}
