import { Counter, createCounterBy, Gauge, Histogram, type Registry } from 'relay-common'

import { sentKinds } from './timeline.ts'

export type SimulatorMetrics = ReturnType<typeof createSimulatorMetrics>

/**
 * Metrics of a simulator for the person on call.
 * @param liveBehindMs delay of the live stream behind the clock, read at every scrape
 */
export function createSimulatorMetrics (registry: Registry, liveBehindMs: () => number) {
  const registers = [registry]
  return {
    sent: createCounterBy(
      registry, {
        name: 'relay_sent_records_total', help: 'records acknowledged by the event log, by kind'
      }, 'kind', sentKinds),
    skipped: new Counter({
      name: 'relay_skipped_events_total',
      help: 'live events skipped because the event log was unreachable for too long',
      registers
    }),
    sendRetries: new Counter({
      name: 'relay_send_retries_total',
      help: 'failed and retried sends',
      registers
    }),
    sendSeconds: new Histogram({
      name: 'relay_send_seconds',
      help: 'time until the event log acknowledged a batch, without failed attempts',
      buckets: [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5, 30],
      labelNames: ['stream'],
      registers
    }),
    liveBehind: new Gauge({
      name: 'relay_live_behind_seconds',
      help: 'lag of the live stream behind the clock',
      registers,
      collect () { this.set(liveBehindMs() / 1_000) }
    })
  }
}
