/**
 * The table `programs`: which programs run on a database, of which version, and how they do. Each reports itself; a
 * report that fails is left out, and the next one comes.
 */
import { hostname } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'

import type { Database } from './database/database.ts'
import type { Logger } from './log.ts'
import { version } from './version.ts'
import { within } from './within.ts'

/** Measurements of a program since its previous report; undefined: nothing to measure. */
export interface ProgramMeasurements {
  readonly readingsPerSecond?: number
  /** how long a flush took to write, on average */
  readonly flushSeconds?: number
  /** from the append of a reading to the commit of its rollups, on average */
  readonly freshnessSeconds?: number
  /** of a processor (migration 0030) */
  readonly generation?: string
  readonly totals?: ProcessorTotals
}

/** What a processor did since its start. */
export interface ProcessorTotals {
  /** records, also refused and resent ones */
  readonly events: number
  readonly deadLetters: number
  /** a flush of two partitions counts twice */
  readonly partitionFlushes: number
  /** time spent decoding, folding and settling */
  readonly workSeconds: number
  /** of the process */
  readonly cpuSeconds: number
  /** flushes that were written within each limit, by limit in seconds, ascending; the last has none */
  readonly flushes: ReadonlyArray<readonly [limitSeconds: number | null, count: number]>
}

/** Adds up counts by limit, ascending; what has no limit comes last. */
export function sumByLimit (counts: ProcessorTotals['flushes']): ProcessorTotals['flushes'] {
  const sums = new Map<number | null, number>()
  for (const [limit, count] of counts) sums.set(limit, (sums.get(limit) ?? 0) + count)
  return [...sums].sort(([a], [b]) => (a ?? Infinity) - (b ?? Infinity))
}

export interface ProgramReport {
  readonly program: string
  readonly instance: string
  readonly version: string
  readonly startedMs: number
  readonly seenMs: number
  /** it reported itself lately */
  readonly isUp: boolean
  readonly measured: ProgramMeasurements
}

const REPORT_INTERVAL_MS = 10_000
/** Three reports are missing. As far ahead: reported before the clock of the database was set back. */
const UP_MAX = '35 seconds'
const KEPT_MAX = '1 hour'
/** Closing waits no longer for a report under way. */
const CLOSE_MAX_MS = 500

/** @param name where the host's is not the one to go by */
export function instanceName (name = hostname()): string {
  return `${name}:${process.pid}`
}

/**
 * Reports a program until it is closed.
 * @param measure called for each report
 */
export function reportProgram (
  database: Database, program: string, instance: string, measure: () => Promise<ProgramMeasurements>, log: Logger
): { close (): Promise<void> } {
  const closing = new AbortController()
  const startedAt = new Date()
  const report = async () => {
    while (!closing.signal.aborted) {
      try {
        await database.query(`
          with gone as (
            delete from programs where seen_at not between now() - interval '${KEPT_MAX}' and now() + interval '${KEPT_MAX}')
          insert into programs (program, instance, version, started_at, measured) values ($1, $2, $3, $4, $5)
          on conflict (program, instance) do update
            set version = excluded.version, started_at = excluded.started_at, seen_at = now(), measured = excluded.measured`,
        [program, instance, version, startedAt, await measure()], { signal: closing.signal })
      } catch (error) {
        if (!closing.signal.aborted) log.debug({ err: error }, 'could not report this program')
      }
      await delay(REPORT_INTERVAL_MS, undefined, { signal: closing.signal, ref: false }).catch(() => {})
    }
  }
  const reporting = report()
  return {
    async close () {
      closing.abort()
      await within(CLOSE_MAX_MS, reporting).catch(() => {}) // a database that hangs must not hold the program
    }
  }
}

interface Row {
  readonly program: string
  readonly instance: string
  readonly version: string
  readonly started_at: number
  readonly seen_at: number
  readonly is_up: boolean
  readonly measured: ProgramMeasurements
}

/** The programs that reported themselves in the last hour, by name. */
export async function readPrograms (database: Database): Promise<ProgramReport[]> {
  const rows = await database.query<Row & Record<string, unknown>>(`
    select program, instance, version, started_at, seen_at, measured,
      seen_at between now() - interval '${UP_MAX}' and now() + interval '${UP_MAX}' as is_up
    from programs order by program, instance`)
  return rows.map(it => ({
    program: it.program,
    instance: it.instance,
    version: it.version,
    startedMs: it.started_at,
    seenMs: it.seen_at,
    isUp: it.is_up,
    measured: it.measured
  }))
}
