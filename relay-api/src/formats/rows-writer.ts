/** What writes the rows of an answer in one format. */

/** A cell, in the order of the columns. An object is written unchanged, and in CSV as name=value. */
export type Cell = string | number | boolean | null | Readonly<Record<string, string>>
export type Row = readonly Cell[]

export interface RowsWriter {
  begin (): string
  rows (rows: readonly Row[]): string
  end (end: Readonly<Record<string, unknown>>): string
}
