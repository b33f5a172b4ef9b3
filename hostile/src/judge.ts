/** Whether an honest client was served as it is on a quiet site. */
import type { HonestWindow } from './honest.ts'
import { spreadOf, type Spread } from './latency.ts'

/** So many times the quiet p99 an honest client may see under an attack. */
export const RATIO_MAX = 3
/** Below this p99 nobody is hurt: three times next to nothing is next to nothing, and a busy second of a small machine. */
export const FLOOR_MS = 50
/** How old an acknowledged event may be before it is in the answers. */
export const BEHIND_MAX_MS = 10_000

/** Kinds of requests that have enough samples for a p99 of a few seconds. */
export const classes = ['questions', 'sends by HTTP', 'sends by MQTT'] as const
export type Class = typeof classes[number]

export type Spreads = Readonly<Record<Class, Spread>>

export function spreadsOf ({ times }: Pick<HonestWindow, 'times'>): Spreads {
  const of = (is: (kind: string) => boolean) => spreadOf(Object.entries(times).filter(([kind]) => is(kind)).flatMap(([, it]) => it))
  return {
    questions: of(kind => !kind.startsWith('send by')),
    'sends by HTTP': of(kind => kind === 'send by HTTP'),
    'sends by MQTT': of(kind => kind === 'send by MQTT')
  }
}

/** The p99 that an attack may cause. */
export function allowedMs (quiet: Spread): number {
  return Math.max(RATIO_MAX * quiet.p99, FLOOR_MS)
}

/**
 * How much worse the worst class was, p99 to p99. A p99 below the floor counts as the floor does, on both sides, so
 * that no figure is about noise.
 */
export function worstRatio (quiet: Spreads, attacked: Spreads): number {
  return Math.max(...classes.map(it => attacked[it].count === 0
    ? 1
    : Math.max(attacked[it].p99, FLOOR_MS / RATIO_MAX) / Math.max(quiet[it].p99, FLOOR_MS / RATIO_MAX)))
}

export interface Verdict {
  /** broken promises that are about time alone: another try may tell noise from harm */
  readonly slow: readonly string[]
  readonly broken: readonly string[]
}

/** @param window what the honest client saw during an attack */
export function judgeHonest (quiet: Spreads, window: HonestWindow): Verdict {
  const attacked = spreadsOf(window)
  const slow = classes.filter(it => attacked[it].p99 > allowedMs(quiet[it])).map(it =>
    `honest ${it}: p99 ${attacked[it].p99.toFixed(0)} ms, ${(attacked[it].p99 / quiet[it].p99).toFixed(1)} times the quiet ${quiet[it].p99.toFixed(0)} ms`)
  if (window.behindMs > BEHIND_MAX_MS) slow.push(`honest events were not in the answers ${(window.behindMs / 1_000).toFixed(1)} s after they were acknowledged`)
  return { slow, broken: window.failures.map(it => `honest ${it}`) }
}
