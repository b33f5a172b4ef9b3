/**
 * Admitting: of what has arrived in a partition, what is new goes to the journal.
 *
 *     arrived ──compare with rows and journal──▶ fresh ──▶ block of the device
 *                 (resends drop out here)           └──fold──▶ delta of the group ──▶ block of the group
 *
 * What this costs is what a live fleet costs: each flush brings one reading of each device, so a reading is compared with
 * the newest one of its series, written behind those of its block, and folded into its group. Rows come later (compact.ts).
 */
import {
  bucketStartMs, deviceBlockOf, emptyRollup, foldReading, groupBlockOf, JournalWriter, levels, mergeReadings, MINUTE_MS,
  readJournal, WIDE_BLOCK,  type Readings, type Rollup
} from 'relay-common'

import { ArrivalCounts } from './arrival-counts.ts'
import { ascending, compactBlock } from './compact.ts'
import type { FlushRows } from './flush-rows.ts'
import { addReadings, addRollup, emptyBlock, LATE_MS, within, type DueBlock, type Gathered } from './journal.ts'
import type { JournalPlan } from './plan-flush.ts'
import { lateBeforeMs } from './misplaced.ts'
import { unpackMinute } from './packed-row.ts'
import { lagOf, type Partition } from './partition.ts'
import type { Series } from './series-table.ts'
import { endOfMinute, endOfSeries, readingsWithout, type Settled, type SettleRules } from './settle.ts'
import { findKnown, forgetLate } from './windows.ts'

/** What a device has sent since the last flush, in arrivals that are sorted. */
interface Sent {
  readonly series: Series
  readonly start: number
  readonly end: number
}

const MINUTE = 0

/** One row of the journal is written at a time, of any partition. */
const writer = new JournalWriter()
const wideWriter = new JournalWriter()

/**
 * Admits what has arrived in a partition, which is sorted; every window that it touches is known, every series has its id.
 * @param plan which blocks become rows with this flush
 * @param rows where those go, and what has something new
 */
export function admit (
  partition: Partition, rules: SettleRules, plan: JournalPlan, rows: FlushRows, flushNumber: number
): Settled {
  return new Admission(partition, rules, plan, rows, flushNumber).run()
}

class Admission {
  readonly #partition: Partition
  readonly #rules: SettleRules
  readonly #due: Map<number, DueBlock>
  readonly #isAllDue: boolean
  readonly #rows: FlushRows
  readonly #flushNumber: number
  readonly #counts = new ArrivalCounts()
  readonly #groups = new Map<Series, Map<number, Rollup>>()
  #readings = 0
  #duplicates = 0
  #misplaced = 0
  /** of the block that is being written */
  #seriesInBlock = 0
  readonly #lateBeforeMs: number

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
    const sent = this.#sentById()
    for (let start = 0, end; start < sent.length; start = end) {
      const block = deviceBlockOf(sent[start].series.seriesId)
      for (end = start + 1; end < sent.length && deviceBlockOf(sent[end].series.seriesId) === block;) end++
      this.#admitBlock(block, sent, start, end)
    }
    this.#writeWide()
    this.#writeGroups()
    for (const block of [...this.#due.values()].sort((a, b) => a.number - b.number)) this.#compact(block)
    for (const { series } of sent) forgetLate(series)
    for (const group of this.#groups.keys()) forgetLate(group)
    partition.arrivals.clear(lagOf(partition))
    partition.returnedSettledMs.clear()
    partition.settledTimeMaxMs = partition.eventTimeMaxMs
    return {
      readings: this.#readings, duplicates: this.#duplicates, misplaced: this.#misplaced, arrivals: this.#counts.all()
    }
  }

  /** In the order of ids, so that those of a block are neighbours; readings that are at home elsewhere are sent there. */
  #sentById (): Sent[] {
    const { arrivals, series: table, misplaced, settledTimeMaxMs } = this.#partition
    const sent: Sent[] = []
    let isSorted = true
    for (let start = 0, end; start < arrivals.length; start = end) {
      end = endOfSeries(arrivals, start)
      const series = table.at(arrivals.series[start])
      series.lastFlush = this.#flushNumber
      if (series.homePartition !== undefined) {
        misplaced.add(series.homePartition, series.seriesId, arrivals, start, end, settledTimeMaxMs)
        this.#misplaced += end - start
        continue
      }
      isSorted &&= sent.length === 0 || sent[sent.length - 1].series.seriesId < series.seriesId
      sent.push({ series, start, end })
    }
    if (!isSorted) sent.sort((a, b) => a.series.seriesId - b.series.seriesId)
    return sent
  }

  #admitBlock (number: number, sent: readonly Sent[], start: number, end: number): void {
    const { journal, partition } = this.#partition
    const due = this.#dueOf(number)
    const merged = due === undefined ? journal.takeMerged(number) : undefined
    const gathered = due ?? merged
    this.#seriesInBlock = 0
    const before = this.#readings
    for (let n = start; n < end; n++) this.#admitSeries(sent[n], gathered)
    if (due !== undefined) return
    const fresh = this.#readings - before
    if (merged !== undefined) writeReadings(merged)
    if (writer.isEmpty) return
    const series = merged?.readings.size ?? this.#seriesInBlock
    journal.add(number, writer.take(), fresh, series, merged?.level ?? 0, partition)
  }

