/**
 * The processor on a backlog: from the start of its process to the last commit in PostgreSQL, beside the Kafka
 * distribution's own consumer benchmark, which reads the same records and drops them.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import getPort from 'get-port'

import { createLogger, openDatabase, openKafkaEventLog, type Database } from 'relay-common'
import { kafkaTool, startKafka } from '../../relay-stack/src/kafka.ts'
import { startPostgres, type LocalPostgres } from '../../relay-stack/src/postgres.ts'
import { readProcessorConfig } from '../../relay-processor/src/config.ts'
import { fillBacklog, type Backlog } from './backlog.ts'
import { readTreeUsage, readUsage } from './process-usage.ts'

export interface ProcessorBenchOptions {
  readonly events: number
  readonly devices: number
  readonly partitions: number
  readonly repeats: number
  readonly cpuProf?: string
}

interface Run {
  readonly who: 'consumer benchmark' | 'relay-processor'
  /** from the start of the process to its last record (the benchmark) or its last commit (Relay) */
  readonly eventsPerSecond: number
  /** the same from when it was given its partitions on: without starting up and joining the group */
  readonly readingEventsPerSecond: number
  /** of the reading process */
  readonly cpuUsPerEvent: number
  readonly postgresCpuUsPerEvent: number
  readonly memoryMaxMb: number
}

const cacheDir = fileURLToPath(new URL('../../.relay/kafka', import.meta.url))
const resultsFile = fileURLToPath(new URL('../results/processor.json', import.meta.url))
const processorMain = fileURLToPath(new URL('../../relay-processor/src/main.ts', import.meta.url))
const RUN_LIMIT_MS = 600_000

/** Runs the benchmark, prints a table and keeps it in `bench/results/processor.json`. */
export async function benchProcessor (options: ProcessorBenchOptions): Promise<void> {
  const log = createLogger('bench', 'warn')
  await using opened = new AsyncDisposableStack()
  const interrupted = () => { opened.disposeAsync().finally(() => process.exit(130)) }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, interrupted)
    opened.defer(() => { process.off(signal, interrupted) })
  }

  const folder = await mkdtemp(join(tmpdir(), 'relay-bench-'))
  opened.defer(() => rm(folder, { recursive: true, force: true }))
  await chmod(folder, 0o755) // root runs PostgreSQL as another user
  const kafka = opened.adopt(await startKafka({
    cacheDir, dataDir: join(folder, 'kafka'), port: await getPort({ host: '127.0.0.1' }), log
  }), it => it.close())
  const postgres = opened.adopt(await startPostgres({
    dataDir: join(folder, 'postgres'), logFile: join(folder, 'postgres.log'), port: await getPort({ host: '127.0.0.1' })
  }), it => it.close())
  const eventLog = opened.adopt(await openKafkaEventLog(
    { bootstrapServers: [kafka.bootstrapServers], clientId: 'bench' }, log), it => it.close())

  const backlog = { topic: 'iot-events', ...options }
  console.log(`filling ${backlog.topic} with ${options.events.toLocaleString('en')} events of ${options.devices} devices …`)
  await fillBacklog(eventLog, backlog)

  const runs: Run[] = []
  for (let n = 0; n < options.repeats; n++) {
    for (const run of [runConsumerBenchmark, runProcessor]) {
      const result = await run(n, backlog, kafka.bootstrapServers, postgres, options)
      console.log(`  ${result.who.padEnd(20)} ${describe(result)}`)
      runs.push(result)
    }
  }
  await report(runs, backlog)
}

function describe (run: Run): string {
  return `${Math.round(run.readingEventsPerSecond).toLocaleString('en').padStart(10)} events/s reading, ` +
    `${Math.round(run.eventsPerSecond).toLocaleString('en').padStart(10)} from its start  ` +
    `${run.cpuUsPerEvent.toFixed(2)} us/event  PostgreSQL ${run.postgresCpuUsPerEvent.toFixed(2)} us/event  ` +
    `${Math.round(run.memoryMaxMb)} MB`
}

async function runConsumerBenchmark (n: number, { topic, events }: Backlog, bootstrapServers: string): Promise<Run> {
  const { command, args } = kafkaTool(cacheDir, 'org.apache.kafka.tools.ConsumerPerformance', [
    '--bootstrap-server', bootstrapServers, '--topic', topic, '--num-records', String(events),
    '--group', `bench-${n}`, '--timeout', '60000'
  ])
  const startedMs = performance.now()
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  using running = new DisposableStack()
  running.use(endWith(child))
  let usage = await readUsage(child.pid!)
  // a process that has ended still tells its time, and no memory any more
  const watching = setInterval(() => { readUsage(child.pid!).then(it => { if (it.memoryMaxBytes > 0) usage = it }, () => {}) }, 50)
  let said = ''
  child.stdout.on('data', chunk => { said += chunk })
  const [code] = await once(child, 'exit')
  clearInterval(watching)
  const seconds = (performance.now() - startedMs) / 1000
  const [header, values] = said.trim().split('\n').slice(-2).map(line => line.split(',').map(it => it.trim()))
  const fetchRate = Number(values?.[header.indexOf('fetch.nMsg.sec')])
  if (code !== 0 || !(fetchRate > 0)) throw new Error(`the consumer benchmark failed: ${said}`)
  return {
    who: 'consumer benchmark',
    eventsPerSecond: events / seconds,
    readingEventsPerSecond: fetchRate,
    cpuUsPerEvent: usage.cpuSeconds / events * 1e6,
    postgresCpuUsPerEvent: 0,
    memoryMaxMb: usage.memoryMaxBytes / 2 ** 20
  }
}

