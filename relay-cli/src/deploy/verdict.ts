/** The verdict on a canary: its figures beside those of the active generation, over the same time. */
import { sumByLimit, type ProcessorTotals } from 'relay-common'

/** What processors of one generation did during an analysis. */
export interface Figures extends ProcessorTotals {
  /** that run at its end */
  readonly processors: number
  /** started since its start */
  readonly restarts: number
}

export interface Observed {
  readonly canary: Figures
  readonly active: Figures
  /** claims of the partition of the canary with the most, since the canary started; 1 in a quiet canary */
  readonly claims: number
  /** records of its partitions that it has not counted */
  readonly unread: number
  /** a comparison with the log; undefined: not made yet */
  readonly verified: {
    readonly rows: number
    /** in partitions of the canary, or in groups, which are in all partitions */
    readonly differences: number
  } | undefined
}

export interface Limits {
  /** most work per event, as a multiple of that of the active generation */
  readonly costMax: number
  /** most p99 of a flush, as a multiple */
  readonly flushMax: number
  /** most additional share of dead letters, 0 to 1 */
  readonly deadLettersMax: number
  /** fewer events decide nothing */
  readonly eventsMin: number
  /** with fewer events the work per event is not compared: code that is not compiled yet costs a multiple */
  readonly costEventsMin: number
}

export interface Verdict {
  readonly verdict: 'good' | 'bad' | 'undecided'
  /** why it is not good */
  readonly reasons: readonly string[]
  /** false: there were too few events for it */
  readonly isCostCompared: boolean
}

/** a claim, and one after a restart or a rebalance */
const CLAIMS_MAX = 2
const RESTARTS_MAX = 2
/** differences of flushes that say nothing */
const FLUSH_SLACK_SECONDS = 0.5
/** the same of work per event */
const WORK_SLACK_SECONDS = 2e-6

/** Faults that need no more time to be certain. */
export function findBreakdown ({ canary, claims }: Pick<Observed, 'canary' | 'claims'>): string[] {
  const reasons: string[] = []
  if (canary.processors === 0) reasons.push('no processor of the canary reports itself any more')
  if (claims > CLAIMS_MAX) {
    reasons.push(`a partition of the canary was claimed ${claims} times: ` +
      'its processors end, or are fenced, again and again')
  }
  if (canary.restarts > RESTARTS_MAX) {
    reasons.push(`processors of the canary were started ${canary.restarts} times during the analysis`)
  }
  return reasons
}

export function judge (observed: Observed, limits: Limits): Verdict {
  const { canary, active, unread, verified } = observed
  const bad = findBreakdown(observed)
  const open: string[] = []
  if (verified && verified.differences > 0) {
    bad.push(`${verified.differences} of ${verified.rows} rows differ from the log`)
  }
  if (!verified || verified.rows === 0) open.push('no rows were compared with the log')
  if (canary.events === 0 && unread > 0) {
    bad.push(`the canary counted nothing, and its partitions have ${unread} unread records`)
  } else if (canary.events < limits.eventsMin) {
    open.push(`the canary counted ${canary.events} events; ${limits.eventsMin} are needed`)
  }
  if (active.events < limits.eventsMin) {
    open.push(`the active generation counted ${active.events} events; ${limits.eventsMin} are needed to compare with`)
  }
  const isComparable = canary.events >= limits.eventsMin && active.events >= limits.eventsMin
  if (isComparable) bad.push(...compareFigures(canary, active, limits))
  const isCostCompared = canary.events >= limits.costEventsMin && active.events >= limits.costEventsMin
  if (isCostCompared) bad.push(...compareCost(canary, active, limits))
  if (bad.length > 0) return { verdict: 'bad', reasons: bad, isCostCompared }
  return open.length > 0
    ? { verdict: 'undecided', reasons: open, isCostCompared }
    : { verdict: 'good', reasons: [], isCostCompared }
}

