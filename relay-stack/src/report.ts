/** Terminal output of the stack: one line per event, and one table. */
import { relative } from 'node:path'

import { readLastLines } from './log-files.ts'
import type { Observer } from './supervise.ts'

export interface Report extends Observer {
  line (text: string): void
  table (rows: readonly PartRow[]): void
}

export interface PartRow {
  readonly part: string
  readonly where: string
  /** undefined: not our process */
  readonly pid?: number
  readonly logFile?: string
}

const LAST_LINES = 5

/**
 * @param write receives whole lines
 * @param blockedBy called when a part has died: see `Observer`
 */
export function createReport (
  write: (text: string) => void, logFileOf: (part: string) => string, blockedBy: Observer['blockedBy']
): Report {
  const line = (text: string) => write(text + '\n')
  return {
    line,
    table: rows => write(renderTable(rows)),
    died: async (name, how, verdict) => {
      const next = verdict.kind === 'give-up'
        ? `it failed ${verdict.deaths} times in a row and is not restarted`
        : `it restarts in ${verdict.afterMs / 1_000} s`
      const lines = await readLastLines(logFileOf(name), LAST_LINES)
      line(`${name}: ${how}; ${next}. Its last lines (all in ${logFileOf(name)}):`)
      for (const it of lines) line(`  ${it}`)
    },
    blockedBy,
    blocked: async (name, by) => line(`${name} stopped because ${by}; it restarts when the disk has space`),
    cameBack: (name, pid) => line(`${name} is running again (process ${pid})`)
  }
}

/** A path for people: relative to the current folder if that is shorter. */
export function shortPath (path: string): string {
  const fromHere = relative(process.cwd(), path)
  return fromHere.length < path.length ? fromHere : path
}

/** Columns as wide as their widest cell. */
export function renderTable (rows: readonly PartRow[]): string {
  const cells = [
    ['part', 'where', 'pid', 'log'],
    ...rows.map(it => [it.part, it.where, String(it.pid ?? '-'), it.logFile ? shortPath(it.logFile) : '-'])
  ]
  const widths = cells[0].map((_, column) => Math.max(...cells.map(row => row[column].length)))
  const lines = cells.map(row => '  ' + row.map((cell, column) => cell.padEnd(widths[column])).join('  ').trimEnd())
  return lines.join('\n') + '\n'
}
