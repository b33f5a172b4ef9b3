/** Durations in text: `30s`, `90m`, `7d`. */

export const unitsMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 } as const

export type DurationUnit = keyof typeof unitsMs

/** @returns ms; undefined: it is not a whole number followed by one of the units */
export function parseDuration (text: string, units: readonly DurationUnit[]): number | undefined {
  const parts = /^(\d+)(ms|[smhdw])$/.exec(text)
  if (parts === null) return undefined
  const unit = parts[2] as DurationUnit
  return units.includes(unit) ? Number(parts[1]) * unitsMs[unit] : undefined
}
