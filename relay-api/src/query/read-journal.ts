/**
 * The journal of a query: readings of its series that are not in rows yet (relay-rollups, `journal-row.ts`). The
 * statement that reads the rows also reads the journal, so both are of one moment, and each reading is in exactly one.
 *
 *     blocks of the series ──▶ journal rows of that time ──▶ readings, by series ──place──▶ buckets and edges of the query
 *
 * A row of the journal has readings of hundreds of devices, and is read once per statement, for any of them.
 */
import {
  bucketStartMs, cutReadings, deviceBlockOf, emptyRollup, foldReadings, groupBlockOf, journalBlockOf, journalBlocksIn,
  lastAtOrBefore, lateBlockOf, lateJournalBlockOf, mergeReadings, MINUTE_MS, readingsByBucket, decodeJournal,
  type DecodedRow, type JournalVisitor, type Readings, type Rollup, type TimeRange
} from 'relay-rollups'

import type { Granted } from './granted-series.ts'
import type { SeriesKind } from './groups.ts'
import type { BucketRange } from './plan.ts'

/** The journal rows that a statement reads. */
export interface JournalQuery {
  readonly kind: SeriesKind
  /** FROM and WHERE of rows `s` of the table series */
  readonly series: string
  /** SQL of the start of the queried time, and the end; undefined: any time */
  readonly startTime: string | undefined
  readonly endTime: string | undefined
}

/** Rows `j` for each of a few series. @param columns of `s` and `j` */
export function journalOfEach ({ kind, series, ...times }: JournalQuery, columns: string): string {
  // `offset 0`, as in rows-statement.ts: by the primary key, one series at a time
  return `
    select ${columns}
    from (select s.* from ${series}) s cross join lateral (
      select * from journal j where j.block in (${journalBlocksIn('s.series_id', kind)})${within(times)} offset 0) j`
}

/** Rows `j` for any number of series: each row once, and the series that may be in it. */
export interface JournalArms {
  /** WITH of the statement, before its arms */
  readonly blocks: string
  readonly arms: readonly [series: string, rows: string]
}

/**
 * @param name of the CTE
 * @param seriesColumns of `s`
 * @param rowColumns of `j`
 */
export function journalOfMany (
  { kind, series, ...times }: JournalQuery, name: string, seriesColumns: string, rowColumns: string
): JournalArms {
  const own = journalBlockOf('s.series_id', kind)
  const isOf = (block: string) => `j.block = ${block}${within(times)}`
  const late = kind === 'devices' ? ` union select ${lateJournalBlockOf('block')} from own` : ''
  const orLate = kind === 'devices' ? ` or ${lateJournalBlockOf(own)} in (select block from ${name})` : ''
  return {
    // blocks with rows of that time: without any, series are not read either
    blocks: `${name} as materialized (
      with own as materialized (select distinct ${own} as block from ${series})
      select b.block from (select block from own${late}) b
      where exists (select from journal j where ${isOf('b.block')} offset 0))`,
    arms: [`
    select ${seriesColumns} from ${series} and (${own} in (select block from ${name})${orLate})`, `
    select ${rowColumns} from ${name} b cross join lateral (select * from journal j where ${isOf('b.block')} offset 0) j`]
  }
}

/** Rows `j` of blocks, each once. @param blocks SQL of an array of them (`blocksOf`) */
export function journalOfBlocks (
  blocks: string, times: Pick<JournalQuery, 'startTime' | 'endTime'>, columns: string
): string {
  return `
    select ${columns} from unnest(${blocks}) as b (block)
    cross join lateral (select * from journal j where j.block = b.block${within(times)} offset 0) j`
}

/** All blocks that may contain some series, each once. */
export function journalBlocksOf (
  series: ReadonlyArray<{ readonly seriesId: number, readonly kind: SeriesKind }>
): number[] {
  return [...new Set(series.flatMap(({ seriesId, kind }) =>
    kind === 'devices' ? [deviceBlockOf(seriesId), lateBlockOf(seriesId)] : [groupBlockOf(seriesId)]))]
}

/** All blocks that may contain the found series. */
export function blocksOfGranted ({ series }: Granted): number[] {
  const blocks = new Set<number>()
  for (const { ids } of series) for (const id of ids) blocks.add(deviceBlockOf(id)).add(lateBlockOf(id))
  return [...blocks]
}

function within ({ startTime, endTime }: Pick<JournalQuery, 'startTime' | 'endTime'>): string {
  return (endTime === undefined ? '' : ` and j.first_time < ${endTime}`) +
    (startTime === undefined ? '' : ` and j.last_time >= ${startTime}`)
}

