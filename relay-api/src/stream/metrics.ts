import { createCounterBy, Gauge, Histogram, type Registry } from 'relay-common'

import { endReasons } from './client-connection.ts'

/** @param countClients called on every scrape */
export function createStreamMetrics (metrics: Registry, countClients: () => number) {
  const registers = [metrics]
  new Gauge({ // eslint-disable-line no-new
    name: 'relay_api_stream_clients', help: 'Open streams', registers, collect () { this.set(countClients()) }
  })
  return {
    dropped: createCounterBy(
      metrics, {
        name: 'relay_api_stream_dropped_total', help: 'Streams closed by Relay, by reason'
      }, 'reason', endReasons),
    round: new Histogram({
      name: 'relay_api_stream_round_seconds',
      help: 'Time from reading the commits to sending them to the last client',
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
      registers
    })
  }
}
