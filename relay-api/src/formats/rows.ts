/**
 * Writes rows of an answer, piece by piece:
 *
 *     json      {"tz":…,"rows":[{…},
 *               {…}],"next":null}
 *     ndjson    a row a line; the last line is {"end":{…}}: without it something is missing
 *     csv       RFC 4180, with a header line; what it has no place for is in HTTP headers
 *
 * The head is known before the first row, the end only after the last one.
 */
import { stringify } from 'csv-stringify/sync'

import type { FormatName } from '../parameters/format.ts'

/** A cell, in the order of the columns. An object is written unchanged, and in CSV as name=value. */
export type Cell = string | number | boolean | null | Readonly<Record<string, string>>
export type Row = readonly Cell[]

export interface RowsWriter {
  begin (): string
  rows (rows: readonly Row[]): string
  end (end: Readonly<Record<string, unknown>>): string
}

/**
 * @param columns names of the cells
 * @param optional columns that JSON omits if they are null
 * @param head data known before the first row
 */
export function createRowsWriter (
  format: FormatName, columns: readonly string[], optional: ReadonlySet<string>, head: Readonly<Record<string, unknown>>
): RowsWriter {
  if (format === 'csv') return csvWriter(columns)
  const line = jsonLine(columns, optional)
  return format === 'json' ? jsonWriter(line, head) : ndjsonWriter(line, head)
}

function jsonLine (columns: readonly string[], optional: ReadonlySet<string>) {
  const names = columns.map(it => JSON.stringify(it) + ':')
  const mayMiss = columns.map(it => optional.has(it))
  return (row: Row) => {
    let text = ''
    for (let n = 0; n < row.length; n++) {
      if (row[n] === null && mayMiss[n]) continue
      text += (text === '' ? '{' : ',') + names[n] + JSON.stringify(row[n])
    }
    return text + '}'
  }
}

function jsonWriter (line: (row: Row) => string, head: Readonly<Record<string, unknown>>): RowsWriter {
  let isFirst = true
  return {
    begin: () => JSON.stringify(head).slice(0, -1) + ',"rows":[',
    rows (rows) {
      if (rows.length === 0) return ''
      const text = (isFirst ? '' : ',\n') + rows.map(line).join(',\n')
      isFirst = false
      return text
    },
    end: end => '],' + JSON.stringify(end).slice(1)
  }
}

function ndjsonWriter (line: (row: Row) => string, head: Readonly<Record<string, unknown>>): RowsWriter {
  return {
    begin: () => '',
    rows: rows => rows.map(it => line(it) + '\n').join(''),
    end: end => JSON.stringify({ end: { ...head, ...end } }) + '\n'
  }
}

function csvWriter (columns: readonly string[]): RowsWriter {
  const write = (records: ReadonlyArray<readonly unknown[]>) => stringify([...records], {
    record_delimiter: '\r\n',
    quote_record_delimiter: true,
    cast: {
      boolean: String,
      string: defuse,
      object: it => defuse(Object.entries(it).map(([name, value]) => `${name}=${String(value)}`).join(' '))
    }
  })
  return {
    begin: () => write([columns]),
    rows: rows => rows.length === 0 ? '' : write(rows),
    end: () => ''
  }
}

/** Signs that start a formula in a spreadsheet, also full-width; `|` and `%` can name programs. */
const formulaSigns = new Set('=+-@|%\uff1d\uff0b\uff0d\uff20\uff5c\uff05')
/** Separators of cells in some spreadsheet: locales with a decimal comma split at `;`, also inside quotes. */
const separators = new Set(';\t\r\n|')
const skipped = /[\s"']/

/**
 * A text that no spreadsheet evaluates: a device may be named `=HYPERLINK(…)`, or `a;=HYPERLINK(…)`. A quote is
 * inserted where a formula could start. Linear in its length.
 */
export function defuse (text: string): string {
  let safe = ''
  let cutAt = text.length
  let isFormula = false // the next character, ignoring blanks and quotes
  for (let at = text.length - 1; at >= 0; at--) {
    if (formulaSigns.has(text[at])) isFormula = true
    else if (!skipped.test(text[at])) isFormula = false
    const isFirst = at === 0 || separators.has(text[at - 1])
    if (!isFirst || !(isFormula || (at === 0 && separators.has(text[at])))) continue
    safe = `'${text.slice(at, cutAt)}${safe}`
    cutAt = at
  }
  return text.slice(0, cutAt) + safe
}
