/**
 * Maintenance of the rollup tables in small steps: drops partitions past their retention, deletes rows past it in other
 * partitions, and merges small partitions of past years. Several processors may do it at once. Each step is a
 * transaction, so a kill leaves nothing half done. Functions of migration 0016 decide what a step drops, deletes or
 * merges (`drop_old_rollups` …); `setRetention` (relay-rollups, `retention.ts`) stores how long each level is kept.
 * Their time follows the clock of the database by at most a day per hour (migration 0031): it may have been set wrong.
 */
import type { Database, Logger } from 'relay-common'
import { findRetentionDifferences, HOUR_MS, maySetRetention, setRetention } from 'relay-rollups'
import { setTimeout as delay } from 'node:timers/promises'

import type { ProcessorConfig } from './config.ts'

export interface RetentionTask {
  /** resolves after the maintenance at the start, successful or not */
  readonly keptUp: Promise<void>
  close (): Promise<void>
}

/** least time between two steps, in which others can use the tables */
const PAUSE_MIN_MS = 20
const PAUSE_MAX_MS = 1_000
/** attempts to get a lock before the next hour */
const REFUSALS_MAX = 30
/** processors look every hour, and a restart may take a while */
const BEHIND_MIN_S = 2 * 3600
const LOCK_NOT_AVAILABLE = '55P03'

/**
 * Stores the retention of each level if this login may, and maintains the tables, now and every hour. `close` waits for
 * the current step.
 */
export async function startRetention (
  database: Database, config: ProcessorConfig, log: Logger
): Promise<RetentionTask> {
  if (await maySetRetention(database)) {
    await setRetention(database, config)
  } else {
    const differences = await findRetentionDifferences(database, config)
    if (differences.length > 0) {
      log.warn({ differences }, 'the retention in the database differs from the settings and applies: ' +
        'run `relay migrate` as the owner with the same settings to change it')
    }
  }

  const closing = new AbortController()
  const upkeep = async () => {
    try {
      await keepUp(database, log, closing.signal)
    } catch (error) {
      if (closing.signal.aborted) return
      log.warn({ err: error }, 'the upkeep of the rollup tables failed; retrying in an hour')
    }
  }
  const keptUp = upkeep()
  let running = keptUp
  const timer = setInterval(() => { running = running.then(upkeep) }, HOUR_MS).unref()
  return {
    keptUp,
    close: async () => {
      clearInterval(timer)
      closing.abort()
      await running
    }
  }
}

async function keepUp (database: Database, log: Logger, signal: AbortSignal): Promise<void> {
  await inSteps(signal, async () => {
    const dropped = await database.query<{ name: string }>('select * from drop_old_rollups() as t (name)')
    if (dropped.length > 0) log.info({ partitions: dropped.map(it => it.name) }, 'deleted rollups past their retention')
    return dropped.length > 0 ? 'again' : 'done'
  })
  await warnOfJump(database, log)
  await inSteps(signal, async () => {
    const [{ more }] = await database.query<{ more: boolean }>('select trim_old_rollups() as more')
    return more ? 'again' : 'done'
  })
  await inSteps(signal, async () => {
    return await database.transaction(async client => {
      await client.query('set transaction isolation level read committed') // whatever the default of the site
      return (await client.query<{ state: StepState }>('select merge_old_rollups() as state')).rows[0].state
    })
  })
}

/** Says that retention is behind the clock of the database, for whoever can decide which of them is right. */
async function warnOfJump (database: Database, log: Logger): Promise<void> {
  const [clock] = await database.query<{ behindS: number, reachedMs: number }>(`
    select extract(epoch from clock_timestamp() - reached_at)::float8 as "behindS",
      (extract(epoch from reached_at) * 1000)::float8 as "reachedMs"
    from rollup_clock where exists (select from rollup_levels where retention is not null)`)
  if (clock === undefined || clock.behindS < BEHIND_MIN_S) return
  const reachedAt = new Date(clock.reachedMs).toISOString()
  log.warn({ reachedAt, behindHours: Math.round(clock.behindS / 3600) },
    'the clock of the database was set forward, or no processor ran for days: retention catches up by a day per ' +
    'hour. If the time is wrong, set the clock of its host right now; if it is right, there is nothing to do')
}

/** `busy`: another processor maintains the tables; `wait`: a lock is not free */
type StepState = 'again' | 'wait' | 'busy' | 'done'

/** Takes steps until nothing is left, with pauses as long as the steps. */
async function inSteps (signal: AbortSignal, step: () => Promise<StepState>): Promise<void> {
  for (let refusals = 0; refusals < REFUSALS_MAX && !signal.aborted;) {
    const startedMs = performance.now()
    const state = await step().catch(error => {
      if ((error as { code?: string }).code !== LOCK_NOT_AVAILABLE) throw error
      return 'wait' as const
    })
    if (state === 'done' || state === 'busy') return
    if (state === 'wait') refusals++
    else refusals = 0
    const tookMs = state === 'wait' ? PAUSE_MAX_MS : performance.now() - startedMs
    await delay(Math.min(Math.max(tookMs, PAUSE_MIN_MS), PAUSE_MAX_MS), undefined, { signal }).catch(() => {})
  }
}
