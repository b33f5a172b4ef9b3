import { collectDefaultMetrics, Registry } from 'prom-client'

export { Counter, Gauge, Histogram, Registry } from 'prom-client'

/**
 * The metrics of one program: its own (added with `registers: [registry]`) and those of the process.
 * @param program label on every metric, e.g. `relay-processor`
 */
export function createMetrics (program: string): Registry {
  const registry = new Registry()
  registry.setDefaultLabels({ program })
  collectDefaultMetrics({ register: registry })
  return registry
}
