/** Totals in a comparable form, and the cost of reading them. */
import type { Database } from 'relay-common'
import { median, total } from 'relay-rollups'

import type { Merged } from '../../src/query/merge.ts'
import { unpackRows } from '../../src/query/packed-rows.ts'
import { part, type Columns } from '../../src/query/rows-statement.ts'

/** The part of totals that must be equal. */
export function numbersOf ({ rollup, ...rest }: Merged) {
  return [rollup.count, total(rollup), rollup.min, rollup.max, rollup.firstMs, rollup.lastMs, median(rollup), rest]
}

/** How many rows a row of a statement contains. */
function sizeOf ([kind, , , bucketStartS, , , , body]: Columns): number {
  return kind >= part.bucket && bucketStartS === null ? [...unpackRows(body)].length : 1
}

/** @returns the number of rows of each streamed statement, in the order of their ends, and a database that counts */
export function counting (database: Database): { readonly counted: Database, readonly statements: number[] } {
  const statements: number[] = []
  const counted: Database = {
    ...database,
    async streamPrepared (name, sql, values, visit) {
      let rows = 0
      await database.streamPrepared(name, sql, values, columns => {
        rows += sizeOf(columns as Columns)
        visit(columns)
      })
      statements.push(rows)
    }
  }
  return { counted, statements }
}
