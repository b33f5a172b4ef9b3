/**
 * The journal of a partition, as its owner has it in memory: what flushes have added to series and what is not in their
 * rows yet. The table of that name has the same rows (relay-common, `journal.ts`), so that the next owner finds it.
 *
 *     flush ──fragment──▶ block ──merge: 16 fragments into one──▶ … ──compact: due──▶ rows, and what is newer stays
 *
 * A block is some 256 series. Fragments of one size are merged as in an LSM tree, so a reader meets few of them. When a
 * block is due depends on its number, so that blocks are compacted one after the other and not all at once.
 */
import {
  bucketStartMs, emptyReadings, mergeReadings, mergeRollup, MINUTE_MS, readJournal, WIDE_BLOCK, type JournalContent,
  type Readings, type Rollup
} from 'relay-common'

import { encodeJournalRow } from './journal-rows.ts'
import type { RowOwner } from './series-table.ts'
import type { JournalChanges, StoredFragment } from './store.ts'

export interface JournalSettings {
  /** a block is compacted once in so long; 0: nothing is journaled, each flush writes rows */
  readonly intervalMs: number
  /** a block of devices that report seldom waits for more readings, and no longer than this */
  readonly ageMaxMs: number
  /** so many fragments of one size become one */
  readonly fragmentsMax: number
  /** a block of devices is compacted from so many readings of each series on */
  readonly compactedReadingsMin: number
  /** a flush that brings so many readings of each series writes their rows at once */
  readonly directReadingsMin: number
}

/**
 * @param intervalMs 0: no journal
 */
export function journalSettings (intervalMs: number): JournalSettings {
  return {
    intervalMs,
    ageMaxMs: 5 * intervalMs,
    fragmentsMax: 16, // a reader meets some 30 of a block at most
    compactedReadingsMin: 30, // of a minute, an hour and a day, one row takes no more for them than the journal does
    directReadingsMin: 20
  }
}

interface Fragment {
  readonly flush: number
  /** how often its readings were merged */
  readonly level: number
  readonly body: Buffer
}

interface Block {
  readonly number: number
  readonly fragments: Fragment[]
  readings: number
  /** most series that a fragment has */
  series: number
  bytes: number
  /** since when it has had readings, as far as we know */
  readonly sinceMs: number
  dueAtMs: number
  /** fragments that it is ahead of others, so that not all blocks are merged by the same flush */
  lead: number
}

/** By series, what fragments have. */
export interface Gathered {
  readonly readings: Map<number, Readings>
  /** of groups, by minute */
  readonly rollups: Map<number, Map<number, Rollup>>
}

/** Each flush writes rows: so do those who rebuild them. */
export const NO_JOURNAL = journalSettings(0)

/** A block whose readings become rows. */
export interface DueBlock extends Gathered {
  readonly number: number
  /** readings from here on stay in the journal; Infinity: none does */
  readonly cutMs: number
  /** whose rows they become, by id */
  readonly owners: Map<number, RowOwner>
}

/** Readings this much older than the newest of their partition are late ones: a row of their block would be of all times. */
export const LATE_MS = 10 * MINUTE_MS

/** who asks for a group reads its block of each partition: they are kept small */
const GROUP_BYTES_MAX = 48 * 1024
/** readings that are on their way still find their minute open */
const STRAGGLER_MS = 5_000

export class Journal {
  readonly #settings: JournalSettings
  readonly #blocks = new Map<number, Block>()
  #nowMs: number
  #dueAtMs = Infinity
  #flush = 1
  #removed: Array<{ block: number, fromFlush: number }> = []
  #rows: Buffer[] = []

