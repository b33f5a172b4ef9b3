/**
 * Admit: the new part of the arrivals of a partition goes to the journal.
 *
 *     arrived ──compare with rows and journal──▶ fresh ──▶ block of the device
 *                 (resends drop out here)           └──fold──▶ delta of the group ──▶ block of the group
 *
 * This is the cost of a live fleet: each flush has one reading per device. It is compared with the newest one of its
 * series, and appended to its block and that of its group. Rows come later (compact.ts).
 */
import {
  bucketStartMs, cutReadings, deviceBlockOf, emptyReadings, emptyRollup, foldUnsorted, groupBlockOf, lateBlockOf,
  mergeReadings, MINUTE_MS, type Readings, type Rollup, type TimeRange
} from 'relay-rollups'

import { LateCounts } from './late-counts.ts'
import { compactBlock } from './compact.ts'
import type { FlushRows } from './flush-rows.ts'
import { emptyBlock, LATE_MS, type DueBlock } from './journal.ts'
import { addReadings, addRollup, type FragmentContent, type RecentReadings } from './journal-block.ts'
import type { JournalPlan } from './plan-flush.ts'
import { lateBeforeMs } from './misplaced.ts'
import { unpackMinute } from './packed-row.ts'
import { lagOf, type Partition } from './partition.ts'
import type { Series } from './series-table.ts'
import { readingsWithout } from './minute-readings.ts'
import { endOfMinute, endOfSeries, type Settled, type SettleRules } from './settle.ts'
import { findKnown, forgetLate } from './windows.ts'

const MINUTE = 0

/**
 * Admits the sorted arrivals of a partition. All windows that they touch are known, and all series have an id.
 * @param plan blocks that become rows in this flush
 * @param rows receives those rows, and the buckets with new readings
 */
export function admit (
  partition: Partition, rules: SettleRules, plan: JournalPlan, rows: FlushRows, flushNumber: number
): Settled {
  return new Admission(partition, rules, plan, rows, flushNumber).run()
}

/** A block that receives readings now, to be journaled or to become rows. */
interface OpenBlock {
  readonly number: number
  /** undefined: it is journaled */
  readonly due: DueBlock | undefined
  /** undefined: it becomes rows */
  readonly recent: RecentReadings | undefined
  /** number of recent readings before the flush */
  readonly start: number
}

/** By minute, new readings of the devices of a group. */
type GroupReadings = Map<number, Readings>

class Admission {
  readonly #partition: Partition
  readonly #rules: SettleRules
  readonly #due: Map<number, DueBlock>
  readonly #isAllDue: boolean
  readonly #rows: FlushRows
  readonly #flushNumber: number
  readonly #counts = new LateCounts()
  readonly #groups = new Map<Series, GroupReadings>()
  readonly #lateBeforeMs: number
  /** of the current devices; and of their late readings, which more devices share */
  #own!: OpenBlock
  #late: OpenBlock | undefined
  /** readings of the current series that become rows, sorted */
  #forRows = emptyReadings()
  #readings = 0
  #duplicates = 0
  #misplaced = 0

  constructor (partition: Partition, rules: SettleRules, plan: JournalPlan, rows: FlushRows, flushNumber: number) {
    this.#partition = partition
    this.#rules = rules
    this.#due = new Map(plan.due.map(it => [it.number, it]))
    this.#isAllDue = plan.isAllDue
    this.#rows = rows
    this.#flushNumber = flushNumber
    this.#lateBeforeMs = partition.eventTimeMaxMs - LATE_MS
  }

