/** One attempt of one attack, with what the honest client and the machine saw of it. */
import { hash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'

import { keyOf, type Attack } from './attack.ts'
import type { Done } from './attacker-process.ts'
import type { Attackers, Honest } from './children.ts'
import type { HonestWindow } from './honest.ts'
import { judgeHonest, type Spreads } from './judge.ts'
import type { Site } from './site.ts'
import { bounds, watchSite, type Seen } from './watch.ts'

export interface SuiteSettings {
  readonly seed: number
  /** generated requests of an attack that has a generator */
  readonly generated: number
  /** ms of an attack that does not say how long it goes on */
  readonly spanMs: number
  readonly quietMs: number
  /** an honest p99 up to here is never too slow */
  readonly floorMs: number
}

export interface Parts {
  readonly site: Site
  readonly honest: Honest
  readonly attackers: Attackers
  /** of the beginning: what it has to come back to */
  readonly quiet: Spreads
  /** what the attack is compared with */
  readonly quietNow: Spreads
  readonly settings: SuiteSettings
  /** of the attempt: no other one has its addresses, or makes the same names */
  readonly number: number
}

export interface Attempt {
  readonly done: Done | undefined
  readonly window: HonestWindow
  readonly recoveryMs: number
  /** shares of a core, in percent, while it went on */
  readonly cpu: string
  /** that it took too long: another attempt may tell noise from harm */
  readonly slow: readonly string[]
  /** that anything else was broken */
  readonly broken: readonly string[]
  /** warnings and errors that programs have logged meanwhile */
  readonly logged: readonly string[]
}

/** A window in which the honest client was served as usual ends the wait for it. */
const RECOVERY_WINDOW_MS = 400
/** After so long an attack has left the site useless, and its programs are started again for the sake of the others. */
const GIVEN_UP_MS = 45_000
/** The window of an attack is at least so long: it has a hundred requests then. */
const WINDOW_MIN_MS = 1_400
/** An attack waits for its last answers, and then its process is killed. */
const ENDS_WITHIN_MS = 30_000

export async function attempt (attack: Attack, parts: Parts): Promise<Attempt> {
  const { site, honest, quietNow, settings: { floorMs } } = parts
  const key = keyOf(attack)
  const token = key === undefined ? '' : await site.makeKey(`${attack.name} ${parts.number}`, key)
  const watch = await watchSite(site)
  await honest.cut()

  const startedAt = new Date()
  const startedMs = performance.now()
  const done = await run(attack, parts, token)
  await delay(Math.max(0, WINDOW_MIN_MS - (performance.now() - startedMs)))
  const window = await honest.cut()
  const [recovery, isCaughtUp] = await Promise.all([recover(parts), site.caughtUp(bounds.recoveryMs)])
  const seen = await watch.end()
  const tookMs = performance.now() - startedMs

  const { slow, broken } = judgeHonest(quietNow, window, floorMs)
  const verified = attack.verify ? await attack.verify(site, parts.number) : []
  return {
    done,
    window,
    recoveryMs: recovery.ms,
    cpu: describeCpu(seen, tookMs),
    slow: [...slow, ...done?.slow ?? []],
    broken: [
      ...broken, ...recovery.wrong, ...seen.broken,
      ...isCaughtUp ? [] : [`what was sent was not in the rollups after ${bounds.recoveryMs / 1_000} s`],
      ...done === undefined ? ['the attack did not end in time: the site let it wait'] : done.broken, ...verified
    ],
    logged: await site.logged(startedAt)
  }
}

/** @returns undefined: it did not end */
async function run (attack: Attack, { attackers, site, settings, number }: Parts, token: string): Promise<Done | undefined> {
  const spanMs = attack.spanMs ?? settings.spanMs
  const seed = hash('sha256', `${settings.seed} ${attack.name}`, 'buffer').readUInt32BE()
  const order = { kind: 'run', name: attack.name, number, target: site.target(token), seed, spanMs, generated: settings.generated } as const
  return await attackers.run(order, spanMs * 2 + ENDS_WITHIN_MS)
}

/** Waits until the honest client is served as on a quiet site. Programs that leave it useless are started again. */
async function recover (parts: Parts): Promise<{ readonly ms: number, readonly wrong: readonly string[] }> {
  const first = await waitForNormal(parts)
  if (first.wrong.length === 0) {
    const isLate = first.ms > bounds.recoveryMs
    return { ...first, wrong: isLate ? [`it was back to normal after ${(first.ms / 1_000).toFixed(0)} s; ${bounds.recoveryMs / 1_000} s are allowed`] : [] }
  }
  await parts.site.restartPrograms()
  await waitForNormal(parts)
  const wrong = `it was not back to normal within ${GIVEN_UP_MS / 1_000} s, and had to be started again: ${first.wrong.join('; ').slice(0, 300)}`
  return { ms: first.ms, wrong: [wrong] }
}

/** @returns what was wrong in the last window; nothing: it is back to normal */
async function waitForNormal ({ honest, quiet, settings: { floorMs } }: Parts): Promise<{ readonly ms: number, readonly wrong: readonly string[] }> {
  const startedMs = performance.now()
  for (;;) {
    await delay(RECOVERY_WINDOW_MS)
    const { slow, broken } = judgeHonest(quiet, await honest.cut(), floorMs)
    const ms = performance.now() - startedMs
    if (slow.length + broken.length === 0 || ms > GIVEN_UP_MS) return { ms, wrong: [...broken, ...slow] }
  }
}

/** Whose CPU it was. What is left of the machine is the attackers', the honest client's, and whatever else runs. */
function describeCpu ({ before, after }: Seen, tookMs: number): string {
  return Object.keys(after.cpuMs).map(it => {
    const ms = Math.max(0, after.cpuMs[it] - before.cpuMs[it])
    return `${it} ${Math.round(100 * ms / tookMs)} %`
  }).join(', ')
}
