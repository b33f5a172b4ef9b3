/**
 * The journal of a partition in the memory of its owner: readings added by flushes that are not in rows yet. The table
 * of the same name has the same rows (relay-rollups, `journal-row.ts`) for the next owner.
 *
 *     flush ──fragment──▶ block ──merge: 16 fragments into one──▶ … ──compact: due──▶ rows, and what is newer stays
 *
 * A block has up to 256 series. Fragments of one size are merged as in an LSM tree, so a reader meets few of them. The
 * number of a block decides when it is due, so blocks are compacted one after the other.
 */
import {
  bucketStartMs, cutReadings, emptyReadings, JournalRow, JournalWriter, kindOfBlock, mergeReadings, MINUTE_MS,
  decodeJournal, type JournalContent, type Readings, type TimeRange
} from 'relay-rollups'

import {
  addRollup, contentOfFragments, RecentReadings, writeReadings, writeRollups, type Fragment, type FragmentContent,
  type JournalBlock
} from './journal-block.ts'
import { encodeJournalRow } from './journal-rows.ts'
import type { RowOwner } from './windows.ts'
import type { JournalChanges, StoredFragment } from './store.ts'

export interface JournalSettings {
  /** interval of compaction of a block; 0: nothing is journaled, each flush writes rows */
  readonly intervalMs: number
  /** longest wait of a block whose devices report seldom */
  readonly ageMaxMs: number
  /** number of fragments of one size that are merged */
  readonly fragmentsMax: number
  /** readings per series from which a block of devices is compacted */
  readonly compactedReadingsMin: number
  /** readings per series from which a flush writes rows directly */
  readonly directReadingsMin: number
}

/** @param intervalMs 0: no journal */
export function journalSettings (intervalMs: number): JournalSettings {
  return {
    intervalMs,
    ageMaxMs: 5 * intervalMs,
    fragmentsMax: 16, // a reader meets about 30 of a block at most
    compactedReadingsMin: 30, // a row of a minute, an hour and a day costs as much as this many in the journal
    directReadingsMin: 20
  }
}

/** Each flush writes rows, as in a rebuild. */
export const NO_JOURNAL = journalSettings(0)

/** A block whose readings become rows. */
export interface DueBlock extends FragmentContent {
  readonly number: number
  /** readings from here on stay in the journal; Infinity: none */
  readonly cutMs: number
  /** owners of the rows, by id */
  readonly owners: Map<number, RowOwner>
}

/**
 * Readings older than the newest of their partition by this are late: in a shared block, a row would span all times.
 */
export const LATE_MS = 10 * MINUTE_MS

/** a query on a group reads its block of each partition, so they are kept small */
const GROUP_BYTES_MAX = 48 * 1024
/** a query on a device reads its late block with all its devices; about 6,000 readings */
const LATE_BYTES_MAX = 64 * 1024
/** readings that are still on their way find their minute open */
const STRAGGLER_MS = 5_000

/** Rows are written one at a time, for all partitions. */
const writer = new JournalWriter()

export class Journal {
  readonly #partition: number
  readonly #settings: JournalSettings
  readonly #blocks = new Map<number, JournalBlock>()
  #steadyMs: number
  #dueAtMs = Infinity
  #flush = 1
  #removed: Array<{ block: number, fromFlush: number }> = []
  #rows: Buffer[] = []
  /** in this flush */
  readonly #opened = new Map<Fragment, JournalRow>()

