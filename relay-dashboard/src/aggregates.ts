/** All rows of a query, read page by page. */
import type { AggregatesQuery, RelayClient } from '@relay-telemetry/client/src/index.ts'

import { dataOf } from './failure.ts'
import { countOf } from './format.ts'
import type { Row } from './series.ts'

export interface Aggregates {
  readonly rows: readonly Row[]
  readonly startMs: number
  readonly endMs: number
  readonly interval: string
  readonly completeThrough: string | null
  readonly lateReadings: number
  readonly duplicateReadings: number
}

/** Most rows that the page can hold. */
const ROWS_MAX = 250_000
const PAGE_ROWS = 100_000

/** @throws Refused, RangeError for more rows than a page can hold */
export async function readAggregates (
  relay: RelayClient,
  asked: AggregatesQuery,
  signal: AbortSignal
): Promise<Aggregates> {
  const rows: Row[] = []
  for (let cursor: string | undefined; ;) {
    const query = { ...asked, limit: PAGE_ROWS, ...(cursor === undefined ? {} : { cursor }) }
    const page = dataOf(await relay.GET('/api/v1/aggregates', { params: { query }, signal }))
    for (const row of page.rows) rows.push(row)
    if (page.next === null) {
      const { start, end, interval, completeThrough, lateReadings, duplicateReadings } = page
      return {
        rows,
        startMs: Date.parse(start),
        endMs: Date.parse(end),
        interval,
        completeThrough,
        lateReadings,
        duplicateReadings
      }
    }
    if (rows.length >= ROWS_MAX) {
      throw new RangeError(
        `There are more than ${countOf(ROWS_MAX, 'row')}. Choose a longer interval, a shorter range or fewer groups.`
      )
    }
    cursor = page.next
  }
}
