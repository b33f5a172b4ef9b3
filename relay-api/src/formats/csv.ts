/** Rows as CSV (RFC 4180), in which no spreadsheet finds a formula. */
import { stringify } from 'csv-stringify/sync'

import type { RowsWriter } from './rows-writer.ts'

export function csvWriter (columns: readonly string[]): RowsWriter {
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