/** A child that is still at work when its run ends, however it ends, ends with it. */
function endWith (child: ChildProcess): Disposable {
  const end = () => { child.kill('SIGKILL') }
  process.once('exit', end)
  return {
    [Symbol.dispose] () {
      process.off('exit', end)
      if (child.exitCode === null && child.signalCode === null) end()
    }
  }
}

async function runProcessor (
  n: number, backlog: Backlog, bootstrapServers: string, postgres: LocalPostgres, { cpuProf }: ProcessorBenchOptions
): Promise<Run> {
  const { topic, events } = backlog
  const log = createLogger('bench', 'warn')
  const name = `bench_${n}`
  const environment = {
    DATABASE_URL: postgres.url(name),
    KAFKA_BOOTSTRAP_SERVERS: bootstrapServers,
    EVENTS_TOPIC: topic,
    CONSUMER_GROUP: name,
    HEALTH_PORT: '0',
    LOG_LEVEL: 'warn'
  }
  const admin = await openDatabase(readProcessorConfig({ DATABASE_URL: postgres.url('postgres') }), 'bench', log)
  await admin.query(`create database ${name}`)
  await admin.close()
  const database = await openDatabase(readProcessorConfig(environment), 'bench', log)
  try {
    const postgresBefore = await readTreeUsage(postgres.pid)
    const startedMs = performance.now()
    const child = spawn(process.execPath, [...(cpuProf ? ['--cpu-prof', `--cpu-prof-dir=${cpuProf}`] : []), processorMain],
      { env: { ...process.env, ...environment }, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    using running = new DisposableStack()
    running.use(endWith(child))
    const died = once(child, 'exit').then(([code]) => { throw new Error(`the processor ended with ${code}`) })
    died.catch(() => {})
    const claimedMs = await Promise.race([died, reached(database, topic, 0)])
    const endedMs = await Promise.race([died, reached(database, topic, events)])
    const usage = await readUsage(child.pid!)
    const postgresAfter = await readTreeUsage(postgres.pid)
    child.kill('SIGTERM')
    await once(child, 'exit').catch(() => {})
    await checkCounts(database, events)
    return {
      who: 'relay-processor',
      eventsPerSecond: events / (endedMs - startedMs) * 1000,
      readingEventsPerSecond: events / (endedMs - claimedMs) * 1000,
      cpuUsPerEvent: usage.cpuSeconds / events * 1e6,
      postgresCpuUsPerEvent: (postgresAfter.cpuSeconds - postgresBefore.cpuSeconds) / events * 1e6,
      memoryMaxMb: usage.memoryMaxBytes / 2 ** 20
    }
  } finally {
    await database.close()
  }
}

/** Resolves when so many events are committed (none: when partitions are claimed), with the time on the monotonic clock. */
async function reached (database: Database, topic: string, events: number): Promise<number> {
  for (const deadline = Date.now() + RUN_LIMIT_MS; Date.now() < deadline;) {
    const rows = await database.query<{ done: bigint | null }>(
      'select sum(next_offset)::bigint as done from progress where topic = $1', [topic]).catch(() => [])
    if (Number(rows[0]?.done ?? -1) >= events) return performance.now()
    await delay(20)
  }
  throw new Error(`the processor did not come to the end within ${RUN_LIMIT_MS} ms`)
}

/** A fast wrong answer is no answer: every event is counted once, for its device and for its group. */
async function checkCounts (database: Database, events: number): Promise<void> {
  const [{ devices, groups }] = await database.query<{ devices: bigint, groups: bigint }>(`
    select sum(count) filter (where device_id is not null)::bigint as devices,
      sum(count) filter (where device_id is null)::bigint as groups
    from rollups_day join series using (series_id)`)
  if (Number(devices) !== events || Number(groups) !== events) {
    throw new Error(`${events} events were sent; devices count ${devices}, groups ${groups}`)
  }
}

async function report (runs: readonly Run[], backlog: Backlog): Promise<void> {
  const median = (values: number[]) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)]
  const summary = (['consumer benchmark', 'relay-processor'] as const).map(who => {
    const own = runs.filter(it => it.who === who)
    const rates = own.map(it => it.readingEventsPerSecond)
    return {
      who,
      eventsPerSecond: median(own.map(it => it.eventsPerSecond)),
      readingEventsPerSecond: median(rates),
      slowest: Math.min(...rates),
      fastest: Math.max(...rates),
      cpuUsPerEvent: median(own.map(it => it.cpuUsPerEvent)),
      postgresCpuUsPerEvent: median(own.map(it => it.postgresCpuUsPerEvent)),
      memoryMaxMb: Math.max(...own.map(it => it.memoryMaxMb))
    }
  })
  const ratio = summary[1].readingEventsPerSecond / summary[0].readingEventsPerSecond
  console.log('\nmedian of', runs.length / 2)
  console.table(summary.map(it => ({
    who: it.who,
    'events/s reading': Math.round(it.readingEventsPerSecond),
    slowest: Math.round(it.slowest),
    fastest: Math.round(it.fastest),
    'from its start': Math.round(it.eventsPerSecond),
    'CPU us/event': it.cpuUsPerEvent.toFixed(2),
    'PostgreSQL us/event': it.postgresCpuUsPerEvent.toFixed(2),
    'peak MB': Math.round(it.memoryMaxMb)
  })))
  console.log(`ratio to the consumer benchmark, reading: ${ratio.toFixed(2)}`)
  await mkdir(join(resultsFile, '..'), { recursive: true })
  const machine = `${cpus().length} x ${cpus()[0].model}`
  await writeFile(resultsFile, JSON.stringify({ date: new Date().toISOString(), machine, backlog, ratio, summary, runs }, null, 2) + '\n')
}
