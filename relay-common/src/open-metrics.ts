/**
 * Metrics in the format OpenMetrics, which has exemplars: the newest trace of each bucket of a histogram.
 * https://prometheus.io/docs/specs/om/open_metrics_spec/
 *
 * The library's own exemplars need a registry that has no other format, and it renames counters for good.
 */
import { Histogram, Registry, type Metric, type MetricObject } from 'prom-client'

type Labels = Readonly<Record<string, string | number>>

interface Exemplar {
  readonly labelSet: { readonly trace_id: string }
  readonly value: number
  /** s since the epoch */
  readonly timestamp: number
}

/** By series and bucket. */
type Exemplars = Map<string, Exemplar>

const exemplarsOf = new WeakMap<object, Exemplars>()

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
  const exemplars: Exemplars = new Map()
  exemplarsOf.set(histogram, exemplars)
  return {
    observe (labels, value, traceId) {
      histogram.observe(labels, value)
      if (traceId === undefined) return
      const le = buckets.find(it => value <= it) ?? '+Inf'
      exemplars.set(keyOf(labels, le), { labelSet: { trace_id: traceId }, value, timestamp: Date.now() / 1_000 })
    }
  }
}

const keyOf = (labels: Labels, le: string | number) =>
  JSON.stringify([...Object.entries(labels).map(([name, value]) => [name, String(value)]).sort(), String(le)])

export async function writeOpenMetrics (registry: Registry): Promise<string> {
  const open = new (Registry as unknown as new (type: string) => Registry)(Registry.OPENMETRICS_CONTENT_TYPE)
  open.setDefaultLabels((registry as unknown as { readonly _defaultLabels: object })._defaultLabels)
  for (const metric of registry.getMetricsAsArray()) open.registerMetric(asOpen(metric))
  return await open.metrics()
}

interface Value { readonly labels: Labels, readonly sharedLabels?: Labels, readonly metricName?: string }
type Written = Omit<MetricObject, 'values'> & { readonly values: readonly Value[] }

/** A counter is named without `_total`, which its values have. */
function asOpen (metric: MetricObject): Metric {
  const source = metric as unknown as { getForPromString?(): Promise<Written>, get(): Promise<Written> }
  const exemplars = exemplarsOf.get(metric)
  const get = async () => {
    const written = await (source.getForPromString?.() ?? source.get())
    if (String(written.type) === 'counter') return { ...written, name: written.name.replace(/_total$/, '') }
    if (!exemplars) return written
    const values = written.values.map(it => {
      const { le, ...own } = it.labels
      return le === undefined ? it : { ...it, exemplar: exemplars.get(keyOf({ ...it.sharedLabels, ...own }, le)) }
    })
    return { ...written, values }
  }
  return { name: metric.name, get } as unknown as Metric
}
