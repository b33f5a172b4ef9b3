/** One attempt of one attack, with the observations of the honest client and the machine. */
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
  /** number of requests of a generating attack */
  readonly generated: number
  /** default duration of an attack, ms */
  readonly spanMs: number
  readonly quietMs: number
  /** an honest p99 up to this is never too slow */
  readonly floorMs: number
}

export interface Parts {
  readonly site: Site
  readonly honest: Honest
  readonly attackers: Attackers
  /** of the start, to which it must return */
  readonly quiet: Spreads
  /** the base of the comparison */
  readonly quietNow: Spreads
  readonly settings: SuiteSettings
  /** of the attempt: it has unique addresses and names */
  readonly number: number
}

export interface Attempt {
  readonly done: Done | undefined
  readonly window: HonestWindow
  readonly recoveryMs: number
  /** shares of a core meanwhile, in percent */
  readonly cpu: string
  /** too slow: another attempt may distinguish noise from harm */
  readonly slow: readonly string[]
  /** any other broken promise */
  readonly broken: readonly string[]
  /** warnings and errors logged by programs meanwhile */
  readonly logged: readonly string[]
}

/** A window with normal service for the honest client ends the wait. */
const RECOVERY_WINDOW_MS = 400
/** After this time the site counts as unusable, and its programs are restarted for the other attacks. */
const GIVEN_UP_MS = 45_000
/** An attack's window is at least this long, for a hundred requests. */
const WINDOW_MIN_MS = 1_400
/** An attack waits for its last answers, then its process is killed. */
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
async function run (
  attack: Attack, { attackers, site, settings, number }: Parts, token: string
): Promise<Done | undefined> {
  const spanMs = attack.spanMs ?? settings.spanMs
  const seed = hash('sha256', `${settings.seed} ${attack.name}`, 'buffer').readUInt32BE()
  const order = {
    kind: 'run', name: attack.name, number, target: site.target(token), seed, spanMs, generated: settings.generated
  } as const
  return await attackers.run(order, spanMs * 2 + ENDS_WITHIN_MS)
}

/** Waits until the honest client is served as on a quiet site. Unusable programs are restarted. */
async function recover (parts: Parts): Promise<{ readonly ms: number, readonly wrong: readonly string[] }> {
  const first = await waitForNormal(parts)
  if (first.wrong.length === 0) {
    const isLate = first.ms > bounds.recoveryMs
    return {
      ...first,
      wrong: isLate
        ? [`it was back to normal after ${(first.ms / 1_000).toFixed(0)} s; ${bounds.recoveryMs / 1_000} s are allowed`]
        : []
    }
  }
  await parts.site.restartPrograms()
  await waitForNormal(parts)
  const wrong =
    `it was not back to normal within ${GIVEN_UP_MS / 1_000} s, and had to be started again: ${first.wrong.join('; ').slice(0, 300)}`
  return { ms: first.ms, wrong: [wrong] }
}

/** @returns what was wrong in the last window; empty: it is back to normal */
async function waitForNormal (
  { honest, quiet, settings: { floorMs } }: Parts
): Promise<{ readonly ms: number, readonly wrong: readonly string[] }> {
  const startedMs = performance.now()
  for (;;) {
    await delay(RECOVERY_WINDOW_MS)
    const { slow, broken } = judgeHonest(quiet, await honest.cut(), floorMs)
    const ms = performance.now() - startedMs
    if (slow.length + broken.length === 0 || ms > GIVEN_UP_MS) return { ms, wrong: [...broken, ...slow] }
  }
}

/** CPU by process. The rest of the machine belongs to the attackers, the honest client, and other processes. */
function describeCpu ({ before, after }: Seen, tookMs: number): string {
  return Object.keys(after.cpuMs).map(it => {
    const ms = Math.max(0, after.cpuMs[it] - before.cpuMs[it])
    return `${it} ${Math.round(100 * ms / tookMs)} %`
  }).join(', ')
}
