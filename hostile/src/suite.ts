/**
 * The suite: one attack after the other on one site, with the honest client beside each of them.
 *
 *     quiet ──▶ attack begins … ends ──▶ back to normal ──▶ looked at from inside ──▶ next attack
 *      p99        honest window             within a bound
 *
 * An attack whose only fault is time is made again, up to three times, each time beside a quiet p99 that is measured right
 * before: a flush, a collection of garbage, or whatever else runs on the machine may fall into a window by chance, and does so
 * seldom three times. That the site is back to normal is always judged by the first quiet p99.
 */
import { hash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'

import { keyOf, kindOf, type Attack } from './attack.ts'
import type { Done } from './attacker-process.ts'
import { startAttackers, type Attackers, type Honest } from './children.ts'
import type { HonestWindow } from './honest.ts'
import { classes, judgeHonest, spreadsOf, worstRatio, type Spreads } from './judge.ts'
import { isReady, type Observed, type Site } from './site.ts'

export interface AttackReport {
  readonly name: string
  readonly kind: string
  readonly who: string
  readonly input: string
  readonly holds: string
  readonly requests: number
  readonly codes: Readonly<Record<string, number>>
  readonly honest: Spreads
  /** p99 of the honest client's worst class, to the quiet one */
  readonly ratio: number
  readonly recoverySeconds: number
  readonly note: string
  readonly tries: number
  /** promises that were broken; empty: it did not succeed */
  readonly broken: readonly string[]
}

export interface SuiteSettings {
  readonly seed: number
  /** generated requests of an attack that has a generator */
  readonly generated: number
  /** ms of an attack that does not say how long it goes on */
  readonly spanMs: number
  readonly quietMs: number
}

export interface Suite {
  readonly quiet: { readonly all: Spreads, readonly times: HonestWindow['times'] }
  readonly reports: readonly AttackReport[]
}

/** Bounds that hold for every attack. Memory is of a process, resident; what it had before the attack counts in it. */
export const bounds = {
  recoveryMs: 20_000,
  memoryMb: { api: 900, processor: 1_500, 'a backend of PostgreSQL': 400 } as Readonly<Record<string, number>>,
  /** rollup tables have so many partitions at most, whatever was sent */
  partitions: 500,
  /** what API and processor may log on behalf of strangers and careless clients: 0.1 MB a second is 8 GB a day */
  logBytes: 500_000,
  logBytesPerSecond: 100_000
}

/** A window in which the honest client was served as usual ends the wait for it. */
const RECOVERY_WINDOW_MS = 400
/** After so long an attack has left the site useless, and its programs are started again for the sake of the others. */
const GIVEN_UP_MS = 45_000
/** The window of an attack is at least so long: it needs samples. */
const WINDOW_MIN_MS = 1_200
const WARM_UP_MS = 3_000
const TRIES_MAX = 3
const QUIET_AGAIN_MS = 2_000
const LOOK_EVERY_MS = 700
/** An attack waits for its last answers, and then its process is killed. */
const ENDS_WITHIN_MS = 30_000

/**
 * Makes the attacks, one after the other.
 * @param report hears of each attack as soon as it is judged; of one that leaves connections open once more in the end, with
 *   what is broken about those alone
 */
export async function runSuite (
  site: Site, honest: Honest, attacks: readonly Attack[], settings: SuiteSettings, report: (it: AttackReport) => void
): Promise<Suite> {
  await using started = new AsyncDisposableStack()
  const attackers = started.adopt(await startAttackers(), it => it.close())
  /** what leaves connections open; not killed with an attack that hangs */
  const holders = started.adopt(await startAttackers(), it => it.close())

  await delay(WARM_UP_MS)
  const quietWindow = await measureQuiet(honest, settings.quietMs)
  const quiet = spreadsOf(quietWindow)
  if (quietWindow.failures.length > 0) throw new Error(`the honest client fails on a quiet site: ${quietWindow.failures.join('; ')}`)

  const reports: AttackReport[] = []
  const opened = new Map<string, number>()
  for (const [number, attack] of attacks.entries()) {
    const parts = { site, honest, attackers: attack.closedWithinMs === undefined ? attackers : holders, quiet, settings, number }
    let made = await make(attack, parts)
    for (let tries = 2; tries <= TRIES_MAX && made.broken.length === 0 && made.slow.length > 0; tries++) {
      made = await make(attack, { ...parts, quietNow: worseOf(quiet, await measureQuiet(honest, QUIET_AGAIN_MS)) }, tries)
    }
    opened.set(attack.name, performance.now())
    const done = { ...made.report, broken: [...made.broken, ...made.slow] }
    reports.push(done)
    report(done)
  }
  await judgeLasting(attacks, holders, opened, reports, report)
  return { quiet: { all: quiet, times: quietWindow.times }, reports }
}

async function measureQuiet (honest: Honest, ms: number): Promise<HonestWindow> {
  await honest.cut()
  await delay(ms)
  return await honest.cut()
}

/** The quiet times of now, where they are worse than those of before. */
function worseOf (quiet: Spreads, now: HonestWindow): Spreads {
  const spreads = spreadsOf(now)
  return Object.fromEntries(classes.map(it => [it, spreads[it].p99 > quiet[it].p99 ? spreads[it] : quiet[it]])) as unknown as Spreads
}

interface Parts {
  readonly site: Site
  readonly honest: Honest
  readonly attackers: Attackers
  readonly quiet: Spreads
  /** that was measured right before; default: the one of the beginning */
  readonly quietNow?: Spreads
  readonly settings: SuiteSettings
  readonly number: number
}

interface Made { readonly report: Omit<AttackReport, 'broken'>, readonly broken: readonly string[], readonly slow: readonly string[] }

async function make (attack: Attack, parts: Parts, tries = 1): Promise<Made> {
  const { site, honest, quiet, quietNow = quiet, settings, number } = parts
  const key = keyOf(attack)
  const token = key === undefined ? '' : await site.makeKey(`${attack.name} ${tries}`, key)
  const before = await site.observe()
  await honest.cut()

  const startedMs = performance.now()
  const watch = watchSite(site)
  const done = await runOne(attack, parts, token)
  const tookMs = performance.now() - startedMs
  await delay(Math.max(200, WINDOW_MIN_MS - tookMs))
  const window = await honest.cut()
  const recovery = await recover(parts)
  const isCaughtUp = await site.caughtUp(bounds.recoveryMs)
  const seen = await watch.end()
  const after = await site.observe()

  const { slow, broken } = judgeHonest(quietNow, window)
  const verified = attack.verify ? await attack.verify(site) : []
  const isSlow = recovery.wrong.length > 0
  return {
    report: {
      name: attack.name,
      kind: kindOf(attack.name),
      who: attack.who,
      input: attack.input,
      holds: attack.holds ?? '',
      requests: done?.requests ?? 0,
      codes: done?.codes ?? {},
      honest: spreadsOf(window),
      ratio: worstRatio(quietNow, spreadsOf(window)),
      recoverySeconds: recovery.ms / 1_000,
      note: done?.note ?? '',
      tries
    },
    slow: isSlow ? [] : slow,
    broken: [
      ...broken, ...isSlow ? slow : [], ...recovery.wrong, ...seen,
      ...isCaughtUp ? [] : [`what was sent was not in the rollups after ${bounds.recoveryMs / 1_000} s`], ...judgeObserved(before, after, performance.now() - startedMs),
      ...done === undefined ? ['the attack did not end in time: the site let it wait'] : done.broken, ...verified
    ]
  }

  async function runOne (attack: Attack, { attackers }: Parts, token: string): Promise<Done | undefined> {
    const spanMs = attack.spanMs ?? settings.spanMs
    const seed = hash('sha256', `${settings.seed} ${attack.name}`, 'buffer').readUInt32BE()
    const target = site.target(token)
    const order = { kind: 'run', name: attack.name, number: number * TRIES_MAX + tries, target, seed, spanMs, generated: settings.generated } as const
    return await attackers.run(order, spanMs * 2 + ENDS_WITHIN_MS)
  }
}

/** Waits until the honest client is served as on a quiet site. */
async function recover ({ site, honest, quiet }: Parts): Promise<{ readonly ms: number, readonly wrong: readonly string[] }> {
  const startedMs = performance.now()
  const passed = () => performance.now() - startedMs
  for (;;) {
    await delay(RECOVERY_WINDOW_MS)
    const { slow, broken } = judgeHonest(quiet, await honest.cut())
    if (slow.length + broken.length === 0) break
    if (passed() < GIVEN_UP_MS) continue
    const wrong = `it was not back to normal within ${GIVEN_UP_MS / 1_000} s, and had to be started again: ${[...broken, ...slow].join('; ').slice(0, 300)}`
    await site.restartPrograms()
    for (const untilMs = performance.now() + GIVEN_UP_MS; performance.now() < untilMs; await delay(RECOVERY_WINDOW_MS)) {
      const { slow, broken } = judgeHonest(quiet, await honest.cut())
      if (slow.length + broken.length === 0) break
    }
    return { ms: passed(), wrong: [wrong] }
  }
  const ms = passed()
  const wrong = ms > bounds.recoveryMs ? [`it was back to normal after ${(ms / 1_000).toFixed(0)} s; ${bounds.recoveryMs / 1_000} s are allowed`] : []
  return { ms, wrong }
}

/** Looks at memory and readiness while an attack goes on. */
function watchSite (site: Site): { end (): Promise<string[]> } {
  const largestMb: Record<string, number> = {}
  const ending = new AbortController()
  let notReadyMs = 0
  const watching = (async () => {
    while (!ending.signal.aborted) {
      const lookedMs = performance.now()
      const observed = await site.observe().catch(() => undefined)
      for (const [program, mb] of Object.entries(observed?.memoryMb ?? {})) largestMb[program] = Math.max(largestMb[program] ?? 0, mb)
      const ready = await Promise.all([isReady(site.apiPort), isReady(site.processorPort)])
      await delay(LOOK_EVERY_MS, undefined, { signal: ending.signal }).catch(() => {})
      if (ready.includes(false)) notReadyMs += performance.now() - lookedMs
    }
  })()
  return {
    async end () {
      ending.abort()
      await watching
      const fat = Object.entries(largestMb).filter(([program, mb]) => mb > bounds.memoryMb[program])
      return [
        ...fat.map(([program, mb]) => `${program} had ${mb} MB; ${bounds.memoryMb[program]} are allowed`),
        ...notReadyMs > 2_000 ? [`a program was not ready for ${(notReadyMs / 1_000).toFixed(1)} s`] : []
      ]
    }
  }
}

function judgeObserved (before: Observed, after: Observed, tookMs: number): string[] {
  const ended = Object.keys(before.pids).filter(it => before.pids[it] !== after.pids[it])
  const logBytes = after.logBytes - before.logBytes
  const logMax = bounds.logBytes + bounds.logBytesPerSecond * tookMs / 1_000
  return [
    ...ended.map(it => `${it} has ended: its process is another one`),
    ...after.ungranted > before.ungranted ? [`${after.ungranted - before.ungranted} series that were not granted are counted`] : [],
    ...after.partitions > bounds.partitions && after.partitions > before.partitions
      ? [`rollups have ${after.partitions} partitions, ${after.partitions - before.partitions} of them new; ${bounds.partitions} are allowed`]
      : [],
    ...logBytes > logMax ? [`${(logBytes / 1e6).toFixed(1)} MB of log`] : []
  ]
}

/** Connections that were left open: the site must have closed all of them in the time that it promises. */
async function judgeLasting (
  attacks: readonly Attack[], holders: Attackers, opened: ReadonlyMap<string, number>, reports: AttackReport[],
  report: (it: AttackReport) => void
): Promise<void> {
  const lasting = attacks.filter(it => it.closedWithinMs !== undefined)
  if (lasting.length === 0) return
  const latestMs = Math.max(...lasting.map(it => opened.get(it.name)! + it.closedWithinMs!))
  await delay(Math.max(0, latestMs - performance.now()))
  const lasted = await holders.lasted()
  for (const { name, closedWithinMs } of lasting) {
    const index = reports.findIndex(it => it.name === name)
    const found = lasted.find(it => it.name === name)
    const wrong = found === undefined
      ? ['nobody knows what became of its connections']
      : [
          ...found.stillOpen > 0 ? [`${found.stillOpen} of ${found.opened} connections are still open; they have to be closed within ${closedWithinMs! / 1_000} s`] : [],
          ...found.slowestMs > closedWithinMs! ? [`a connection was closed after ${(found.slowestMs / 1_000).toFixed(0)} s; ${closedWithinMs! / 1_000} s are allowed`] : []
        ]
    const { broken, note, ...rest } = reports[index]
    const closed = found === undefined ? '' : `${found.opened - found.stillOpen} of ${found.opened} connections closed, the slowest after ${(found.slowestMs / 1_000).toFixed(1)} s`
    reports[index] = { ...rest, note: [note, closed].filter(Boolean).join('; '), broken: [...broken, ...wrong] }
    report({ ...reports[index], broken: wrong })
  }
}
