/**
 * Metrics in the format OpenMetrics, which has exemplars: the newest trace of each bucket of a histogram.
 * https://prometheus.io/docs/specs/om/open_metrics_spec/
 *
 * The library's own exemplars need a registry that has no other format, and it renames counters for good.
 */
import { AggregatorRegistry, Histogram, Registry, type Metric, type MetricObject } from 'prom-client'

import { Exemplars, withNewestExemplars, type Labels, type Value } from './exemplars.ts'
import type { MetricValues } from './metrics.ts'

export interface TracedHistogram {
  /** @param traceId undefined: it is not traced */
  observe (labels: Labels, value: number, traceId?: string): void
}

/** @param settings.buckets upper bounds, ascending */
export function createTracedHistogram (
  registry: Registry, { buckets, ...settings }:
  { readonly name: string, readonly help: string, readonly labelNames: string[], readonly buckets: number[] }
): TracedHistogram {
  const histogram = new Histogram({ ...settings, buckets, registers: [registry] })
  const exemplars = new Exemplars(buckets)
  const source = histogram as unknown as WithValues
  const getPlain = source.getForPromString!.bind(histogram)
  source.getForPromString = async () => { // both formats are written from this
    const written = await getPlain()
    return { ...written, values: exemplars.addTo(written.values) }
  }
  return {
    observe (labels, value, traceId) {
      histogram.observe(labels, value)
      if (traceId !== undefined) exemplars.note(labels, value, traceId)
    }
  }
}

/** @param ofThreads of the program; their sums are added */
export async function writeOpenMetrics (registry: Registry, ofThreads: readonly MetricValues[] = []): Promise<string> {
  const open = new (Registry as unknown as new (type: string) => Registry)(Registry.OPENMETRICS_CONTENT_TYPE)
  open.setDefaultLabels((registry as unknown as { readonly _defaultLabels: object })._defaultLabels)
  for (const metric of registry.getMetricsAsArray()) open.registerMetric(asOpen(metric as unknown as WithValues))
  const sums = AggregatorRegistry.aggregate([...ofThreads])
  for (const sum of sums.getMetricsAsArray() as unknown as WithValues[]) {
    const ofSum = ofThreads.flat().filter(it => it.name === sum.name) as unknown as Written[]
    const get = async () => {
      const written = await sum.get()
      return { ...written, values: withNewestExemplars(written.values, ofSum.flatMap(it => it.values)) }
    }
    open.registerMetric(asOpen({ name: sum.name, get }))
  }
  return await open.metrics()
}

type Written = Omit<MetricObject, 'values'> & { readonly values: readonly Value[] }

/** A metric, as far as it is written. */
interface WithValues {
  readonly name: string
  getForPromString? (): Promise<Written>
  get (): Promise<Written>
}

/** A counter is named without `_total`, which its values have. */
function asOpen (metric: WithValues): Metric {
  const get = async () => {
    const written = await (metric.getForPromString?.() ?? metric.get())
    return String(written.type) === 'counter' ? { ...written, name: written.name.replace(/_total$/, '') } : written
  }
  return { name: metric.name, get } as unknown as Metric
}