  run (): Settled {
    const partition = this.#partition
    const { arrivals, series: table, journal } = partition
    const starts = this.#startsById()
    for (let first = 0, next; first < starts.length; first = next) {
      const { seriesId } = table.at(arrivals.series[starts[first]])
      const number = deviceBlockOf(seriesId)
      this.#own = this.#open(number, this.#dueOf(number))
      this.#openLate(lateBlockOf(seriesId))
      for (next = first; next < starts.length; next++) {
        const series = table.at(arrivals.series[starts[next]])
        if (deviceBlockOf(series.seriesId) !== number) break
        this.#admitSeries(series, starts[next], endOfSeries(arrivals, starts[next]))
        this.#endSeries(series)
      }
      this.#close(this.#own)
    }
    this.#close(this.#late)
    this.#writeGroups()
    for (const block of [...this.#due.values()].sort((a, b) => a.number - b.number)) this.#compact(block)
    for (const start of starts) forgetLate(table.at(arrivals.series[start]))
    for (const group of this.#groups.keys()) forgetLate(group)
    journal.forgetEmpty()
    arrivals.clear(lagOf(partition))
    partition.returnedSettledMs.clear()
    partition.settledTimeMaxMs = partition.eventTimeMaxMs
    return {
      readings: this.#readings, duplicates: this.#duplicates, misplaced: this.#misplaced, arrivals: this.#counts.all()
    }
  }

  /** The ids of the current devices ascend, so each late block is opened once. */
  #openLate (number: number): void {
    if (this.#late?.number === number) return
    this.#close(this.#late)
    this.#late = this.#open(number, this.#due.get(number))
  }

  #open (number: number, due: DueBlock | undefined): OpenBlock {
    const recent = due === undefined ? this.#partition.journal.recentOf(number) : undefined
    return { number, due, recent, start: recent?.length ?? 0 }
  }

  #close (block: OpenBlock | undefined): void {
    if (block?.recent !== undefined) this.#partition.journal.write(block.number, block.start)
  }

  /**
   * The start of each series in the arrivals, in the order of ids, so that series of a block are neighbours. Readings
   * with another home are forwarded here.
   */
  #startsById (): number[] | Float64Array {
    const { arrivals, series: table, misplaced, settledTimeMaxMs } = this.#partition
    const starts: number[] = []
    let isSorted = true
    let leastId = Infinity
    let greatestId = 0
    for (let start = 0, end; start < arrivals.length; start = end) {
      end = endOfSeries(arrivals, start)
      const series = table.at(arrivals.series[start])
      series.lastFlush = this.#flushNumber
      if (series.homePartition !== undefined) {
        misplaced.add(series.homePartition, series.seriesId, arrivals, start, end, settledTimeMaxMs)
        this.#misplaced += end - start
        continue
      }
      if (series.seriesId < greatestId) isSorted = false
      greatestId = Math.max(greatestId, series.seriesId)
      leastId = Math.min(leastId, series.seriesId)
      starts.push(start)
    }
    if (isSorted) return starts
    const idOf = (start: number) => table.at(arrivals.series[start]).seriesId
    if ((greatestId - leastId + 1) * arrivals.length > Number.MAX_SAFE_INTEGER) {
      return starts.sort((a, b) => idOf(a) - idOf(b))
    }
    // sorted as numbers with the place in their low digits: a comparison function takes ten times as long
    const keys = Float64Array.from(starts, start => (idOf(start) - leastId) * arrivals.length + start).sort()
    for (let n = 0; n < keys.length; n++) keys[n] %= arrivals.length
    return keys
  }

