/** `relay query`: statistics of a selection over a range, in rows. */
import type { AggregateRow, AggregatesQuery } from '@relay-telemetry/client/src/index.ts'
import { Option, type Command } from 'commander'

import { addSelection, selectionOf, withApi, type SelectionOptions } from './api.ts'
import { parseLimit } from './arguments.ts'
import { printJson, printLine, printTable, type OutputOptions } from './output.ts'

interface QueryOptions extends SelectionOptions, OutputOptions {
  readonly start: string
  readonly end: string
  readonly interval: string
  readonly tz: string
  readonly groupBy?: 'device' | 'zone' | 'type'
  readonly stats: string
  readonly fill: NonNullable<AggregatesQuery['fill']>
  readonly limit: number
}

const LIMIT_DEFAULT = 1_000

export function addQuery (program: Command): void {
  addSelection(
    program.command('query').description('show statistics of a selection over a range, in rows (docs/aggregates.md)')
  )
    .option('--start <time>', 'start, inclusive: ISO-8601 with an offset, or relative to now', '-24h')
    .option('--end <time>', 'end, exclusive', 'now')
    .option('--interval <length>', 'length of each row: 5m, 1h, 1d, 1w, 1mo, range (one row), auto', 'auto')
    .option('--tz <zone>', 'time zone of the rows', 'UTC')
    .addOption(
      new Option('--group-by <what>', 'separate rows per device, zone or type').choices(['device', 'zone', 'type'])
    )
    .option(
      '--stats <list>', 'statistics: count, avg, min, max, median, p99, sum, first, last, increase …',
      'count,avg,min,max'
    )
    .addOption(new Option(
      '--fill <how>', 'how to fill rows without readings'
    ).choices(['none', 'null', 'previous', 'linear']).default('none'))
    .option('--limit <n>', 'most rows to show', parseLimit, LIMIT_DEFAULT)
    .option('--json', 'one JSON object per row, as they arrive')
    .addHelpText('after', '\nExamples:\n  relay query --zone "Zone A" --interval 1h' +
      '\n  relay query --start -7d --interval 1d --tz Europe/Berlin --group-by device --stats avg,p95')
    .action(query)
}

async function query ({ limit, json, ...options }: QueryOptions): Promise<void> {
  await withApi(async ({ relay }) => {
    const { start, end, interval, tz, groupBy, stats, fill } = options
    const rows: AggregateRow[] = []
    let isCut = false
    const asked = { ...selectionOf(options), start, end, interval, tz, groupBy, stats, fill, limit: limit + 1 }
    let count = 0
    for await (const row of relay.aggregateRows(asked)) {
      isCut = count++ >= limit
      if (isCut) break
      if (json) printJson(row)
      else rows.push(row)
    }
    if (!json) printRows(rows)
    if (isCut) console.error(`relay: there are more than ${limit} rows; use --limit`)
  })
}

/** Members without a column: the start of the next row is the end of this one. */
const hidden = new Set(['bucketEnd', 'unavailable', 'filled'])

function printRows (rows: readonly AggregateRow[]): void {
  if (rows.length === 0) return printLine('no readings')
  const columns = Object.keys(rows[0]).filter(it => !hidden.has(it))
  const cell = (value: unknown) => value === null || value === undefined ? '-' : String(value)
  printTable(columns, rows.map(row => columns.map(it => cell((row as Record<string, unknown>)[it]))))
}
