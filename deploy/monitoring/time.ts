/** Lengths of time in rules. */

export const SECOND = 1
export const MINUTE = 60 * SECOND
export const HOUR = 60 * MINUTE
export const DAY = 24 * HOUR

/** Writes a length of time, s, as PromQL has it. */
export type Time = (seconds: number) => string

const units = [['d', DAY], ['h', HOUR], ['m', MINUTE], ['s', SECOND], ['ms', SECOND / 1000]] as const

/**
 * @param scale each length of time is so many times shorter: rules can be tried beside real faults, without waiting for
 * hours.
 *   Thresholds stay as they are
 */
export function createTime (scale = 1): Time {
  return seconds => {
    const ms = Math.max(Math.round(seconds * 1000 / scale), 1)
    const [unit, unitS] = units.find(([, unitS]) => ms % (unitS * 1000) === 0)!
    return `${ms / (unitS * 1000)}${unit}`
  }
}