  /** @param stored what a claim has found */
  constructor (stored: readonly StoredFragment[], settings: JournalSettings, nowMs: number) {
    this.#settings = settings
    this.#nowMs = nowMs
    for (const { block: number, flush, body } of stored) {
      let readings = 0
      const ids = new Set<number>()
      readJournal(body, {
        readings: (id, { timesMs }) => {
          readings += timesMs.length
          ids.add(id)
        },
        rollup: (id, _, { count }) => {
          readings += count
          ids.add(id)
        }
      })
      this.#append(number, { flush, level: 1, body }, readings, ids.size)
      if (flush >= this.#flush) this.#flush = flush + 1
    }
  }

  get isEmpty (): boolean { return this.#blocks.size === 0 }

  /** Whether what a flush brings of some series becomes rows at once, and all that is here with it. */
  isPassed (readings: number, series: number): boolean {
    const { intervalMs, directReadingsMin } = this.#settings
    return intervalMs === 0 || (series > 0 && readings >= series * directReadingsMin)
  }

  /** Whether a block is due, so that a flush is worth it also if nothing has arrived. */
  isDue (nowMs: number): boolean {
    return nowMs >= this.#dueAtMs
  }

  /** All blocks, whose readings become rows. */
  takeAll (): DueBlock[] {
    const all = [...this.#blocks.values()].map(it => this.#take(it, Infinity))
    this.#dueAtMs = Infinity
    return all
  }

  /** Blocks that are due, with what they have: it is the caller's from now on. */
  takeDue (nowMs: number, eventTimeMaxMs: number): DueBlock[] {
    this.#nowMs = nowMs
    const { ageMaxMs, intervalMs, compactedReadingsMin } = this.#settings
    const due: DueBlock[] = []
    for (const block of [...this.#blocks.values()]) {
      const isOld = nowMs - block.sinceMs >= ageMaxMs
      const isOfDevices = block.number > WIDE_BLOCK
      const isFull = block.number < WIDE_BLOCK && block.bytes >= GROUP_BYTES_MAX
      if (nowMs < block.dueAtMs && !isFull) continue
      if (isOfDevices && !isOld && block.readings < compactedReadingsMin * block.series) {
        block.dueAtMs = nextTurn(block.number, intervalMs, nowMs)
        continue
      }
      const cutMs = isOld || !isOfDevices ? Infinity : bucketStartMs(MINUTE_MS, eventTimeMaxMs - STRAGGLER_MS)
      due.push(this.#take(block, cutMs))
    }
    this.#dueAtMs = this.#blocks.values().reduce((least, it) => Math.min(least, it.dueAtMs), Infinity)
    return due
  }

  #take (block: Block, cutMs: number): DueBlock {
    this.#blocks.delete(block.number)
    this.#removed.push({ block: block.number, fromFlush: 0 })
    return { number: block.number, cutMs, ...gather(block.fragments), owners: new Map() }
  }

  /**
   * Takes fragments that a new one is to be merged with.
   * @returns undefined: none, it is written as it is
   */
  takeMerged (number: number): Gathered & { readonly level: number } | undefined {
    const block = this.#blocks.get(number)
    if (block === undefined) return undefined
    const { fragments } = block
    const { fragmentsMax } = this.#settings
    let from = fragments.length
    let level = 0
    for (;; level++) {
      let start = from
      while (start > 0 && fragments[start - 1].level <= level) start--
      if (from - start + (level === 0 ? block.lead : 0) < fragmentsMax - 1) break
      from = start
      if (level === 0) block.lead = 0
    }
    if (from === fragments.length) return undefined
    const merged = fragments.splice(from)
    for (const it of merged) block.bytes -= it.body.length
    this.#removed.push({ block: number, fromFlush: merged[0].flush })
    return { level, ...gather(merged) }
  }

  /** Adds what a flush has written of a block. @param level of what it was merged from; 0: it is all new */
  add (number: number, content: JournalContent, fresh: number, series: number, level: number, sourcePartition: number): void {
    const flush = this.#flush
    this.#rows.push(encodeJournalRow(number, sourcePartition, flush, content))
    this.#append(number, { flush, level, body: content.body }, fresh, series)
  }

  #append (number: number, fragment: Fragment, readings: number, series: number): void {
    let block = this.#blocks.get(number)
    if (block === undefined) {
      const { intervalMs, fragmentsMax } = this.#settings
      this.#blocks.set(number, block = {
        number,
        fragments: [],
        readings: 0,
        series: 0,
        bytes: 0,
        sinceMs: this.#nowMs,
        dueAtMs: nextTurn(number, intervalMs, this.#nowMs),
        lead: Math.abs(number) % fragmentsMax
      })
      this.#dueAtMs = Math.min(this.#dueAtMs, block.dueAtMs)
    }
    block.fragments.push(fragment)
    block.readings += readings
    block.series = Math.max(block.series, series)
    block.bytes += fragment.body.length
  }

  /** What the table is to be brought to with the flush that ends here. */
  takeChanges (): JournalChanges {
    const changes = { removed: this.#removed, rows: this.#rows }
    this.#removed = []
    this.#rows = []
    this.#flush++
    return changes
  }

  /** What a series has in a stretch of time, as far as it is in a block or among those of any block. */
  readingsOf (seriesId: number, numbers: readonly number[], startMs: number, endMs: number): Readings {
    const found = emptyReadings()
    for (const number of numbers) {
      for (const { body } of this.#blocks.get(number)?.fragments ?? []) {
        readJournal(body, {
          readings: (_, readings) => { mergeReadings(found, within(readings, startMs, endMs), true) },
          rollup: () => {}
        }, it => it === seriesId)
      }
    }
    return found
  }
}

/** Readings in [startMs, endMs). */
export function within ({ timesMs, values }: Readings, startMs: number, endMs: number): Readings {
  let start = 0
  let end = timesMs.length
  while (start < end && timesMs[start] < startMs) start++
  while (end > start && timesMs[end - 1] >= endMs) end--
  return { timesMs: timesMs.slice(start, end), values: values.slice(start, end) }
}

/** The next time at which a block has its turn, at least half an interval from now: each block has a time of its own. */
function nextTurn (number: number, intervalMs: number, nowMs: number): number {
  if (intervalMs === 0) return nowMs
  const offsetMs = (Math.imul(number, 0x9e3779b1) >>> 0) / 2 ** 32 * intervalMs
  const next = Math.floor((nowMs - offsetMs) / intervalMs + 1) * intervalMs + offsetMs
  return next - nowMs < intervalMs / 2 ? next + intervalMs : next
}

function gather (fragments: readonly Fragment[]): Gathered {
  const readings: Gathered['readings'] = new Map()
  const rollups: Gathered['rollups'] = new Map()
  for (const { body } of fragments) {
    readJournal(body, {
      readings: (id, found) => addReadings({ readings }, id, found),
      rollup: (id, minuteMs, rollup) => addRollup(rollups, id, minuteMs, rollup)
    })
  }
  return { readings, rollups }
}

/** A block that has nothing yet and becomes rows. */
export function emptyBlock (number: number): DueBlock {
  return { number, cutMs: Infinity, readings: new Map(), rollups: new Map(), owners: new Map() }
}

/** @param readings given away; none of them is there */
export function addReadings ({ readings: bySeries }: Pick<Gathered, 'readings'>, id: number, readings: Readings): void {
  const base = bySeries.get(id)
  if (base === undefined) bySeries.set(id, readings)
  else mergeReadings(base, readings, true)
}

/** @param rollup given away */
export function addRollup (rollups: Gathered['rollups'], id: number, minuteMs: number, rollup: Rollup): void {
  let minutes = rollups.get(id)
  if (minutes === undefined) rollups.set(id, minutes = new Map())
  const base = minutes.get(minuteMs)
  if (base === undefined) minutes.set(minuteMs, rollup)
  else mergeRollup(base, rollup)
}
