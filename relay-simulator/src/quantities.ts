/** Quantities in settings: `90m`, `1%`. Both functions throw messages for settings errors. */
import { unitsMs, type DurationUnit } from 'relay-common'

/**
 * Reads a duration: a number and a unit (`500ms`, `90m`, `1.5h`, `30d`), or 0.
 * @returns whole milliseconds
 * @throws RangeError with the given text and valid examples
 */
export function parseDurationSetting (text: string): number {
  if (text.trim() === '0') return 0
  const parts = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text.trim())
  const ms = parts ? Math.round(Number(parts[1]) * unitsMs[parts[2] as DurationUnit]) : NaN
  if (Number.isSafeInteger(ms)) return ms
  throw new RangeError(`must be a number and a unit, e.g. 90m (ms, s, m, h, d), or 0; got "${text}"`)
}

/**
 * Reads a share: a percentage (`1%`, `0.1%`), or 0.
 * @returns 0 to 1
 * @throws RangeError with the given text and valid examples
 */
export function parseShare (text: string): number {
  if (text.trim() === '0') return 0
  const parts = /^(\d+(?:\.\d+)?)%$/.exec(text.trim())
  const share = parts ? Number(parts[1]) / 100 : NaN
  if (share >= 0 && share <= 1) return share
  throw new RangeError(`must be a percentage from 0% to 100%, e.g. 0.1%; got "${text}"`)
}
