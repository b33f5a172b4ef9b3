import {
  AggregatorRegistry, collectDefaultMetrics, Counter, Gauge, Registry, type Metric, type MetricObject
} from 'prom-client'

import { Exemplars, type Labels } from './exemplars.ts'
import { version } from './version.ts'
import { within } from './within.ts'

export { Counter, Gauge, Histogram, Registry } from 'prom-client'

/** Metrics with their values, in a form that can be sent between threads. */
export type MetricValues = MetricObject[]

/**
 * The metrics of one program or thread (registered with `registers: [registry]`).
 * @param program label on every metric, e.g. `relay-processor`
 */
export function createMetrics (program: string): Registry {
  const registry = new Registry()
  registry.setDefaultLabels({ program })
  return registry
}

/** Sampling interval of the event loop delay: the default of 10 ms takes 0.6 % of a core at rest. */
const EVENT_LOOP_SAMPLE_MS = 100

/** As `createMetrics`, plus metrics of the process and its build. A program without them is down. */
export function createProcessMetrics (program: string): Registry {
  const registry = createMetrics(program)
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: EVENT_LOOP_SAMPLE_MS })
  new Gauge({
    name: 'relay_build_info',
    help: 'Always 1; labels: the versions of Relay and Node.js',
    labelNames: ['version', 'node_version'],
    registers: [registry]
  }).set({ version, node_version: process.version }, 1)
  return registry
}

/**
 * A counter with one label, whose values all start at 0. If a value appeared with its first count, `increase()` and
 * alerts would miss that count.
 */
export function createCounterBy<L extends string> (
  registry: Registry, { name, help }: { readonly name: string, readonly help: string }, label: L,
  values: readonly string[]
): Counter<L> {
  const counter = new Counter<L>({ name, help, labelNames: [label], registers: [registry] })
  for (const value of values) counter.inc({ [label]: value } as Record<L, string>, 0)
  return counter
}

/** A scrape waits no longer than this for the state of a program's parts. */
const READINESS_MAX_MS = 1_000

/**
 * Adds the gauge `relay_degraded` with the content of `/readyz`, by part, so that alerts know the duration.
 * @param readiness names every part each time, with `undefined` for a healthy one
 */
export function measureDegraded (
  registry: Registry, readiness: () => Promise<Readonly<Record<string, string | undefined>>>
): void {
  new Gauge({ // eslint-disable-line no-new
    name: 'relay_degraded',
    help: '1: this part of the program is degraded, /readyz has the reason; 0: it works',
    labelNames: ['part'],
    registers: [registry],
    async collect () {
      const parts = await within(READINESS_MAX_MS, readiness()).catch(() => ({ readiness: 'is unknown' }))
      this.reset()
      for (const [part, fault] of Object.entries(parts)) {
        this.set({ part: part.replaceAll(' ', '-') }, fault === undefined ? 0 : 1)
      }
    }
  })
}

/** A histogram that counts many observations of one value at once: readings of a batch have the same age. */
export interface WeightedHistogram {
  /**
   * @param count number of observations; O(1) for any number
   * @param traceId of the work that they are of; undefined: it is not traced
   */
  observe (value: number, count: number, traceId?: string): void
}

/**
 * Creates a histogram without labels. The library's takes one observation per call.
 * @param buckets upper bounds, ascending
 */
export function createWeightedHistogram (
  registry: Registry,
  { name, help, buckets }: { readonly name: string, readonly help: string, readonly buckets: readonly number[] }
): WeightedHistogram {
  const counts = new Array<number>(buckets.length + 1).fill(0) // the last: above all bounds
  let sum = 0
  const exemplars = new Exemplars(buckets)
  const get = async () => {
    let count = 0
    const values: { labels: Labels, value: number, metricName: string }[] = [...buckets, '+Inf'].map((le, index) => {
      count += counts[index]
      return { labels: { le }, value: count, metricName: `${name}_bucket` }
    })
    values.push(
      { labels: {}, value: sum, metricName: `${name}_sum` },
      { labels: {}, value: count, metricName: `${name}_count` })
    return { name, help, type: 'histogram', aggregator: 'sum', values: exemplars.addTo(values) }
  }
  const reset = () => {
    counts.fill(0)
    sum = 0
  }
  registry.registerMetric({ name, get, reset } as unknown as Metric)
  return {
    observe (value, count, traceId) {
      const index = buckets.findIndex(it => value <= it)
      counts[index < 0 ? buckets.length : index] += count
      sum += value * count
      if (traceId !== undefined) exemplars.note({}, value, traceId)
    }
  }
}

/** The metrics of a process and the sums over its threads, in the format of Prometheus. */
export async function writeMetrics (ofProcess: Registry, ofThreads: readonly MetricValues[]): Promise<string> {
  const sums = AggregatorRegistry.aggregate([...ofThreads])
  return [await ofProcess.metrics(), await sums.metrics()].join('\n')
}