  #admitSeries (series: Series, start: number, end: number): void {
    const { arrivals } = this.#partition
    const { timesMs, values } = arrivals
    const newestMs = timesMs[end - 1]
    if (end - start === 1 && newestMs > series.settledMaxMs) { // nearly always, in a live fleet
      const value = values[start] + 0 // -0 + 0 is 0
      const minuteMs = bucketStartMs(MINUTE_MS, newestMs)
      this.#counts.add(series, minuteMs, 1, 0, lateBeforeMs(this.#partition, series.index, minuteMs))
      this.#take(series, minuteMs, newestMs, value)
      this.#noteTaken(series, minuteMs, 1)
      series.settledMaxMs = newestMs
      series.settledMaxValue = value
      return
    }
    const range = {
      startMs: bucketStartMs(MINUTE_MS, timesMs[start]), endMs: bucketStartMs(MINUTE_MS, newestMs) + MINUTE_MS
    }
    let journaled: Readings | undefined
    for (let at = start; at < end;) {
      const minuteEnd = endOfMinute(arrivals, at)
      const minuteMs = bucketStartMs(MINUTE_MS, timesMs[at])
      const arrived = this.#distinct(at, minuteEnd)
      const fresh = this.#isNew(series, arrived)
        ? arrived
        : this.#withoutResends(series, minuteMs, arrived, journaled ??= this.#journaledOf(series, range))
      const count = fresh.timesMs.length
      const again = minuteEnd - at - count
      this.#counts.add(series, minuteMs, count, again, lateBeforeMs(this.#partition, series.index, minuteMs))
      this.#duplicates += again
      for (let n = 0; n < count; n++) this.#take(series, minuteMs, fresh.timesMs[n], fresh.values[n])
      if (count > 0) this.#noteTaken(series, minuteMs, count)
      at = minuteEnd
    }
    if (newestMs < series.settledMaxMs) return
    const newest = values[end - 1] + 0
    series.settledMaxValue = newestMs === series.settledMaxMs ? Math.max(series.settledMaxValue, newest) : newest
    series.settledMaxMs = newestMs
  }

  /** The arrivals of a minute, sorted; each reading once, unless duplicates count. */
  #distinct (start: number, end: number): Readings {
    const { timesMs, values } = this.#partition.arrivals
    const arrived = emptyReadings()
    for (let n = start; n < end; n++) {
      const value = values[n] + 0
      const last = arrived.timesMs.length - 1
      if (!this.#rules.keepDuplicates &&
        last >= 0 && arrived.timesMs[last] === timesMs[n] && arrived.values[last] === value) {
        continue
      }
      arrived.timesMs.push(timesMs[n])
      arrived.values.push(value)
    }
    return arrived
  }

  /** Whether none of them can be known already. */
  #isNew (series: Series, { timesMs }: Readings): boolean {
    return this.#rules.keepDuplicates || timesMs[0] > series.settledMaxMs
  }

  /** What the journal has of a series in a range, sorted. Once for all minutes, which may span years. */
  #journaledOf ({ seriesId }: Series, range: TimeRange): Readings {
    const journaled = this.#partition.journal.readingsOf(
      seriesId, [deviceBlockOf(seriesId), lateBlockOf(seriesId)], range
    )
    for (const { due } of [this.#own, this.#late!]) { // their readings have left the journal
      const taken = due?.readings.get(seriesId)
      if (taken !== undefined) mergeReadings(journaled, cutReadings(taken, range), true)
    }
    return journaled
  }

  /** The new readings of a minute, sorted. @param journaled what the journal has of the series */
  #withoutResends (series: Series, minuteMs: number, arrived: Readings, journaled: Readings): Readings {
    const { timesMs, values } = arrived
    if (timesMs.length === 1 && timesMs[0] === series.settledMaxMs && values[0] === series.settledMaxValue) {
      return emptyReadings()
    }
    const there = cutReadings(journaled, { startMs: minuteMs, endMs: minuteMs + MINUTE_MS })
    const window = findKnown(series, MINUTE, minuteMs)
    if (window !== undefined) {
      const content = unpackMinute(window.packed!, minuteMs)
      if (content.kind === 'readings') mergeReadings(there, content.readings, true)
    }
    const own = window?.elsewhere === undefined ? arrived : readingsWithout(arrived, window.elsewhere)
    return mergeReadings(there, own, false).fresh
  }

  /** Puts a new reading into its block. */
  #take (series: Series, minuteMs: number, timeMs: number, value: number): void {
    const { seriesId, group } = series
    const ofGroup = this.#readingsOf(group!, minuteMs)
    ofGroup.timesMs.push(timeMs)
    ofGroup.values.push(value)
    const { recent } = this.#blockOf(minuteMs)
    if (recent !== undefined) {
      recent.add(seriesId, timeMs, value)
    } else {
      this.#forRows.timesMs.push(timeMs)
      this.#forRows.values.push(value)
    }
  }

  /** The block for a minute of the current devices: one for everything, if that becomes rows. */
  #blockOf (minuteMs: number): OpenBlock {
    return this.#own.due === undefined && minuteMs < this.#lateBeforeMs ? this.#late! : this.#own
  }

  /**
   * Adds the readings of a series to the block that becomes rows, all at once: they may be far after those that it has.
   */
  #endSeries ({ seriesId }: Series): void {
    if (this.#forRows.timesMs.length === 0) return
    addReadings((this.#own.due ?? this.#late!.due)!, seriesId, this.#forRows)
    this.#forRows = emptyReadings()
  }

  #noteTaken ({ seriesId }: Series, minuteMs: number, count: number): void {
    this.#readings += count
    this.#rows.announceAll(minuteMs, seriesId)
  }

  #readingsOf (group: Series, minuteMs: number): Readings {
    let minutes = this.#groups.get(group)
    if (minutes === undefined) this.#groups.set(group, minutes = new Map())
    let readings = minutes.get(minuteMs)
    if (readings === undefined) minutes.set(minuteMs, readings = { timesMs: [], values: [] })
    return readings
  }

  #writeGroups (): void {
    const byBlock = Map.groupBy(this.#groups, ([{ seriesId }]) => groupBlockOf(seriesId))
    for (const [number, groups] of byBlock) {
      const due = this.#dueOf(number)
      const deltas: Pick<FragmentContent, 'rollups'> = due ?? { rollups: new Map() }
      for (const [{ seriesId }, minutes] of groups) {
        for (const [minuteMs, readings] of minutes) {
          addRollup(deltas, seriesId, minuteMs, rollupOf(readings))
          this.#rows.announceAll(minuteMs, seriesId)
        }
      }
      if (due === undefined) this.#partition.journal.writeRollups(number, deltas)
    }
  }

  /** A block that becomes rows; undefined: it is journaled. */
  #dueOf (number: number): DueBlock | undefined {
    const due = this.#due.get(number)
    if (due !== undefined || !this.#isAllDue) return due
    const empty = emptyBlock(number)
    this.#due.set(number, empty)
    return empty
  }

  /** Writes rows of a due block; the open minute is journaled again. */
  #compact (block: DueBlock): void {
    const { journal, series } = this.#partition
    const left = compactBlock(block, series, this.#rules, this.#rows)
    if (left.readings.size > 0) journal.writeLeft(block.number, left)
  }
}

function rollupOf (readings: Readings): Rollup {
  const rollup = emptyRollup()
  foldUnsorted(rollup, readings)
  return rollup
}
