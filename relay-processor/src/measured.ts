/**
 * What a processor did since it was asked before, from its own metrics: rates and averages, for its report
 * (relay-common).
 */
import type { ProgramMeasurements, MetricValues } from 'relay-common'

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
export function createMeasure (read: () => Promise<readonly MetricValues[]>): () => Promise<ProgramMeasurements> {
  let before: Sums | undefined
  return async () => {
    const now = sumsOf(await read(), performance.now())
    const last = before
    before = now
    return last ? measuredBetween(last, now) : {}
  }
}

function sumsOf (threads: readonly MetricValues[], atMs: number): Sums {
  const sum = (name: string, ofValue = name) => threads.flat()
    .filter(it => it.name === name)
    .flatMap(it =>
      (it as unknown as { readonly values: { readonly value: number, readonly metricName?: string }[] }).values)
    .reduce((all, it) => (it.metricName ?? name) === ofValue ? all + it.value : all, 0)
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