  #admitSeries ({ series, start, end }: Sent, gathered: Gathered | undefined): void {
    const { arrivals } = this.#partition
    const { timesMs } = arrivals
    let group = this.#groups.get(series.group!)
    if (group === undefined) this.#groups.set(series.group!, group = new Map())
    let isInBlock = false
    for (let at = start; at < end;) {
      const minuteEnd = endOfMinute(arrivals, at)
      const minuteMs = bucketStartMs(MINUTE_MS, timesMs[at])
      const fresh = this.#freshOf(series, minuteMs, at, minuteEnd, gathered)
      const again = minuteEnd - at - fresh.timesMs.length
      this.#counts.add(series, minuteMs, fresh.timesMs.length, again, lateBeforeMs(this.#partition, series.index, minuteMs))
      this.#duplicates += again
      if (fresh.timesMs.length > 0) isInBlock = this.#take(series, minuteMs, fresh, group, gathered) || isInBlock
      at = minuteEnd
    }
    const newestMs = timesMs[end - 1]
    if (newestMs >= series.settledMaxMs) {
      const newest = arrivals.values[end - 1] + 0
      const isSame = newestMs === series.settledMaxMs
      series.settledMaxValue = isSame ? Math.max(series.settledMaxValue, newest) : newest
      series.settledMaxMs = newestMs
    }
    if (isInBlock) this.#seriesInBlock++
  }

  /** What of a minute was not there before, sorted. Valid until the next call. */
  #freshOf (series: Series, minuteMs: number, start: number, end: number, gathered: Gathered | undefined): Readings {
    const { timesMs, values } = this.#partition.arrivals
    const fresh: Readings = { timesMs: [], values: [] }
    const { keepDuplicates } = this.#rules
    for (let n = start; n < end; n++) {
      const value = values[n] + 0 // -0 + 0 is 0
      const last = fresh.timesMs.length - 1
      if (!keepDuplicates && last >= 0 && fresh.timesMs[last] === timesMs[n] && fresh.values[last] === value) continue
      fresh.timesMs.push(timesMs[n])
      fresh.values.push(value)
    }
    if (keepDuplicates || timesMs[start] > series.settledMaxMs) return fresh
    if (fresh.timesMs.length === 1 && fresh.timesMs[0] === series.settledMaxMs && fresh.values[0] === series.settledMaxValue) {
      return { timesMs: [], values: [] }
    }
    return this.#withoutResends(series, minuteMs, fresh, gathered)
  }

  #withoutResends (series: Series, minuteMs: number, arrived: Readings, gathered: Gathered | undefined): Readings {
    const { journal } = this.#partition
    const { seriesId } = series
    const endMs = minuteMs + MINUTE_MS
    const base = journal.readingsOf(seriesId, [deviceBlockOf(seriesId), WIDE_BLOCK], minuteMs, endMs)
    for (const it of [gathered, this.#due.get(WIDE_BLOCK)]) { // what these hold is not in the journal any more
      const taken = it?.readings.get(seriesId)
      if (taken !== undefined) mergeReadings(base, within(taken, minuteMs, endMs), true)
    }
    const window = findKnown(series, MINUTE, minuteMs)
    if (window !== undefined) {
      const content = unpackMinute(window.packed!, minuteMs)
      if (content.kind === 'readings') mergeReadings(base, content.readings, true)
    }
    const own = window?.elsewhere === undefined ? arrived : readingsWithout(arrived, window.elsewhere)
    return mergeReadings(base, own, false).fresh
  }

  /** Puts fresh readings of a minute where they belong. @returns whether some went to the block of the device */
  #take (
    series: Series, minuteMs: number, fresh: Readings, group: Map<number, Rollup>, gathered: Gathered | undefined
  ): boolean {
    const { timesMs, values } = fresh
    const { seriesId } = series
    this.#readings += timesMs.length
    for (const [index, { sizeMs }] of levels.entries()) this.#rows.announce(index, bucketStartMs(sizeMs, minuteMs), seriesId)
    let delta = group.get(minuteMs)
    if (delta === undefined) group.set(minuteMs, delta = emptyRollup())
    for (let n = 0; n < timesMs.length; n++) foldReading(delta, timesMs[n], values[n])

    if (timesMs[0] < this.#lateBeforeMs) {
      const due = this.#dueOf(deviceBlockOf(seriesId)) ?? this.#due.get(WIDE_BLOCK)
      if (due !== undefined) addReadings(due, seriesId, fresh)
      else for (let n = 0; n < timesMs.length; n++) wideWriter.addReading(seriesId, timesMs[n], values[n])
      return false
    }
    if (gathered !== undefined) addReadings(gathered, seriesId, fresh)
    else for (let n = 0; n < timesMs.length; n++) writer.addReading(seriesId, timesMs[n], values[n])
    return true
  }

  #writeWide (): void {
    if (wideWriter.isEmpty) return
    const { journal, partition } = this.#partition
    const content = wideWriter.take()
    const merged = journal.takeMerged(WIDE_BLOCK)
    if (merged === undefined) {
      journal.add(WIDE_BLOCK, content, content.count, 1, 0, partition)
      return
    }
    readJournal(content.body, { readings: (id, readings) => addReadings(merged, id, readings), rollup: () => {} })
    writeReadings(merged)
    journal.add(WIDE_BLOCK, writer.take(), content.count, 1, merged.level, partition)
  }

  #writeGroups (): void {
    const { journal, partition } = this.#partition
    const groups = [...this.#groups].filter(([, it]) => it.size > 0)
      .sort(([a], [b]) => a.seriesId - b.seriesId)
    for (let start = 0, end; start < groups.length; start = end) {
      const number = groupBlockOf(groups[start][0].seriesId)
      const due = this.#dueOf(number)
      const merged = due === undefined ? journal.takeMerged(number) : undefined
      const gathered = due ?? merged
      let count = 0
      for (end = start; end < groups.length && groupBlockOf(groups[end][0].seriesId) === number; end++) {
        const [{ seriesId }, minutes] = groups[end]
        for (const minuteMs of ascending(minutes.keys())) {
          const delta = minutes.get(minuteMs)!
          for (const [index, { sizeMs }] of levels.entries()) this.#rows.announce(index, bucketStartMs(sizeMs, minuteMs), seriesId)
          count += delta.count
          if (gathered !== undefined) addRollup(gathered.rollups, seriesId, minuteMs, delta)
          else writer.addRollup(seriesId, minuteMs, delta)
        }
      }
      if (due !== undefined) continue
      if (merged !== undefined) writeRollups(merged)
      journal.add(number, writer.take(), count, end - start, merged?.level ?? 0, partition)
    }
  }

  /** A block that becomes rows. */
  #dueOf (number: number): DueBlock | undefined {
    const due = this.#due.get(number)
    if (due !== undefined || !this.#isAllDue) return due
    const empty = emptyBlock(number)
    this.#due.set(number, empty)
    return empty
  }

  /** Writes rows of a block that is due; what is not over yet is journaled again. */
  #compact (block: DueBlock): void {
    const { journal, partition, series } = this.#partition
    const left = compactBlock(block, series, this.#rules, this.#rows)
    if (left.readings.size === 0) return
    writeReadings(left)
    const content = writer.take()
    journal.add(block.number, content, content.count, left.readings.size, 1, partition)
  }
}

function writeReadings ({ readings }: Pick<Gathered, 'readings'>): void {
  for (const id of ascending(readings.keys())) {
    const { timesMs, values } = readings.get(id)!
    for (let n = 0; n < timesMs.length; n++) writer.addReading(id, timesMs[n], values[n])
  }
}

function writeRollups ({ rollups }: Pick<Gathered, 'rollups'>): void {
  for (const id of ascending(rollups.keys())) {
    const minutes = rollups.get(id)!
    for (const minuteMs of ascending(minutes.keys())) writer.addRollup(id, minuteMs, minutes.get(minuteMs)!)
  }
}
