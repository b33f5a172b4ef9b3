/**
 * An analysis of a canary: watches what the processors of both generations report for a while, then compares the rows
 * of that time with the log.
 */
import { setTimeout as delay } from 'node:timers/promises'

import { readPrograms, RelayError, type ProcessorTotals } from 'relay-common'
import type { Topic } from 'relay-event-log'
import { bucketStartMs, HOUR_MS, readProgress } from 'relay-rollups'
import { readDeployment, type Canary, type Deployment } from 'relay-processor/deployment'

import type { Difference } from '../compare-days.ts'
import type { Site } from '../site.ts'
import { verifyRange } from '../verify-range.ts'
import {
  differenceOf, findBreakdown, judge, sumOf, type Figures, type Limits, type Observed, type Verdict
} from './verdict.ts'

/** processors report themselves every 10 s */
const POLL_MS = 2_000
const DIFFERENCES_KEPT_MAX = 10

export interface Analysis extends Verdict {
  readonly generation: string
  readonly active: string
  readonly observed: Observed
  /** some of them */
  readonly differences: readonly Difference[]
}

/** Reports of one process. */
interface Watched {
  readonly generation: string
  /** undefined: it started during the analysis, so everything counts */
  readonly first: ProcessorTotals | undefined
  last: ProcessorTotals
  isUp: boolean
}

/**
 * Analyses the canary that is under way. Ends early if it breaks down.
 * @throws RelayError RELAY_DEPLOY_REFUSED if there is none, or it ends meanwhile
 */
export async function analyse (
  site: Site, topic: Topic, durationMs: number, limits: Limits, signal: AbortSignal
): Promise<Analysis> {
  const { canary, active } = await requireCanary(site)
  const reports = new Reports()
  const endsAtMs = Date.now() + durationMs
  let observed = await observe(site, topic, canary, active, reports)
  while (Date.now() < endsAtMs && findBreakdown(observed).length === 0) {
    await delay(Math.min(POLL_MS, Math.max(1, endsAtMs - Date.now())), undefined, { signal })
    await requireCanary(site, canary.generation)
    observed = await observe(site, topic, canary, active, reports)
  }
  const differences: Difference[] = []
  if (findBreakdown(observed).length === 0) {
    const verified = await verifySince(site, canary, differences)
    observed = { ...await observe(site, topic, canary, active, reports), verified }
  }
  return { generation: canary.generation, active, observed, differences, ...judge(observed, limits) }
}

async function requireCanary (
  { database }: Site, generation?: string
): Promise<{ readonly canary: Canary, readonly active: string }> {
  const { canary, active }: Deployment = await readDeployment(database)
  if (canary?.state === 'canary' && (generation === undefined || canary.generation === generation)) {
    return { canary, active: active! }
  }
  throw new RelayError('RELAY_DEPLOY_REFUSED', generation === undefined
    ? 'no canary is under way: start one with relay deploy canary'
    : `the canary of ${generation} was promoted or aborted during the analysis`)
}

class Reports {
  readonly #processes = new Map<string, Watched>()
  #isFirst = true

  async read ({ database }: Site): Promise<void> {
    for (const { program, instance, startedMs, isUp, measured } of await readPrograms(database)) {
      const { generation, totals } = measured
      if (program !== 'relay-processor' || generation === undefined || totals === undefined) continue
      const key = `${instance} ${startedMs}`
      const known = this.#processes.get(key)
      if (known) Object.assign(known, { last: totals, isUp })
      else this.#processes.set(key, { generation, first: this.#isFirst ? totals : undefined, last: totals, isUp })
    }
    this.#isFirst = false
  }

  figuresOf (generation: string): Figures {
    const own = [...this.#processes.values()].filter(it => it.generation === generation)
    return sumOf(own.map(it => differenceOf(it.last, it.first)), own.filter(it => it.isUp).length,
      own.filter(it => it.first === undefined).length)
  }
}

async function observe (
  site: Site, topic: Topic, canary: Canary, active: string, reports: Reports
): Promise<Observed> {
  await reports.read(site)
  const own = canary.partitions.filter(it => it.isCanary)
  const progress = new Map((await readProgress(site.database, topic.topicId)).map(it => [it.partition, it]))
  const ends = await site.eventLog.readOffsets(topic.name)
  const unread = own.reduce((sum, { partition }) => {
    const end = ends.find(it => it.partition === partition)?.endOffset ?? 0n
    return sum + Number(end - (progress.get(partition)?.nextOffset ?? end))
  }, 0)
  return {
    canary: reports.figuresOf(canary.generation),
    active: reports.figuresOf(active),
    // the start of the canary raised the epoch once
    claims: Math.max(...own.map(it => Number((progress.get(it.partition)?.epoch ?? it.fromEpoch) - it.fromEpoch) - 1)),
    unread: Math.max(0, unread),
    verified: undefined
  }
}

/** Compares the whole hours since the start of the canary with the log. @param kept gets some of the differences */
async function verifySince (
  site: Site, { startedMs, partitions }: Canary, kept: Difference[]
): Promise<NonNullable<Observed['verified']>> {
  const own = new Set(partitions.filter(it => it.isCanary).map(it => it.partition))
  const range = { fromMs: bucketStartMs(HOUR_MS, startedMs), toMs: bucketStartMs(HOUR_MS, Date.now()) + HOUR_MS }
  const counts = { rows: 0, uncertain: 0, differences: 0 }
  let differences = 0
  for await (const it of verifyRange(site, range, counts)) {
    if (it.partition !== undefined && !own.has(it.partition)) continue // of the active generation
    differences++
    if (kept.length < DIFFERENCES_KEPT_MAX) kept.push(it)
  }
  return { rows: counts.rows, differences }
}
