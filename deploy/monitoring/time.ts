/** Lengths of time in rules. */

export const SECOND = 1
export const MINUTE = 60 * SECOND
export const HOUR = 60 * MINUTE
export const DAY = 24 * HOUR

/** Renders a duration, s, in PromQL. */
export type Time = (seconds: number) => string

const units = [['d', DAY], ['h', HOUR], ['m', MINUTE], ['s', SECOND], ['ms', SECOND / 1000]] as const

/**
 * @param scale divisor of all durations, so that rules can be tried with real faults within minutes
 *   Thresholds stay as they are
 */
export function createTime (scale = 1): Time {
  return seconds => {
    const ms = Math.max(Math.round(seconds * 1000 / scale), 1)
    const [unit, unitS] = units.find(([, unitS]) => ms % (unitS * 1000) === 0)!
    return `${ms / (unitS * 1000)}${unit}`
  }
}