/** Collects the content of journal rows by series, with what each means to the query. */
export interface JournalCollector<Series> {
  addSeries (seriesId: number, series: Series): void
  /** @param seriesId the wanted one; undefined: all added series, before or after it */
  addRow (body: Buffer, seriesId?: number): void
  /**
   * Call it once after all rows: returns the readings of each device, sorted, and the rollups of groups.
   * @throws RelayError RELAY_ROLLUP_CORRUPT
   */
  finish (visitor: {
    readings (series: Series, readings: Readings): void
    rollup (series: Series, minuteMs: number, rollup: Rollup): void
  }): void
}

export const allTime: TimeRange = { startMs: -Infinity, endMs: Infinity }

/** @param range readings of other times are skipped */
export function createJournalCollector<Series> ({ startMs, endMs }: TimeRange): JournalCollector<Series> {
  const seriesById = new Map<number, Series>()
  const readingsById = new Map<number, Readings>()
  const rollups: Array<{ readonly seriesId: number, readonly minuteMs: number, readonly rollup: Rollup }> = []
  const rows: Array<{ readonly body: Buffer, readonly seriesId: number | undefined }> = []
  const visitor: JournalVisitor = {
    readings (seriesId, readings) {
      const inRange = cutReadings(readings, { startMs, endMs })
      const known = readingsById.get(seriesId)
      if (known) mergeReadings(known, inRange, true)
      else if (inRange.timesMs.length > 0) readingsById.set(seriesId, inRange)
    },
    rollup (seriesId, minuteMs, rollup) {
      if (minuteMs >= startMs && minuteMs < endMs) rollups.push({ seriesId, minuteMs, rollup })
    }
  }
  return {
    addSeries: (seriesId, series) => { seriesById.set(seriesId, series) },
    addRow: (body, seriesId) => { rows.push({ body, seriesId }) },
    finish ({ readings, rollup }) {
      for (const { body, seriesId } of rows) {
        decodeJournal(body, visitor, seriesId === undefined ? it => seriesById.has(it) : it => it === seriesId)
      }
      for (const [seriesId, it] of readingsById) readings(seriesById.get(seriesId)!, it)
      for (const it of rollups) rollup(seriesById.get(it.seriesId)!, it.minuteMs, it.rollup)
    }
  }
}

/** Places of journal content in a query: its buckets, or minutes with edges. */
export interface Places {
  /** Splits a device's readings into places. */
  readings (readings: Readings, visit: (bucketStartMs: number, isEdge: boolean, content: DecodedRow) => void): void
  /** The place of a group's minute, if there is one. */
  minute (minuteMs: number, visit: (bucketStartMs: number, isEdge: boolean) => void): void
}

/** @param edgeMinutesMs outside of the buckets; may repeat */
export function createPlaces (buckets: readonly BucketRange[], edgeMinutesMs: readonly number[]): Places {
  const edges = [...new Set(edgeMinutesMs)].map(startMs =>
    ({ startMs, endMs: startMs + MINUTE_MS, sizeMs: MINUTE_MS, isEdge: true }))
  const ranges = [
    ...buckets.map(({ startMs, endMs, level: { sizeMs } }) => ({ startMs, endMs, sizeMs, isEdge: false })), ...edges
  ]
    .sort((a, b) => a.startMs - b.startMs)
  const starts = ranges.map(it => it.startMs)
  return {
    readings (readings, visit) {
      const { timesMs } = readings
      const lastMs = timesMs[timesMs.length - 1]
      for (let n = lastAtOrBefore(starts, timesMs[0]); n < ranges.length && ranges[n].startMs <= lastMs; n++) {
        const { sizeMs, isEdge } = ranges[n]
        for (const [bucketMs, part] of readingsByBucket(cutReadings(readings, ranges[n]), sizeMs)) {
          const rollup = emptyRollup()
          foldReadings(rollup, part)
          visit(bucketMs, isEdge, { rollup, readings: part })
        }
      }
    },
    minute (minuteMs, visit) {
      const range = ranges[lastAtOrBefore(starts, minuteMs)]
      if (range === undefined || minuteMs < range.startMs || minuteMs >= range.endMs) return
      visit(bucketStartMs(range.sizeMs, minuteMs), range.isEdge)
    }
  }
}

/** From the first to the last of some ranges; undefined: there are none. */
export function around (ranges: readonly TimeRange[]): TimeRange | undefined {
  if (ranges.length === 0) return undefined
  return ranges.reduce((a, b) => ({ startMs: Math.min(a.startMs, b.startMs), endMs: Math.max(a.endMs, b.endMs) }))
}
