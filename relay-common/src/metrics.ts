import { AggregatorRegistry, collectDefaultMetrics, Registry, type MetricObject } from 'prom-client'

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

/** As `createMetrics`, with those of the process. */
export function createProcessMetrics (program: string): Registry {
  const registry = createMetrics(program)
  collectDefaultMetrics({ register: registry })
  return registry
}

/** The metrics of a process and the sums of those of its threads, as Prometheus reads them. */
export async function writeMetrics (ofProcess: Registry, ofThreads: readonly MetricValues[]): Promise<string> {
  const sums = AggregatorRegistry.aggregate([...ofThreads])
  return [await ofProcess.metrics(), await sums.metrics()].join('\n')
}
