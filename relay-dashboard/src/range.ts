/** The time range of a view, as in its address. */

export interface Preset {
  readonly name: string
  readonly label: string
  readonly ms: number
}

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS

export const presets: readonly Preset[] = [
  { name: '15m', label: '15 minutes', ms: 15 * MINUTE_MS },
  { name: '1h', label: '1 hour', ms: HOUR_MS },
  { name: '6h', label: '6 hours', ms: 6 * HOUR_MS },
  { name: '24h', label: '24 hours', ms: DAY_MS },
  { name: '7d', label: '7 days', ms: 7 * DAY_MS },
  { name: '30d', label: '30 days', ms: 30 * DAY_MS },
  { name: '90d', label: '90 days', ms: 90 * DAY_MS },
  { name: '365d', label: '1 year', ms: 365 * DAY_MS }
]

export const PRESET_DEFAULT = '24h'

/** A preset ends now; a custom range has two times. */
export type Range =
  | { readonly kind: 'preset'; readonly preset: Preset }
  | { readonly kind: 'custom'; readonly startMs: number; readonly endMs: number }

export function parseRange (query: URLSearchParams): Range {
  const startMs = Date.parse(query.get('start') ?? '')
  const endMs = Date.parse(query.get('end') ?? '')
  if (startMs < endMs) return { kind: 'custom', startMs, endMs }
  const name = query.get('range') ?? PRESET_DEFAULT
  return {
    kind: 'preset',
    preset: presets.find(it => it.name === name) ?? presets.find(it => it.name === PRESET_DEFAULT)!
  }
}

/** As parameters of the API. */
export function questionOf (range: Range): { readonly start: string; readonly end: string } {
  if (range.kind === 'preset') return { start: `-${range.preset.name}`, end: 'now' }
  return { start: new Date(range.startMs).toISOString(), end: new Date(range.endMs).toISOString() }
}

export function timesOf (range: Range, nowMs: number): { readonly startMs: number; readonly endMs: number } {
  if (range.kind === 'custom') return range
  return { startMs: nowMs - range.preset.ms, endMs: nowMs }
}

/** The address for a range that was chosen on the chart or by hand. */
export function customChange (startMs: number, endMs: number) {
  const time = (timeMs: number) => new Date(Math.round(timeMs)).toISOString().replace('.000Z', 'Z')
  return { range: undefined, start: time(startMs), end: time(endMs) }
}

/** Moves a range, or zooms it around its middle. */
export function moved (
  startMs: number,
  endMs: number,
  byShare: number,
  zoom = 1
): { readonly startMs: number; readonly endMs: number } {
  const lengthMs = endMs - startMs
  const middleMs = (startMs + endMs) / 2 + lengthMs * byShare
  return { startMs: middleMs - (lengthMs * zoom) / 2, endMs: middleMs + (lengthMs * zoom) / 2 }
}
