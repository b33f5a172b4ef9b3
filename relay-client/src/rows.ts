/** Rows of aggregates as a stream: NDJSON, whose last line marks the end and has the cursor. */
import type { Client } from 'openapi-fetch'

import { linesOf } from './lines.ts'
import { errorOf } from './problem.ts'
import type { components, paths } from './schema.ts'

type Operation = paths['/api/v1/aggregates']['get']

/** The parameters of the API, except those that this client sets. */
export type AggregatesQuery = Omit<NonNullable<Operation['parameters']['query']>, 'format' | 'cursor'>

/** Percentiles and their errors have unlimited names. */
export type AggregateRow = components['schemas']['AggregateRow'] & {
  readonly [percentile: `p${number}` | `p${number}Error`]: number | null
}

type NdjsonLine = AggregateRow | { readonly end: { readonly next: string | null } }

export async function * readRows (
  client: Client<paths>, query: AggregatesQuery, signal: AbortSignal | undefined
): AsyncGenerator<AggregateRow, void> {
  for (let cursor: string | null | undefined; cursor !== null;) {
    const { response, error } = await client.GET('/api/v1/aggregates', {
      params: { query: { ...query, format: 'ndjson', ...(cursor === undefined ? {} : { cursor }) } },
      parseAs: 'stream',
      signal
    })
    if (!response.ok) throw errorOf(error, response)
    cursor = yield * rowsOf(response)
  }
}

/** @returns the cursor of the next answer; null: none */
async function * rowsOf (response: Response): AsyncGenerator<AggregateRow, string | null> {
  for await (const text of linesOf(response.body!)) {
    const line = JSON.parse(text) as NdjsonLine
    if ('end' in line) return (line as { end: { next: string | null } }).end.next
    yield line as AggregateRow
  }
  throw new Error('the answer ended before its last row')
}
