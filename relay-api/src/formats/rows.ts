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
import type { FormatName } from '../parameters/format.ts'
import { csvWriter } from './csv.ts'
import type { Row, RowsWriter } from './rows-writer.ts'

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
