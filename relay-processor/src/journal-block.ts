/** One block of the journal in memory: fragments as in the table, and the decoded readings of its newest ones. */
import {
  emptyReadings, firstAtOrAfter, mergeReadings, mergeRollup, decodeJournal, type JournalWriter, type Readings,
  type Rollup, type TimeRange
} from 'relay-rollups'

export interface Fragment {
  readonly flush: number
  /** how often its readings were merged */
  readonly level: number
  readonly body: Buffer
}

/** By series, the content of fragments. */
export interface FragmentContent {
  readonly readings: Map<number, Readings>
  /** of groups, by minute */
  readonly rollups: Map<number, Map<number, Rollup>>
}

const CAPACITY_MIN = 256

/**
 * Readings of unmerged fragments, by flush and then by series: some thousands per block. Hot path: a reading is three
 * appends, and merging needs no decoding.
 */
export class RecentReadings {
  #ids = new Int32Array(CAPACITY_MIN)
  #timesMs = new Float64Array(CAPACITY_MIN)
  #values = new Float64Array(CAPACITY_MIN)
  #length = 0
  /** starts of the runs in which series ascend: one per flush */
  readonly #runs: number[] = []

  get length (): number { return this.#length }

  add (seriesId: number, timeMs: number, value: number): void {
    if (this.#length === this.#ids.length) this.#grow()
    const at = this.#length++
    if (at === 0 || seriesId < this.#ids[at - 1]) this.#runs.push(at)
    this.#ids[at] = seriesId
    this.#timesMs[at] = timeMs
    this.#values[at] = value
  }

  /** Writes readings from a position, in the order of their series. @returns the number of series */
  writeFrom (start: number, writer: JournalWriter): number {
    let series = 0
    for (let n = start; n < this.length; n++) {
      if (n === start || this.#ids[n] !== this.#ids[n - 1]) series++
      writer.addReading(this.#ids[n], this.#timesMs[n], this.#values[n])
    }
    return series
  }

  /** Writes all readings, grouped by series. @returns the number of series */
  writeAll (writer: JournalWriter): number {
    const order = this.#order()
    let series = 0
    for (let n = 0; n < order.length; n++) {
      const at = order[n]
      if (n === 0 || this.#ids[at] !== this.#ids[order[n - 1]]) series++
      writer.addReading(this.#ids[at], this.#timesMs[at], this.#values[at])
    }
    return series
  }

  gatherInto (gathered: Pick<FragmentContent, 'readings'>): void {
    const order = this.#order()
    for (let start = 0, end; start < order.length; start = end) {
      const id = this.#ids[order[start]]
      const readings: Readings = { timesMs: [], values: [] }
      for (end = start; end < order.length && this.#ids[order[end]] === id; end++) {
        readings.timesMs.push(this.#timesMs[order[end]])
        readings.values.push(this.#values[order[end]])
      }
      addReadings(gathered, id, readings)
    }
  }

  /** Readings of a series in a range, in any order. */
  of (seriesId: number, { startMs, endMs }: TimeRange): Readings {
    const found = emptyReadings()
    for (const [n, start] of this.#runs.entries()) {
      const end = this.#runs[n + 1] ?? this.length
      for (let at = firstAtOrAfter(this.#ids, seriesId, start, end); at < end && this.#ids[at] === seriesId; at++) {
        if (this.#timesMs[at] < startMs || this.#timesMs[at] >= endMs) continue
        found.timesMs.push(this.#timesMs[at])
        found.values.push(this.#values[at])
      }
    }
    return found
  }

  clear (): void {
    this.#length = this.#runs.length = 0
  }

  /**
   * Indexes in the order of series, time and value. The ids of a block are close together, so they are counted: to
   * compare readings takes several times as long. Those of a series mostly came in their order.
   */
  #order (): Uint32Array {
    const ids = this.#ids
    const length = this.#length
    let leastId = Infinity
    let greatestId = -Infinity
    for (let n = 0; n < length; n++) {
      leastId = Math.min(leastId, ids[n])
      greatestId = Math.max(greatestId, ids[n])
    }
    if (length === 0) return new Uint32Array(0)
    const ends = new Uint32Array(greatestId - leastId + 1)
    for (let n = 0; n < length; n++) ends[ids[n] - leastId]++
    for (let id = 1; id < ends.length; id++) ends[id] += ends[id - 1]
    const order = new Uint32Array(length)
    for (let n = length - 1; n >= 0; n--) order[--ends[ids[n] - leastId]] = n
    const starts = ends // now that each was counted down
    for (let id = 0; id < starts.length; id++) this.#sort(order, starts[id], starts[id + 1] ?? length)
    return order
  }

  /** Sorts a part of an order with readings of one series, unless it is sorted. */
  #sort (order: Uint32Array, start: number, end: number): void {
    const compare = (a: number, b: number) =>
      this.#timesMs[a] - this.#timesMs[b] || this.#values[a] - this.#values[b]
    for (let n = start + 1; n < end; n++) {
      if (compare(order[n - 1], order[n]) <= 0) continue
      order.subarray(start, end).sort(compare)
      return
    }
  }

  #grow (): void {
    const [ids, timesMs, values] = [this.#ids, this.#timesMs, this.#values]
    this.#ids = new Int32Array(ids.length * 2)
    this.#timesMs = new Float64Array(ids.length * 2)
    this.#values = new Float64Array(ids.length * 2)
    this.#ids.set(ids)
    this.#timesMs.set(timesMs)
    this.#values.set(values)
  }
}

export interface JournalBlock {
  readonly number: number
  /** consecutive in time; those with recent readings are last */
  readonly fragments: Fragment[]
  readonly recent: RecentReadings
  /** number of fragments at the end whose readings are in `recent` */
  recentFragments: number
  readings: number
  /** largest number of series in a fragment */
  series: number
  bytes: number
  /** since when it has had readings, as far as known */
  readonly sinceMs: number
  dueAtMs: number
  /** fragments by which it is ahead of others, so that one flush does not merge all blocks */
  lead: number
}

/** Content of the fragments from an index on. */
export function contentOfFragments ({ fragments, recent, recentFragments }: JournalBlock, from = 0): FragmentContent {
  const gathered: FragmentContent = { readings: new Map(), rollups: new Map() }
  for (const { body } of fragments.slice(from, fragments.length - recentFragments)) {
    decodeJournal(body, {
      readings: (id, readings) => addReadings(gathered, id, readings),
      rollup: (id, minuteMs, rollup) => addRollup(gathered, id, minuteMs, rollup)
    })
  }
  recent.gatherInto(gathered)
  return gathered
}

/** @param readings ownership passes here; all of them are new */
export function addReadings (
  { readings: bySeries }: Pick<FragmentContent, 'readings'>, id: number, readings: Readings
): void {
  const base = bySeries.get(id)
  if (base === undefined) bySeries.set(id, readings)
  else mergeReadings(base, readings, true)
}

/** @param rollup ownership passes here */
export function addRollup (
  { rollups }: Pick<FragmentContent, 'rollups'>, id: number, minuteMs: number, rollup: Rollup
): void {
  let minutes = rollups.get(id)
  if (minutes === undefined) rollups.set(id, minutes = new Map())
  const base = minutes.get(minuteMs)
  if (base === undefined) minutes.set(minuteMs, rollup)
  else mergeRollup(base, rollup)
}

export function writeReadings ({ readings }: Pick<FragmentContent, 'readings'>, writer: JournalWriter): void {
  for (const id of ascending(readings.keys())) {
    const { timesMs, values } = readings.get(id)!
    for (let n = 0; n < timesMs.length; n++) writer.addReading(id, timesMs[n], values[n])
  }
}

export function writeRollups ({ rollups }: Pick<FragmentContent, 'rollups'>, writer: JournalWriter): void {
  for (const id of ascending(rollups.keys())) {
    const minutes = rollups.get(id)!
    for (const minuteMs of ascending(minutes.keys())) writer.addRollup(id, minuteMs, minutes.get(minuteMs)!)
  }
}

export function ascending (numbers: Iterable<number>): number[] {
  return [...numbers].sort((a, b) => a - b)
}
