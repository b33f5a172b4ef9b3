/** One number of each reading; all columns have the same length. */
interface Columns {
  /** index of the series (series-table.ts) */
  readonly series: Int32Array
  readonly timesMs: Float64Array
  readonly values: Float64Array
}

/**
 * The columns of the last sort, of any partition: the next sort writes to them. New columns each time are so much
 * memory that V8 marks its whole heap: with 100,000 devices they caused a third of that work.
 */
let spare: Columns | undefined

/**
 * Readings of a partition since the last flush: columns of series, times and values, in order of arrival. Hot path: an
 * event costs three appends, whatever the number of series. A flush sorts them once, and then works on neighbours.
 */
export class Arrivals implements Columns {
  series: Int32Array = new Int32Array(CAPACITY_MIN)
  timesMs: Float64Array = new Float64Array(CAPACITY_MIN)
  values: Float64Array = new Float64Array(CAPACITY_MIN)
  length = 0

  add (series: number, timeMs: number, value: number): void {
    if (this.length === this.series.length) this.#grow()
    const at = this.length++
    this.series[at] = series
    this.timesMs[at] = timeMs
    this.values[at] = value
  }

  /**
   * Sorts them by series, and within a series by time and value.
   * @param seriesCount above any index of a series
   */
  sort (seriesCount: number): void {
    this.#groupBySeries(seriesCount)
    const { series, length } = this
    for (let start = 0, end; start < length; start = end) {
      for (end = start + 1; end < length && series[end] === series[start];) end++
      this.#sortByTime(start, end)
    }
  }

  /** @param recordsAhead known number of coming records: capacity for a backlog is kept only while it lasts */
  clear (recordsAhead: number): void {
    const capacity = this.series.length
    if (capacity > CAPACITY_KEPT_MAX && recordsAhead < capacity / 2) {
      this.#take(allocate(CAPACITY_KEPT_MAX))
      spare = undefined
    } else if (this.length < capacity / 8) {
      this.#take(allocate(Math.max(CAPACITY_MIN, capacity / 2)))
    }
    this.length = 0
  }

  /** A counting sort: stable, so a series whose readings arrived in the order of time is sorted after it. */
  #groupBySeries (seriesCount: number): void {
    const { series, timesMs, values, length } = this
    const places = new Int32Array(seriesCount + 1)
    for (let n = 0; n < length; n++) places[series[n] + 1]++
    for (let n = 0; n < seriesCount; n++) places[n + 1] += places[n]
    this.#take(spare?.series.length === series.length ? spare : allocate(series.length))
    spare = { series, timesMs, values }
    for (let n = 0; n < length; n++) {
      const place = places[series[n]]++
      this.series[place] = series[n]
      this.timesMs[place] = timesMs[n]
      this.values[place] = values[n]
    }
  }

  /** Tries the cheapest sort for readings as devices send them first, then the next. */
  #sortByTime (start: number, end: number): void {
    if (this.#insert(start, end)) return
    if (this.#sortTimes(start, end) && this.#insert(start, end)) return
    this.#sortByComparing(start, end)
  }

  /** An insertion sort: for a few readings, or many that are nearly sorted. @returns false: too unsorted, it gave up */
  #insert (start: number, end: number): boolean {
    const { timesMs, values } = this
    let movesLeft = (end - start) * INSERTION_MOVES_MAX
    for (let at = start + 1; at < end; at++) {
      const timeMs = timesMs[at]
      const value = values[at]
      let place = at
      for (; place > start && isBefore(timeMs, value, timesMs[place - 1], values[place - 1]); place--) {
        timesMs[place] = timesMs[place - 1]
        values[place] = values[place - 1]
      }
      if (place === at) continue
      timesMs[place] = timeMs
      values[place] = value
      movesLeft -= at - place
      if (movesLeft < 0) return false
    }
    return true
  }

  /** Sorts by time only, as numbers with the place in their low digits. @returns false: they don't fit in a double */
  #sortTimes (start: number, end: number): boolean {
    const length = end - start
    const timesMs = this.timesMs.slice(start, end)
    let firstMs = Infinity
    let lastMs = -Infinity
    for (let n = 0; n < length; n++) {
      if (timesMs[n] < firstMs) firstMs = timesMs[n]
      if (timesMs[n] > lastMs) lastMs = timesMs[n]
    }
    if ((lastMs - firstMs + 1) * length > KEY_MAX) return false
    for (let n = 0; n < length; n++) timesMs[n] = (timesMs[n] - firstMs) * length + n
    timesMs.sort()
    const values = this.values.slice(start, end)
    for (let n = 0; n < length; n++) {
      const time = Math.floor(timesMs[n] / length)
      this.timesMs[start + n] = firstMs + time
      this.values[start + n] = values[timesMs[n] - time * length]
    }
    return true
  }

  #sortByComparing (start: number, end: number): void {
    const timesMs = this.timesMs.slice(start, end)
    const values = this.values.slice(start, end)
    const order = Uint32Array.from(timesMs, (_, n) => n)
    order.sort((a, b) => timesMs[a] - timesMs[b] || values[a] - values[b])
    for (let n = 0; n < order.length; n++) {
      this.timesMs[start + n] = timesMs[order[n]]
      this.values[start + n] = values[order[n]]
    }
  }

  #grow (): void {
    const { series, timesMs, values } = this
    this.#take(allocate(series.length * 2))
    this.series.set(series)
    this.timesMs.set(timesMs)
    this.values.set(values)
  }

  #take ({ series, timesMs, values }: Columns): void {
    this.series = series
    this.timesMs = timesMs
    this.values = values
  }
}

function allocate (capacity: number): Columns {
  return { series: new Int32Array(capacity), timesMs: new Float64Array(capacity), values: new Float64Array(capacity) }
}

const CAPACITY_MIN = 1024
/** 1.3 MB */
const CAPACITY_KEPT_MAX = 65_536

/** Average moves per reading up to which insertion is faster than other sorts. */
const INSERTION_MOVES_MAX = 32

/** Up to here the division that splits a key can't round up to the next time. */
const KEY_MAX = 2 ** 50

function isBefore (timeMs: number, value: number, otherTimeMs: number, otherValue: number): boolean {
  return timeMs < otherTimeMs || (timeMs === otherTimeMs && value < otherValue)
}
