import { AggregatorRegistry, collectDefaultMetrics, Counter, Registry, type MetricObject } from 'prom-client'

export { Counter, Gauge, Histogram, Registry } from 'prom-client'

/** Metrics with their values, as they cross threads. */
export type MetricValues = MetricObject[]

/**
 * The metrics of one program, or of one of its threads: its own (added with `registers: [registry]`).
 * @param program label on every metric, e.g. `relay-processor`
 */
export function createMetrics (program: string): Registry {
  const registry = new Registry()
  registry.setDefaultLabels({ program })
  return registry
}

/** How often the delay of the event loop is sampled: every 10 ms, as is the default, takes 0.6 % of a core at rest. */
const EVENT_LOOP_SAMPLE_MS = 100

/** As `createMetrics`, with those of the process. */
export function createProcessMetrics (program: string): Registry {
  const registry = createMetrics(program)
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: EVENT_LOOP_SAMPLE_MS })
  return registry
}

/**
 * A counter with one label, each of whose values is there from the start, at 0: one that came with the first count would
 * hide that from `increase()`, and so from alarms.
 */
export function createCounterBy<L extends string> (
  registry: Registry, { name, help }: { readonly name: string, readonly help: string }, label: L, values: readonly string[]
): Counter<L> {
  const counter = new Counter<L>({ name, help, labelNames: [label], registers: [registry] })
  for (const value of values) counter.inc({ [label]: value } as Record<L, string>, 0)
  return counter
}

/** The metrics of a process and the sums of those of its threads, as Prometheus reads them. */
export async function writeMetrics (ofProcess: Registry, ofThreads: readonly MetricValues[]): Promise<string> {
  const sums = AggregatorRegistry.aggregate([...ofThreads])
  return [await ofProcess.metrics(), await sums.metrics()].join('\n')
}
