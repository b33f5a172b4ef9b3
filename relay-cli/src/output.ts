/** Output of commands: tables for people, JSON for scripts; progress goes to stderr if it is a terminal. */
import { SingleBar } from 'cli-progress'
import { printable, printableJson, printableLines } from 'relay-common'

export interface OutputOptions {
  readonly json?: boolean
}

/** One JSON document per line; offsets are strings, because they may exceed the numbers of JSON readers. */
export function printJson (value: unknown): void {
  console.log(printableJson(value))
}

/** Text for people, which may contain data from outside. */
export function printLine (text = ''): void {
  console.log(printableLines(text))
}

export function printTable (
  head: readonly string[], rows: ReadonlyArray<ReadonlyArray<string | number | bigint>>
): void {
  const lines = [head, ...rows].map(row => row.map(it => printable(String(it))))
  const widths = head.map((_, column) => Math.max(...lines.map(it => it[column].length)))
  for (const line of lines) console.log(line.map((text, column) => text.padEnd(widths[column])).join('  ').trimEnd())
}

export function formatTime (timeMs: number | null): string {
  return timeMs === null ? '-' : new Date(timeMs).toISOString()
}

/** `1 record`, `2 records`. */
export function countOf (count: number | bigint, what: string): string {
  return `${count} ${what}${Number(count) === 1 ? '' : 's'}`
}

/** An age, in the largest unit that fits. */
export function formatAge (ageMs: number): string {
  const seconds = Math.max(0, Math.round(ageMs / 1000))
  if (seconds < 120) return `${seconds} s`
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`
  return seconds < 172_800 ? `${Math.round(seconds / 3_600)} h` : `${Math.round(seconds / 86_400)} d`
}

export interface ProgressBar extends Disposable {
  update (done: bigint, total: bigint): void
}

/** A bar on stderr if it is a terminal. */
export function startProgressBar (what: string): ProgressBar {
  const bar = new SingleBar({
    format: `${what} {bar} {percentage}% | {value}/{total} records | {eta_formatted} left`,
    stream: process.stderr,
    clearOnComplete: true,
    hideCursor: true
  })
  let isStarted = false
  return {
    update (done, total) {
      if (!isStarted) bar.start(Number(total), Number(done))
      isStarted = true
      bar.setTotal(Number(total))
      bar.update(Number(done))
    },
    [Symbol.dispose] () {
      bar.stop()
    }
  }
}
