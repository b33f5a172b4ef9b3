/**
 * Reads rows of rollups in one statement (`rows-statement.ts`), so that all are of one moment: a processor writes every
 * level of an event in one transaction. The statement also returns the retention, and changes of cached blocks
 * (`rollup-cache.ts`).
 */
import { levels, type DecodedRow } from 'relay-rollups'

import { nobody, type Asker } from '../sharing/asker.ts'
import type { Batches } from './batch.ts'
import type { LevelRetentions } from './kept-since.ts'
import type { ArrivalTotals, LateReadings } from './late-readings.ts'
import type { ReadRow, Source } from './merge.ts'
import { unpackRows } from './packed-rows.ts'
import type { BucketRange } from './plan.ts'
import { around, createJournalCollector, createPlaces, type JournalCollector } from './read-journal.ts'
import {
  filterReadsDeviceSeries, part, rangesOf, rowsStatement, type Columns, type SeriesFilter, type Wanted
} from './rows-statement.ts'

/** The moment of a statement. */
export interface Moment {
  /** oldest transaction in progress: the data includes all earlier ones */
  readonly position: bigint
  /** history of the database, to which positions belong; null: it has no id yet */
  readonly historyId: string | null
  readonly retention: LevelRetentions
  /** cached buckets that have changed since their position, or may have */
  readonly changed: readonly BucketRange[]
  /** of the wanted range */
  readonly arrivals: SelectedArrivals
}

/** Late readings of a selection, and their counts with those of duplicates, in all hours that overlap a range. */
export interface SelectedArrivals {
  readonly late: readonly LateReadings[]
  readonly totals: ArrivalTotals
}

/**
 * Reads rows.
 * @param visit gets each row while the next ones arrive, so that a decade of a zone is not held in memory
 * @throws RelayError RELAY_DATABASE_UNREACHABLE, and errors of `visit`
 */
export async function readRows (
  batches: Batches, filter: SeriesFilter, wanted: Wanted, visit: (row: ReadRow) => void, asker: Asker = nobody
): Promise<Moment> {
  let position: bigint | undefined
  let historyId: string | null = null
  let retention: LevelRetentions = {}
  const changed: BucketRange[] = []
  const late: LateReadings[] = []
  let totals: ArrivalTotals = { late: 0, duplicates: 0 }
  const packed: Array<Source & { readonly edge: number | undefined, readonly rows: Buffer }> = []
  const journal = createJournalCollector<Source>(around(rangesOf(wanted)) ?? { startMs: 0, endMs: 0 })
  for (const { zone, type: deviceType, ids } of filter.granted?.series ?? []) {
    for (const id of ids) journal.addSeries(id, { zone, deviceType })
  }
  await batches.ask(rowsStatement(filter, wanted, Date.now()), columns => {
    const [kind, zone, deviceType, bucketStartS, count, min, max, body] = columns as Columns
    if (kind === part.moment) {
      position = BigInt(zone)
      historyId = deviceType as string | null
      retention = { minute: count ?? undefined, hour: min ?? undefined, day: max ?? undefined }
    } else if (kind === part.changed) {
      const level = levels[count]
      changed.push({ level, startMs: bucketStartS * 1000, endMs: min * 1000 + level.sizeMs })
    } else if (kind === part.late) {
      late.push({ hourMs: bucketStartS * 1000, minutes: BigInt(zone), throughMs: count * 1000 })
    } else if (kind === part.arrivals) {
      totals = { late: count, duplicates: min }
    } else if (kind === part.journal) {
      const seriesId = bucketStartS
      if (seriesId !== null) journal.addSeries(seriesId, { zone, deviceType })
      if (body !== null) journal.addRow(body, seriesId ?? undefined)
    } else {
      const edge = kind === part.bucket ? undefined : kind
      if (bucketStartS === null) packed.push({ edge, zone, deviceType, rows: body })
      else visit({ edge, zone, deviceType, bucketStartMs: bucketStartS * 1000, count, min, max, body })
    }
  }, asker)
  for (const { rows, ...source } of packed) {
    for (const row of unpackRows(rows)) {
      const turn = asker.pace()
      if (turn) await turn
      asker.countRead(1)
      visit({ ...source, ...row })
    }
  }
  visitJournal(filter, wanted, journal, visit)
  return { position: position!, historyId, retention, changed, arrivals: { late, totals } }
}

/** Adds the journal to the buckets and edges: readings of devices, or minutes of groups. */
function visitJournal (
  filter: SeriesFilter, { buckets, edges }: Wanted, journal: JournalCollector<Source>, visit: (row: ReadRow) => void
): void {
  const places = createPlaces(buckets, edges.map(it => it.bucketMs))
  const place = (source: Source, isOfGroups: boolean, bucketStartMs: number, isEdge: boolean, content: DecodedRow) => {
    if (!isEdge && filterReadsDeviceSeries(filter) !== isOfGroups) {
      visit({ ...source, edge: undefined, bucketStartMs, content })
    }
    if (!isEdge) return
    for (const [edge, it] of edges.entries()) {
      if (it.bucketMs === bucketStartMs && (it.isOfGroups ?? false) === isOfGroups) {
        visit({ ...source, edge, bucketStartMs, content })
      }
    }
  }
  journal.finish({
    readings: (source, readings) => places.readings(readings, (...it) => place(source, false, ...it)),
    rollup: (source, minuteMs, rollup) =>
      places.minute(minuteMs, (...it) => place(source, true, ...it, { rollup, readings: undefined }))
  })
}
