/**
 * Upkeep of the rollup tables, in small steps: partitions past their retention are dropped, rows past it in partitions
 * that stay are deleted, and the small partitions of a time that is over are merged. Several processors may do it at once,
 * and each step is a transaction: whoever is killed leaves nothing half done.
 */
import {
  findRetentionDifferences, HOUR_MS, maySetRetention, setRetention, type Database, type Logger
} from 'relay-common'
import { setTimeout as delay } from 'node:timers/promises'

import type { ProcessorConfig } from './config.ts'

export interface Retention {
  /** resolves once the upkeep at the start is done, or was given up */
  readonly keptUp: Promise<void>
  close (): Promise<void>
}

/** between two steps at least: others have the tables meanwhile */
const PAUSE_MIN_MS = 20
const PAUSE_MAX_MS = 1_000
/** locks are asked for again so often, then an hour later */
const REFUSALS_MAX = 30
const LOCK_NOT_AVAILABLE = '55P03'

/**
 * Writes down how long each level is kept, where this login may, and does the upkeep, now and every hour. `close` waits
 * for the step that is under way.
 */
export async function startRetention (database: Database, config: ProcessorConfig, log: Logger): Promise<Retention> {
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
  await inSteps(signal, async () => {
    const [{ more }] = await database.query<{ more: boolean }>('select trim_old_rollups() as more')
    return more ? 'again' : 'done'
  })
  await inSteps(signal, async () => {
    return await database.transaction(async client => {
      await client.query('set transaction isolation level read committed') // whatever is the default of the site
      return (await client.query<{ state: StepState }>('select merge_old_rollups() as state')).rows[0].state
    })
  })
}

/** `busy`: another processor is at it; `wait`: a lock could not be had */
type StepState = 'again' | 'wait' | 'busy' | 'done'

/** Takes steps until there is nothing to do, as long between them as they take. */
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
