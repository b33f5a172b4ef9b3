/** What `/api/v1/aggregates` has to answer, from the events themselves: plainly, one row after the other. */
import { toUnits } from '../../../relay-common/test/support/exact.ts'
import type { PlacedEvent } from './write-events.ts'

export interface ExpectedRow {
  readonly key: string
  readonly startMs: number
  readonly endMs: number
  readonly events: readonly PlacedEvent[]
  /** in units of doubles, exactly (relay-common, `exact.ts`); undefined: no step is known */
  readonly increase: bigint | undefined
  /** in units of doubles times ms, and how many ms: exactly; undefined: no value held for a time */
  readonly held: { readonly weighted: bigint, readonly ms: bigint } | undefined
}

export type Field = 'deviceId' | 'zone' | 'deviceType'

const seriesOf = (it: PlacedEvent) => [it.deviceId, it.zone, it.deviceType].join('\n')

/** The same series, time and value from one partition is one reading that was sent again. */
export function resendsOnce (events: readonly PlacedEvent[]): PlacedEvent[] {
  const key = (it: PlacedEvent) => [seriesOf(it), it.sourcePartition, it.timestampMs, it.value].join('\n')
  return [...new Map(events.map(it => [key(it), it])).values()]
}

/**
 * The rows that have readings, by group and time.
 * @param selected each reading once
 * @param field what makes groups; undefined: there is one, whose name is empty
 */
export function recompute (
  selected: readonly PlacedEvent[], boundaries: readonly number[], field: Field | undefined, maxGapMs: number
): ExpectedRow[] {
  const groups = Map.groupBy(selected, it => field === undefined ? '' : it[field])
  const keys = [...groups.keys()].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
  return keys.flatMap(key => {
    const series = [...Map.groupBy(groups.get(key)!, seriesOf).values()].map(events =>
      events.toSorted((a, b) => a.timestampMs - b.timestampMs || a.value - b.value))
    return boundaries.slice(1).map((endMs, n) => {
      const startMs = boundaries[n]
      const events = groups.get(key)!.filter(it => it.timestampMs >= startMs && it.timestampMs < endMs)
      return { key, startMs, endMs, events, ...stepsIn(series, startMs, endMs, maxGapMs) }
    }).filter(it => it.events.length > 0)
  })
}

function stepsIn (series: readonly PlacedEvent[][], startMs: number, endMs: number, maxGapMs: number) {
  let increase = 0n
  let steps = 0
  let weighted = 0n
  let ms = 0n
  for (const events of series) {
    for (const [n, { timestampMs, value }] of events.entries()) {
      const next = events[n + 1]
      const untilMs = Math.min(next?.timestampMs ?? Infinity, timestampMs + maxGapMs, endMs)
      const fromMs = Math.max(timestampMs, startMs)
      if (untilMs > fromMs) {
        weighted += toUnits(value) * BigInt(untilMs - fromMs)
        ms += BigInt(untilMs - fromMs)
      }
      if (!next || next.timestampMs < startMs || next.timestampMs >= endMs) continue
      if (next.timestampMs - timestampMs > maxGapMs) continue
      steps++
      increase += next.value >= value ? toUnits(next.value) - toUnits(value) : toUnits(Math.max(next.value, 0))
    }
  }
  return { increase: steps === 0 ? undefined : increase, held: ms === 0n ? undefined : { weighted, ms } }
}
