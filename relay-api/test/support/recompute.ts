/** The expected answers of `/api/v1/aggregates`, computed simply from the events, one row after the other. */
import { toUnits } from 'relay-test-support/exact.ts'
import type { PlacedEvent } from './write-events.ts'

export interface ExpectedRow {
  readonly key: string
  readonly startMs: number
  readonly endMs: number
  readonly events: readonly PlacedEvent[]
  /** exact, in units of doubles (`test-support/exact.ts`); undefined: no step is known */
  readonly increase: bigint | undefined
  /** exact, in units of doubles times ms, and in ms; undefined: no value was held */
  readonly held: { readonly weighted: bigint, readonly ms: bigint } | undefined
}

export type Field = 'deviceId' | 'zone' | 'deviceType'

const seriesOf = (it: PlacedEvent) => [it.deviceId, it.zone, it.deviceType].join('\n')

/** The same series, time and value from one partition is one reading that was resent. */
export function resendsOnce (events: readonly PlacedEvent[]): PlacedEvent[] {
  const key = (it: PlacedEvent) => [seriesOf(it), it.sourcePartition, it.timestampMs, it.value].join('\n')
  return [...new Map(events.map(it => [key(it), it])).values()]
}

/**
 * The rows with readings, by group and time.
 * @param selected each reading once
 * @param field of the groups; undefined: one group with an empty name
 */
export function recompute (
  selected: readonly PlacedEvent[], boundaries: readonly number[], field: Field | undefined, maxGapMs: number
): ExpectedRow[] {
  const groups = Map.groupBy(selected, it => field === undefined ? '' : it[field])
  const keys = [...groups.keys()].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
  return keys.flatMap(key => {
    const inOrder = groups.get(key)!.toSorted(byTime)
    const series = [...Map.groupBy(inOrder, seriesOf).values()]
    return boundaries.slice(1).flatMap((endMs, n) => {
      const startMs = boundaries[n]
      const events = inOrder.slice(firstFrom(inOrder, startMs), firstFrom(inOrder, endMs))
      return events.length === 0 ? [] : [{ key, startMs, endMs, events, ...stepsIn(series, startMs, endMs, maxGapMs) }]
    })
  })
}

const byTime = (a: PlacedEvent, b: PlacedEvent) => a.timestampMs - b.timestampMs || a.value - b.value

/** For events in order, the number of those before a time. */
function firstFrom (events: readonly PlacedEvent[], timeMs: number): number {
  let [from, to] = [0, events.length]
  while (from < to) {
    const middle = (from + to) >> 1
    if (events[middle].timestampMs < timeMs) from = middle + 1
    else to = middle
  }
  return from
}

function stepsIn (series: readonly PlacedEvent[][], startMs: number, endMs: number, maxGapMs: number) {
  let increase = 0n
  let steps = 0
  let weighted = 0n
  let ms = 0n
  for (const events of series) {
    // readings before the newest one before the row are neither held in it nor start a step into it
    for (let n = Math.max(0, firstFrom(events, startMs) - 1); n < events.length && events[n].timestampMs < endMs; n++) {
      const { timestampMs, value } = events[n]
      const next = events[n + 1] as PlacedEvent | undefined
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
