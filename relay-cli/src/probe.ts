/** `relay probe`: tests that sent readings become visible, soon and exactly, as a client sees it. */
import { setTimeout as delay } from 'node:timers/promises'

import { Option, type Command } from 'commander'
import { createMetrics, startMetricsServer } from 'relay-common'

import { withApi } from './api.ts'
import { parseCount, parseDurationArgument } from './arguments.ts'
import { printJson, printLine, type OutputOptions } from './output.ts'
import { createProbeMetrics } from './probe-metrics.ts'
import { Prober, type ProbeRound } from './prober.ts'

interface ProbeOptions extends OutputOptions {
  readonly every: number
  readonly within: number
  readonly once?: boolean
  readonly device: string
  readonly zone: string
  readonly type: string
  readonly metricsPort?: number
  readonly metricsHost: string
}

export function addProbe (program: Command): void {
  program.command('probe')
    .description('send known readings and query them, to check that answers are timely and exact; runs until Ctrl-C')
    .addOption(
      new Option('--every <duration>', 'time between readings').argParser(parseDurationArgument).default(5_000, '5s')
    )
    .addOption(new Option(
      '--within <duration>', 'time limit for a reading to be in answers'
    ).argParser(parseDurationArgument).default(10_000, '10s'))
    .option('--once', 'send one reading, then exit')
    .option('--device <id>', 'device id, used by this probe only', 'relay-probe')
    .option('--zone <zone>', 'where it is', 'relay-probe')
    .option('--type <type>', 'device type, one that Relay accepts', 'THERMOSTAT')
    .option('--metrics-port <port>', 'serve relay_probe_* for Prometheus at /metrics; 0: any free port', parseCount)
    .addOption(new Option('--metrics-host <address>', 'where').env('HOST').default('127.0.0.1'))
    .option('--json', 'one JSON object per round')
    .addHelpText('after', '\nExit code 1: in some round a reading was missing or an answer was wrong. With --once, ' +
      '2: not accepted or\n' +
      'not answered.\n\nExamples:\n  relay probe --once --within 30s\n  relay probe --metrics-port 8085')
    .action(probe)
}

async function probe (options: ProbeOptions): Promise<void> {
  const { device: deviceId, zone, type: deviceType, every: everyMs, within: withinMs } = options
  const stopped = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopped.abort())
  await using opened = new AsyncDisposableStack()
  const registry = createMetrics('relay-probe')
  const count = createProbeMetrics(registry)
  if (options.metricsPort !== undefined) {
    const server = opened.adopt(
      await startMetricsServer(options.metricsHost, options.metricsPort, registry), it => it.close()
    )
    console.error(`relay: metrics at http://${options.metricsHost}:${server.port}/metrics`)
  }
  await withApi(async ({ relay }) => {
    const prober = new Prober(relay, { device: { deviceId, zone, deviceType }, withinMs })
    while (!stopped.signal.aborted) {
      const nextMs = performance.now() + everyMs
      const round = await prober.round(stopped.signal).catch(error => {
        if (!stopped.signal.aborted) throw error
      })
      if (round === undefined) return
      count(round)
      show(round, options)
      if (round.result === 'missing' || round.result === 'different') process.exitCode = 1
      if (options.once) {
        if (round.result === 'failed') throw new Error(round.detail)
        return
      }
      await delay(nextMs - performance.now(), undefined, { signal: stopped.signal }).catch(() => {})
    }
  }, 0) // a probe sees what clients without retries see
}

function show ({ result, reading, latencyMs, detail }: ProbeRound, { json }: OutputOptions): void {
  const time = new Date(reading.timeMs).toISOString()
  const latency = latencyMs === undefined ? undefined : Math.round(latencyMs)
  if (json) printJson({ time, value: reading.value, result, latencyMs: latency, detail })
  else {
    printLine([
      time, result.padEnd(9), ...latency === undefined ? [] : [`visible after ${latency} ms`],
      ...detail === undefined ? [] : [detail]
    ].join('  '))
  }
}