function compareCost (canary: Figures, active: Figures, { costMax }: Limits): string[] {
  const [work, workOfActive] = [workPerEvent(canary), workPerEvent(active)]
  // a flush has a fixed cost: with few events in each, an event of a partition with fewer of them costs more
  const isFlushDearer = workPerFlush(canary) > costMax * workPerFlush(active)
  if (!isFlushDearer || work <= costMax * workOfActive + WORK_SLACK_SECONDS) return []
  return [`an event takes ${micros(work)} of work, and ${micros(workOfActive)} in the active generation`]
}

function compareFigures (canary: Figures, active: Figures, limits: Limits): string[] {
  const reasons: string[] = []
  const [p99, p99OfActive] = [flushP99(canary), flushP99(active)]
  if (p99 > limits.flushMax * p99OfActive + FLUSH_SLACK_SECONDS) {
    reasons.push(`the p99 of flushes is ${p99.toFixed(2)} s, and ${p99OfActive.toFixed(2)} s in the active generation`)
  }
  const [share, shareOfActive] = [letterShare(canary), letterShare(active)]
  if (share > shareOfActive + limits.deadLettersMax) {
    reasons.push(`${percent(share)} of the records became dead letters, ` +
      `and ${percent(shareOfActive)} in the active generation`)
  }
  return reasons
}

export function workPerEvent ({ workSeconds, events }: Figures): number {
  return events > 0 ? workSeconds / events : 0
}

/** Of one partition. */
function workPerFlush ({ workSeconds, partitionFlushes }: Figures): number {
  return partitionFlushes > 0 ? workSeconds / partitionFlushes : 0
}

export function cpuPerEvent ({ cpuSeconds, events }: Figures): number {
  return events > 0 ? cpuSeconds / events : 0
}

export function letterShare ({ deadLetters, events }: Figures): number {
  return events > 0 ? deadLetters / events : 0
}

/** Interpolated within its limits, as Prometheus does it; seconds. */
export function flushP99 ({ flushes }: Figures): number {
  const rank = 0.99 * (flushes.at(-1)?.[1] ?? 0)
  let [lower, below] = [0, 0]
  for (const [limit, count] of flushes) {
    if (count >= rank && count > below) {
      return limit === null ? lower : lower + (limit - lower) * (rank - below) / (count - below)
    }
    lower = limit ?? lower
    below = count
  }
  return 0
}

export function micros (seconds: number): string {
  return `${(seconds * 1e6).toFixed(1)} us`
}

export function percent (share: number): string {
  return `${(share * 100).toFixed(2)} %`
}

/** What happened between two reports of a process. @param before left out: it started meanwhile */
export function differenceOf (after: ProcessorTotals, before?: ProcessorTotals): ProcessorTotals {
  const least = new Map(before?.flushes)
  return {
    events: after.events - (before?.events ?? 0),
    deadLetters: after.deadLetters - (before?.deadLetters ?? 0),
    partitionFlushes: after.partitionFlushes - (before?.partitionFlushes ?? 0),
    workSeconds: after.workSeconds - (before?.workSeconds ?? 0),
    cpuSeconds: after.cpuSeconds - (before?.cpuSeconds ?? 0),
    flushes: after.flushes.map(([limit, count]) => [limit, count - (least.get(limit) ?? 0)])
  }
}

/** The figures of several processes together. */
export function sumOf (parts: readonly ProcessorTotals[], processors: number, restarts: number): Figures {
  const sum = (of: Exclude<keyof ProcessorTotals, 'flushes'>) => parts.reduce((all, it) => all + it[of], 0)
  return {
    processors,
    restarts,
    events: sum('events'),
    deadLetters: sum('deadLetters'),
    partitionFlushes: sum('partitionFlushes'),
    workSeconds: sum('workSeconds'),
    cpuSeconds: sum('cpuSeconds'),
    flushes: sumByLimit(parts.flatMap(it => it.flushes))
  }
}
