/**
 * What a processor did since it was asked before, from its own metrics: rates and averages; and since its start, for
 * the analysis of a deployment. For its report (relay-common).
 */
import { sumByLimit, type MetricValues, type ProcessorTotals, type ProgramMeasurements } from 'relay-common'

/** Sums of all threads so far, by what is measured. */
interface Sums {
  readonly atMs: number
  readonly readings: number
  readonly flushes: number
  readonly flushSeconds: number
  readonly ages: number
  readonly ageSeconds: number
}

/** @param read the metrics of each thread */
export function createMeasure (
  read: () => Promise<readonly MetricValues[]>, generation: string
): () => Promise<ProgramMeasurements> {
  let before: Sums | undefined
  return async () => {
    const threads = await read()
    const now = sumsOf(threads, performance.now())
    const last = before
    before = now
    return { generation, totals: totalsOf(threads), ...last ? measuredBetween(last, now) : {} }
  }
}

interface Value {
  readonly value: number
  readonly metricName?: string
  readonly labels: { readonly le?: number | string }
}

function valuesOf (threads: readonly MetricValues[], name: string, ofValue = name): Value[] {
  return threads.flat().filter(it => it.name === name)
    .flatMap(it => (it as unknown as { readonly values: Value[] }).values)
    .filter(it => (it.metricName ?? name) === ofValue)
}

function sumOf (threads: readonly MetricValues[], name: string, ofValue = name): number {
  return valuesOf(threads, name, ofValue).reduce((all, it) => all + it.value, 0)
}

function totalsOf (threads: readonly MetricValues[]): ProcessorTotals {
  const sum = (name: string, ofValue?: string) => sumOf(threads, name, ofValue)
  const flushes = valuesOf(threads, 'relay_write_seconds', 'relay_write_seconds_bucket')
    .map(({ labels: { le }, value }) => [le === undefined || le === '+Inf' ? null : Number(le), value] as const)
  const deadLetters = sum('relay_dead_letters_total')
  const { user, system } = process.cpuUsage()
  return {
    events: ['relay_readings_total', 'relay_duplicates_total', 'relay_misplaced_readings_total']
      .reduce((all, it) => all + sum(it), deadLetters),
    deadLetters,
    partitionFlushes: sum('relay_partition_flushes_total'),
    workSeconds: sum('relay_fold_seconds_total') + sum('relay_settle_seconds', 'relay_settle_seconds_sum'),
    cpuSeconds: (user + system) / 1e6,
    flushes: sumByLimit(flushes)
  }
}

function sumsOf (threads: readonly MetricValues[], atMs: number): Sums {
  const sum = (name: string, ofValue?: string) => sumOf(threads, name, ofValue)
  return {
    atMs,
    readings: sum('relay_readings_total'),
    flushes: sum('relay_write_seconds', 'relay_write_seconds_count'),
    flushSeconds: sum('relay_write_seconds', 'relay_write_seconds_sum'),
    ages: sum('relay_freshness_seconds', 'relay_freshness_seconds_count'),
    ageSeconds: sum('relay_freshness_seconds', 'relay_freshness_seconds_sum')
  }
}

function measuredBetween (before: Sums, now: Sums): ProgramMeasurements {
  const average = (total: 'flushSeconds' | 'ageSeconds', count: 'flushes' | 'ages') => {
    const many = now[count] - before[count]
    return many > 0 ? (now[total] - before[total]) / many : undefined
  }
  return {
    readingsPerSecond: (now.readings - before.readings) / ((now.atMs - before.atMs) / 1000),
    flushSeconds: average('flushSeconds', 'flushes'),
    freshnessSeconds: average('ageSeconds', 'ages')
  }
}
