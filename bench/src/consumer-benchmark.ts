/**
 * The consumer benchmark of the Kafka distribution: reads all records of a topic and drops them, the least that a
 * reader can do.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'

import { kafkaTool } from '../../relay-stack/src/kafka.ts'
import type { Backlog } from './backlog.ts'
import { endWith } from './children.ts'
import { readEndedChildrenCpu, readUsage } from './process-usage.ts'
import { CONSUMER_BENCHMARK, describeRun, type Run } from './run.ts'
import { kafkaCacheDir, readServersCpu, type BenchServers } from './servers.ts'

/** JVM arguments of the distribution's script, `kafka-consumer-perf-test.sh`. */
const JVM_ARGS = [
  '-Xmx512M', '-server', '-XX:+UseG1GC', '-XX:MaxGCPauseMillis=20', '-XX:InitiatingHeapOccupancyPercent=35',
  '-XX:+ExplicitGCInvokesConcurrent', '-XX:MaxInlineLevel=15', '-Djava.awt.headless=true'
]
const MEMORY_INTERVAL_MS = 50

/** @param group a new consumer group */
export async function runConsumerBenchmark (
  servers: BenchServers, { topic, events }: Backlog, group: string
): Promise<Run> {
  const { command, args } = kafkaTool(kafkaCacheDir, 'org.apache.kafka.tools.ConsumerPerformance', [
    '--bootstrap-server', servers.kafka.bootstrapServers, '--topic', topic, '--num-records', String(events),
    '--group', group, '--timeout', '60000'
  ], JVM_ARGS)
  const serversBefore = await readServersCpu(servers)
  const cpuBefore = await readEndedChildrenCpu()
  const startedMs = performance.now()
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  using running = new DisposableStack()
  running.use(endWith(child))
  let memoryMaxBytes = 0
  const watching = setInterval(() => {
    readUsage(child.pid!).then(it => { memoryMaxBytes = Math.max(memoryMaxBytes, it.memoryMaxBytes) }, () => {})
  }, MEMORY_INTERVAL_MS)
  running.defer(() => clearInterval(watching))
  let said = ''
  child.stdout.on('data', chunk => { said += chunk })
  const [code] = await once(child, 'close')
  const endedMs = performance.now()
  const [header, values] = said.trim().split('\n').slice(-2).map(line => line.split(',').map(it => it.trim()))
  // its own measure: from the first assignment of partitions to the last record
  const fetchMs = Number(values?.[header.indexOf('fetch.time.ms')])
  const read = Number(values?.[header.indexOf('data.consumed.in.nMsg')])
  if (code !== 0 || read !== events) throw new Error(`the consumer benchmark failed: ${said}`)
  return describeRun(CONSUMER_BENCHMARK, {
    events,
    startedMs,
    assignedMs: endedMs - fetchMs,
    endedMs,
    cpuSeconds: await readEndedChildrenCpu() - cpuBefore,
    memoryMaxBytes,
    serversBefore,
    serversAfter: await readServersCpu(servers)
  })
}
