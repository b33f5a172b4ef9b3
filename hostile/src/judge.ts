/** Whether an honest client is served as on a quiet site. */
import type { HonestWindow } from './honest.ts'
import { spreadOf, type Spread } from './latency.ts'

/** Largest p99 of an honest client under attack, relative to the quiet p99. */
export const RATIO_MAX = 3
/** A p99 below this is harmless: three times almost nothing is almost nothing, and a busy second of a small machine. */
export const FLOOR_MS = 50
/** Largest age of an acknowledged event that is not visible. */
export const BEHIND_MAX_MS = 10_000

/**
 * `all` is judged: a few seconds have a hundred requests, and each kind is more than one in a hundred, so the p99 of
 * all shows a single slow kind. The others identify it.
 */
export const classes = ['all', 'questions', 'sends by HTTP', 'sends by MQTT'] as const
export type Class = typeof classes[number]

export type Spreads = Readonly<Record<Class, Spread>>

export function spreadsOf ({ times }: Pick<HonestWindow, 'times'>): Spreads {
  const of = (is: (kind: string) => boolean) =>
    spreadOf(Object.entries(times).filter(([kind]) => is(kind)).flatMap(([, it]) => it))
  return {
    all: of(() => true),
    questions: of(kind => !kind.startsWith('send by')),
    'sends by HTTP': of(kind => kind === 'send by HTTP'),
    'sends by MQTT': of(kind => kind === 'send by MQTT')
  }
}

/** The largest allowed p99 under attack. */
export function allowedMs (quiet: Spreads, floorMs = FLOOR_MS): number {
  return Math.max(RATIO_MAX * quiet.all.p99, floorMs)
}

/** The ratio of both p99. Values below the floor count as the floor, so that no figure is noise. */
export function ratioOf (quiet: Spreads, attacked: Spreads): number {
  const counted = ({ all }: Spreads) => Math.max(all.p99, FLOOR_MS / RATIO_MAX)
  return counted(attacked) / counted(quiet)
}

/** The slowest kinds of requests, for diagnosis. */
export function slowestOf ({ times }: Pick<HonestWindow, 'times'>, count = 3): string {
  return Object.entries(times).map(([kind, it]) => ({ kind, ms: Math.max(...it) })).sort((a, b) => b.ms - a.ms)
    .slice(0, count).map(({ kind, ms }) => `${kind} ${ms.toFixed(0)} ms`).join(', ')
}

export interface Verdict {
  /** broken promises about time: another attempt may distinguish noise from harm */
  readonly slow: readonly string[]
  readonly broken: readonly string[]
}

/** @param window observations of the honest client during an attack */
export function judgeHonest (quiet: Spreads, window: HonestWindow, floorMs = FLOOR_MS): Verdict {
  const { all } = spreadsOf(window)
  const slow = all.p99 > allowedMs(quiet, floorMs)
    ? [`honest p99 ${all.p99.toFixed(0)} ms, ${(all.p99 / quiet.all.p99).toFixed(1)} times the quiet ${quiet.all.p99.toFixed(0)} ms`]
    : []
  if (window.behindMs > BEHIND_MAX_MS) {
    slow.push(
      `honest events were not in the answers ${(window.behindMs / 1_000).toFixed(1)} s after they were acknowledged`
    )
  }
  return { slow, broken: window.failures.map(it => `honest ${it}`) }
}
