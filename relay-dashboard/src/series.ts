/** Rows of an answer -> one line per group, on one axis of time. */
import type { components } from '@relay-telemetry/client/src/index.ts'

import type { Statistic } from './statistics.ts'

export type Row = components['schemas']['AggregateRow']
export type GroupBy = 'device' | 'zone' | 'type'

export interface ChartLine {
  readonly name: string
  readonly values: (number | null)[]
  readonly low?: (number | null)[]
  readonly high?: (number | null)[]
  /** index of the line that this one is the past of */
  readonly of?: number
}

export interface Lines {
  /** starts of buckets, s since the epoch, ascending */
  readonly times: number[]
  readonly lines: readonly ChartLine[]
  /** number of groups without a line */
  readonly left: number
  /** starts of buckets that late readings changed, s */
  readonly revised: ReadonlySet<number>
}

/** More lines could not be distinguished. */
export const LINES_MAX = 12

export function linesOf (rows: readonly Row[], groupBy: GroupBy | undefined, { line, band }: Statistic): Lines {
  const times = [...new Set(rows.map(it => Date.parse(it.bucketStart) / 1_000))].sort((a, b) => a - b)
  const placeOf = new Map(times.map((time, place) => [time, place]))
  const groups = new Map<string, ChartLine>()
  const left = new Set<string>()
  const revised = new Set<number>()
  const empty = () => new Array<number | null>(times.length).fill(null)
  for (const row of rows) {
    const name = groupBy === undefined ? 'all' : String(row[groupBy])
    let group = groups.get(name)
    if (!group) {
      if (groups.size === LINES_MAX) {
        left.add(name)
        continue
      }
      group = { name, values: empty(), ...(band ? { low: empty(), high: empty() } : {}) }
      groups.set(name, group)
    }
    const time = Date.parse(row.bucketStart) / 1_000
    const place = placeOf.get(time)!
    group.values[place] = numberOf(row[line])
    if (band) {
      group.low![place] = numberOf(row[band[0]])
      group.high![place] = numberOf(row[band[1]])
    }
    if (row.status === 'revised') revised.add(time)
  }
  return { times, lines: [...groups.values()], left: left.size, revised }
}

const numberOf = (value: unknown) => typeof value === 'number' ? value : null

/**
 * Lines of an earlier range, drawn under those of this one.
 * @param shiftMs distance between the two ranges
 */
export function linesBefore (now: Lines, before: Lines, shiftMs: number): ChartLine[] {
  const shiftS = shiftMs / 1_000
  return now.lines.flatMap(({ name }, of) => {
    const line = before.lines.find(it => it.name === name)
    if (!line) return []
    const values = new Array<number | null>(now.times.length).fill(null)
    let place = 0
    before.times.forEach((time, n) => {
      while (place + 1 < now.times.length && now.times[place + 1] <= time + shiftS) place++
      if (place < now.times.length && line.values[n] !== null) values[place] = line.values[n]
    })
    return [{ name: `${name}, before`, values, of }]
  })
}