  /** @param stored as read by the claim */
  constructor (partition: number, stored: readonly StoredFragment[], settings: JournalSettings, steadyMs: number) {
    this.#partition = partition
    this.#settings = settings
    this.#steadyMs = steadyMs
    for (const { block: number, flush, body } of stored) {
      let readings = 0
      const ids = new Set<number>()
      decodeJournal(body, {
        readings: (id, { timesMs }) => {
          readings += timesMs.length
          ids.add(id)
        },
        rollup: (id, _, { count }) => {
          readings += count
          ids.add(id)
        }
      })
      const block = this.#blockOf(number)
      block.fragments.push({ flush, level: 1, body })
      block.bytes += body.length
      block.readings += readings
      block.series = Math.max(block.series, ids.size)
      if (flush >= this.#flush) this.#flush = flush + 1
    }
  }

  get isEmpty (): boolean { return this.#blocks.size === 0 }

  /** Whether a flush with this many readings and series becomes rows directly, together with the journal. */
  isPassed (readings: number, series: number): boolean {
    const { intervalMs, directReadingsMin } = this.#settings
    return intervalMs === 0 || (series > 0 && readings >= series * directReadingsMin)
  }

  /** Whether a block is due, so that a flush makes sense without arrivals. */
  isDue (steadyMs: number): boolean {
    return steadyMs >= this.#dueAtMs
  }

  /** All blocks; their readings become rows. */
  takeAll (): DueBlock[] {
    const all = [...this.#blocks.values()].map(it => this.#take(it, Infinity))
    this.#dueAtMs = Infinity
    return all
  }

  /** Takes due blocks with their content; they belong to the caller. */
  takeDue (steadyMs: number, eventTimeMaxMs: number): DueBlock[] {
    this.#steadyMs = steadyMs
    const { ageMaxMs, intervalMs, compactedReadingsMin } = this.#settings
    const due: DueBlock[] = []
    for (const block of [...this.#blocks.values()]) {
      const isOld = steadyMs - block.sinceMs >= ageMaxMs
      const kind = kindOfBlock(block.number)
      const isOfDevices = kind === 'devices'
      const isFull = !isOfDevices && block.bytes >= (kind === 'late' ? LATE_BYTES_MAX : GROUP_BYTES_MAX)
      if (steadyMs < block.dueAtMs && !isFull) continue
      if (isOfDevices && !isOld && block.readings < compactedReadingsMin * block.series) {
        block.dueAtMs = nextTurn(block.number, intervalMs, steadyMs)
        continue
      }
      const cutMs = isOld || !isOfDevices ? Infinity : bucketStartMs(MINUTE_MS, eventTimeMaxMs - STRAGGLER_MS)
      due.push(this.#take(block, cutMs))
    }
    this.#dueAtMs = this.#blocks.values().reduce((least, it) => Math.min(least, it.dueAtMs), Infinity)
    return due
  }

  #take (block: JournalBlock, cutMs: number): DueBlock {
    this.#blocks.delete(block.number)
    this.#removed.push({ block: block.number, fromFlush: 0 })
    return { number: block.number, cutMs, ...contentOfFragments(block), owners: new Map() }
  }

  /** Receives readings of a block, series by series; `write` makes a row of the new ones. */
  recentOf (number: number): RecentReadings {
    return this.#blockOf(number).recent
  }

  /**
   * Writes a row with the recent readings of a block: from a position on, or all if they are to be merged.
   * @param start their number before the flush
   */
  write (number: number, start: number): void {
    const block = this.#blockOf(number)
    const { recent } = block
    const fresh = recent.length - start
    if (fresh === 0) return
    const merged = this.#merged(block)
    if (merged === undefined) {
      this.#add(block, recent.writeFrom(start, writer), fresh, 0)
      block.recentFragments++
      return
    }
    let series
    if (merged.isRecentAlone) {
      series = recent.writeAll(writer)
    } else {
      const gathered = contentOfFragments(block, merged.from)
      writeReadings(gathered, writer)
      series = gathered.readings.size
    }
    this.#dropFrom(block, merged.from)
    recent.clear()
    block.recentFragments = 0
    this.#add(block, series, fresh, merged.level)
  }

  /**
   * Writes a row with rollups of groups, merged with those that are due for merging. @param deltas ownership passes
   * here
   */
  writeRollups (number: number, deltas: Pick<FragmentContent, 'rollups'>): void {
    const block = this.#blockOf(number)
    const merged = this.#merged(block)
    let count = 0
    for (const minutes of deltas.rollups.values()) for (const it of minutes.values()) count += it.count
    if (merged !== undefined) {
      const gathered = contentOfFragments(block, merged.from)
      this.#dropFrom(block, merged.from)
      for (const [id, minutes] of gathered.rollups) {
        for (const [minuteMs, rollup] of minutes) addRollup(deltas, id, minuteMs, rollup)
      }
    }
    writeRollups(deltas, writer)
    this.#add(block, deltas.rollups.size, count, merged?.level ?? 0)
  }

  /** Journals again the rest of a due block. */
  writeLeft (number: number, left: Pick<FragmentContent, 'readings'>): void {
    writeReadings(left, writer)
    const count = left.readings.values().reduce((sum, it) => sum + it.timesMs.length, 0)
    this.#add(this.#blockOf(number), left.readings.size, count, 1)
  }

  /** The fragments to merge a new one with; undefined: none. */
  #merged ({ fragments, recentFragments, lead }: JournalBlock): {
    from: number, level: number, isRecentAlone: boolean
  } | undefined {
    let from = fragments.length
    let level = 0
    for (;; level++) {
      let start = from
      while (start > 0 && fragments[start - 1].level <= level) start--
      if (from - start + (level === 0 ? lead : 0) < this.#settings.fragmentsMax - 1) break
      from = start
    }
    if (level === 0) return undefined
    return { from, level, isRecentAlone: from >= fragments.length - recentFragments }
  }

  #dropFrom (block: JournalBlock, from: number): void {
    block.lead = 0
    const dropped = block.fragments.splice(from)
    if (dropped.length === 0) return
    for (const { body } of dropped) block.bytes -= body.length
    this.#removed.push({ block: block.number, fromFlush: dropped[0].flush })
  }

  /** Adds a written row of the journal. */
  #add (block: JournalBlock, series: number, fresh: number, level: number): void {
    const content: JournalContent = writer.take()
    const flush = this.#flush
    this.#rows.push(encodeJournalRow(block.number, this.#partition, flush, content))
    block.fragments.push({ flush, level, body: content.body })
    block.bytes += content.body.length
    block.readings += fresh
    block.series = Math.max(block.series, series)
  }

  #blockOf (number: number): JournalBlock {
    let block = this.#blocks.get(number)
    if (block !== undefined) return block
    const { intervalMs, fragmentsMax } = this.#settings
    block = {
      number,
      fragments: [],
      recent: new RecentReadings(),
      recentFragments: 0,
      readings: 0,
      series: 0,
      bytes: 0,
      sinceMs: this.#steadyMs,
      dueAtMs: nextTurn(number, intervalMs, this.#steadyMs),
      lead: Math.abs(number) % fragmentsMax
    }
    this.#blocks.set(number, block)
    this.#dueAtMs = Math.min(this.#dueAtMs, block.dueAtMs)
    return block
  }

  /** Changes of the table by the flush that ends here. */
  takeChanges (): JournalChanges {
    const changes = { removed: this.#removed, rows: this.#rows }
    this.#removed = []
    this.#rows = []
    this.#opened.clear()
    this.#flush++
    return changes
  }

  /** Forgets blocks that stayed empty. */
  forgetEmpty (): void {
    for (const [number, { fragments }] of this.#blocks) if (fragments.length === 0) this.#blocks.delete(number)
  }

  /** Readings of a series in a range, in these blocks. */
  readingsOf (seriesId: number, numbers: readonly number[], range: TimeRange): Readings {
    const found = emptyReadings()
    const add = (readings: Readings) => { mergeReadings(found, readings, true) }
    for (const number of numbers) {
      const block = this.#blocks.get(number)
      if (block === undefined) continue
      const { fragments, recentFragments, recent } = block
      for (const fragment of fragments.slice(0, fragments.length - recentFragments)) {
        this.#rowOf(fragment).readOf(seriesId, {
          readings: (_, readings) => add(cutReadings(readings, range)),
          rollup: () => {}
        })
      }
      add(recent.of(seriesId, range))
    }
    return found
  }

  /** Many series of a flush may be looked up in one fragment. */
  #rowOf (fragment: Fragment): JournalRow {
    let row = this.#opened.get(fragment)
    if (row === undefined) this.#opened.set(fragment, row = new JournalRow(fragment.body))
    return row
  }
}

/** The next turn of a block, at least half an interval from now: blocks have different turns. */
function nextTurn (number: number, intervalMs: number, steadyMs: number): number {
  if (intervalMs === 0) return steadyMs
  const offsetMs = (Math.imul(number, 0x9e3779b1) >>> 0) / 2 ** 32 * intervalMs
  const next = Math.floor((steadyMs - offsetMs) / intervalMs + 1) * intervalMs + offsetMs
  return next - steadyMs < intervalMs / 2 ? next + intervalMs : next
}

/** An empty block that becomes rows. */
export function emptyBlock (number: number): DueBlock {
  return { number, cutMs: Infinity, readings: new Map(), rollups: new Map(), owners: new Map() }
}
