import { createCounterBy, Gauge, Histogram, type Registry } from 'relay-common'

import { probeResults, type ProbeRound } from './prober.ts'

/** From an answer of the next flush to the default of `--within`, in s. */
const LATENCY_BUCKETS_S = [0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 20, 30, 60]

/** @returns a function that counts a round */
export function createProbeMetrics (registry: Registry): (round: ProbeRound) => void {
  const registers = [registry]
  const rounds = createCounterBy(registry, {
    name: 'relay_probe_rounds_total', help: 'Probe readings, by result'
  }, 'result', probeResults)
  const latency = new Histogram({
    name: 'relay_probe_latency_seconds',
    help: 'Time from sending a probe reading to the first answer that includes it',
    buckets: LATENCY_BUCKETS_S,
    registers
  })
  const success = new Gauge({
    name: 'relay_probe_last_success_timestamp_seconds',
    help: 'Time of the last successful round; 0: none yet',
    registers
  })
  return ({ result, latencyMs }) => {
    rounds.inc({ result })
    if (latencyMs !== undefined) latency.observe(latencyMs / 1000)
    if (result === 'ok') success.setToCurrentTime()
  }
}
