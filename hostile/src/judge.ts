/** Whether an honest client was served as it is on a quiet site. */
import type { HonestWindow } from './honest.ts'
import { spreadOf, type Spread } from './latency.ts'

/** So many times the quiet p99 an honest client may see under an attack. */
export const RATIO_MAX = 3
/** Below this p99 nobody is hurt: three times next to nothing is next to nothing, and a busy second of a small machine. */
export const FLOOR_MS = 50
/** How old an acknowledged event may be before it is in the answers. */
export const BEHIND_MAX_MS = 10_000

/**
 * `all` is what is judged: a few seconds have a hundred requests, and each kind of them is over one in a hundred, so that
 * a p99 of all shows when one kind alone is slow. The others say which.
 */
export const classes = ['all', 'questions', 'sends by HTTP', 'sends by MQTT'] as const
export type Class = typeof classes[number]

export type Spreads = Readonly<Record<Class, Spread>>

export function spreadsOf ({ times }: Pick<HonestWindow, 'times'>): Spreads {
  const of = (is: (kind: string) => boolean) => spreadOf(Object.entries(times).filter(([kind]) => is(kind)).flatMap(([, it]) => it))
  return {
    all: of(() => true),
    questions: of(kind => !kind.startsWith('send by')),
    'sends by HTTP': of(kind => kind === 'send by HTTP'),
    'sends by MQTT': of(kind => kind === 'send by MQTT')
  }
}

/** The p99 that an attack may cause. */
export function allowedMs (quiet: Spreads, floorMs = FLOOR_MS): number {
  return Math.max(RATIO_MAX * quiet.all.p99, floorMs)
}

/** How much worse it was, p99 to p99. A p99 below the floor counts as the floor does, on both sides, so that no figure is about noise. */
export function ratioOf (quiet: Spreads, attacked: Spreads): number {
  const counted = ({ all }: Spreads) => Math.max(all.p99, FLOOR_MS / RATIO_MAX)
  return counted(attacked) / counted(quiet)
}

/** The kinds of requests that waited longest, for who looks for the reason. */
export function slowestOf ({ times }: Pick<HonestWindow, 'times'>, count = 3): string {
  return Object.entries(times).map(([kind, it]) => ({ kind, ms: Math.max(...it) })).sort((a, b) => b.ms - a.ms)
    .slice(0, count).map(({ kind, ms }) => `${kind} ${ms.toFixed(0)} ms`).join(', ')
}

export interface Verdict {
  /** broken promises that are about time alone: another try may tell noise from harm */
  readonly slow: readonly string[]
  readonly broken: readonly string[]
}

/** @param window what the honest client saw during an attack */
export function judgeHonest (quiet: Spreads, window: HonestWindow, floorMs = FLOOR_MS): Verdict {
  const { all } = spreadsOf(window)
  const slow = all.p99 > allowedMs(quiet, floorMs)
    ? [`honest p99 ${all.p99.toFixed(0)} ms, ${(all.p99 / quiet.all.p99).toFixed(1)} times the quiet ${quiet.all.p99.toFixed(0)} ms`]
    : []
  if (window.behindMs > BEHIND_MAX_MS) slow.push(`honest events were not in the answers ${(window.behindMs / 1_000).toFixed(1)} s after they were acknowledged`)
  return { slow, broken: window.failures.map(it => `honest ${it}`) }
}
