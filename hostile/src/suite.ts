/**
 * The suite: one attack after the other on one site, while the honest client runs.
 *
 *     quiet ──▶ attack begins … ends ──▶ back to normal ──▶ looked at from inside ──▶ next attack
 *      p99        honest window             within a bound
 *
 * A window has about a hundred requests, so its p99 is its longest stall. A flush, a garbage collection, or other work
 * on the machine may fall into it, but rarely three times. So an attack that only fails by latency is repeated up to
 * three times, each compared with a new quiet p99. Recovery is always judged by the first quiet p99.
 */
import { setTimeout as delay } from 'node:timers/promises'

import { kindOf, type Attack } from './attack.ts'
import { attempt, type Attempt, type Parts, type SuiteSettings } from './attempt.ts'
import { startAttackers, type Honest } from './children.ts'
import type { HonestWindow } from './honest.ts'
import { ratioOf, slowestOf, spreadsOf, type Spreads } from './judge.ts'
import { judgeLasting } from './lasting.ts'
import type { Site } from './site.ts'

export interface AttackReport {
  readonly name: string
  readonly kind: string
  readonly who: string
  readonly input: string
  readonly holds: string
  readonly requests: number
  readonly codes: Readonly<Record<string, number>>
  readonly honest: Spreads
  /** p99 of the honest client, relative to the quiet one */
  readonly ratio: number
  readonly recoverySeconds: number
  readonly note: string
  readonly tries: number
  /** broken promises; empty: it did not succeed */
  readonly broken: readonly string[]
  /** hints for the diagnosis; empty if nothing was broken */
  readonly clues: readonly string[]
}

export interface Suite {
  readonly quiet: { readonly all: Spreads, readonly times: HonestWindow['times'] }
  readonly reports: readonly AttackReport[]
}

const REST_WINDOW_MS = 3_000
/** A site is at rest when so many windows in a row were not quieter than the best one before. */
const REST_WINDOWS = 3
const REST_MAX_MS = 90_000
/** A quiet window may be so many times slower than the best one; else it is measured again. */
const QUIET_RATIO_MAX = 1.5
const TRIES_MAX = 3
const QUIET_AGAIN_MS = 2_000

/**
 * Runs the attacks, one after the other.
 * @param report called for each attack after its judgement; again at the end for those that leave connections open,
 *   about these only
 */
export async function runSuite (
  site: Site, honest: Honest, attacks: readonly Attack[], settings: SuiteSettings, report: (it: AttackReport) => void
): Promise<Suite> {
  await using started = new AsyncDisposableStack()
  const attackers = started.adopt(await startAttackers(), it => it.close())
  /** holds open connections; not killed with an attack that hangs */
  const holders = started.adopt(await startAttackers(), it => it.close())

  const quietWindow = await measureAtRest(honest, settings.quietMs)
  const quiet = spreadsOf(quietWindow)
  if (quietWindow.failures.length > 0) {
    throw new Error(`the honest client fails on a quiet site: ${quietWindow.failures.join('; ')}`)
  }

  const reports = new Map<string, AttackReport>()
  const madeMs = new Map<string, number>()
  for (const [index, attack] of attacks.entries()) {
    const parts = {
      site, honest, attackers: attack.closedWithinMs === undefined ? attackers : holders, quiet, settings
    }
    const made = await make(attack, parts, index * TRIES_MAX)
    madeMs.set(attack.name, performance.now())
    reports.set(attack.name, made)
    report(made)
  }
  for (const { name, note, broken } of await judgeLasting(attacks, holders, madeMs)) {
    const before = reports.get(name)!
    const whole = {
      ...before, note: [before.note, note].filter(Boolean).join('; '), broken: [...before.broken, ...broken]
    }
    reports.set(name, whole)
    report({ ...whole, broken })
  }
  return { quiet: { all: quiet, times: quietWindow.times }, reports: [...reports.values()] }
}

/** Runs an attack, again if it only was slow. */
async function make (attack: Attack, parts: Omit<Parts, 'quietNow' | 'number'>, number: number): Promise<AttackReport> {
  const { honest, quiet } = parts
  const slowBefore: string[] = []
  for (let tries = 1; ; tries++) {
    const quietNow = tries === 1 ? quiet : worseOf(quiet, spreadsOf(await measureQuiet(honest, QUIET_AGAIN_MS)))
    const made = await attempt(attack, { ...parts, quietNow, number: number + tries }).catch(error => unreachable(
      parts.site, error as Error
    ))
    if (made.broken.length === 0 && made.slow.length > 0 && tries < TRIES_MAX) {
      slowBefore.push(...made.slow)
      continue
    }
    return describe(attack, made, { quietNow, tries, slowBefore })
  }
}

/** An attack after which the site is unreachable, for us too. */
async function unreachable (site: Site, error: Error): Promise<Attempt> {
  await site.restartPrograms()
  const window = { times: {}, failures: [], behindMs: 0, acknowledged: 0, visible: 0 }
  return {
    done: undefined,
    window,
    recoveryMs: 0,
    cpu: '',
    slow: [],
    broken: [`the site could not be looked at: ${error.message}`],
    logged: []
  }
}

interface Made { readonly quietNow: Spreads, readonly tries: number, readonly slowBefore: readonly string[] }

function describe (attack: Attack, made: Attempt, { quietNow, tries, slowBefore }: Made): AttackReport {
  const { done, window, recoveryMs, cpu, logged } = made
  const broken = [...made.broken, ...made.slow]
  return {
    name: attack.name,
    kind: kindOf(attack.name),
    who: attack.who,
    input: attack.input,
    holds: attack.holds ?? '',
    requests: done?.requests ?? 0,
    codes: done?.codes ?? {},
    honest: spreadsOf(window),
    ratio: ratioOf(quietNow, spreadsOf(window)),
    recoverySeconds: recoveryMs / 1_000,
    note: [done?.note, tries > 1 ? `try ${tries}, before: ${slowBefore.join('; ')}` : ''].filter(Boolean).join('; '),
    tries,
    broken,
    clues: broken.length === 0
      ? []
      : [`slowest: ${slowestOf(window)}`, `CPU, in percent of a core: ${cpu}`, ...logged.map(it => `log: ${it}`)]
  }
}

/** Waits until the preparations have no effect any more, on this site or its machine. @returns a window after that */
async function measureAtRest (honest: Honest, quietMs: number): Promise<HonestWindow> {
  const untilMs = performance.now() + REST_MAX_MS
  const isTime = () => performance.now() < untilMs
  const p99Of = (window: HonestWindow) => {
    const { all } = spreadsOf(window)
    return all.count > 0 && window.failures.length === 0 ? all.p99 : Infinity
  }
  let bestMs = Infinity
  for (let noBetter = 0; noBetter < REST_WINDOWS && isTime();) {
    const p99Ms = p99Of(await measureQuiet(honest, REST_WINDOW_MS))
    noBetter = p99Ms < bestMs ? 0 : noBetter + 1
    bestMs = Math.min(bestMs, p99Ms)
  }
  for (;;) {
    const window = await measureQuiet(honest, quietMs)
    if (p99Of(window) <= QUIET_RATIO_MAX * bestMs || !isTime()) return window
  }
}

async function measureQuiet (honest: Honest, ms: number): Promise<HonestWindow> {
  await honest.cut()
  await delay(ms)
  return await honest.cut()
}

/** The worse of the current and the earlier quiet times. */
function worseOf (quiet: Spreads, now: Spreads): Spreads {
  return now.all.p99 > quiet.all.p99 ? now : quiet
}
