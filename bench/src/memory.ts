/**
 * Memory of a series in a processor: while it reports, and after days of silence. Two processors, one with twice the
 * series of the other; the difference belongs to the series.
 */
import { setTimeout as delay } from 'node:timers/promises'

import { createTopic, fillBacklog, readEnds, START_MS, type Backlog } from './backlog.ts'
import { drawBars } from './chart.ts'
import { findInspector, inspectorArgs, openHeap } from './heap.ts'
import { readResident } from './process-usage.ts'
import { startProgram } from './program.ts'
import { watchProgress } from './progress-watch.ts'
import { processorEnvironment } from './relay-processor.ts'
import { readCircumstances, writeResults } from './results.ts'
import { openServers, type BenchServers } from './servers.ts'

export interface MemoryOptions {
  readonly series: number
  readonly quick?: boolean
}

interface State {
  /** live bytes after a garbage collection */
  readonly heapBytes: number
  readonly residentBytes: number
}

interface Loaded {
  readonly series: number
  /** after all series have reported every second for a minute */
  readonly hot: State
  /** after others have then reported for days */
  readonly idle: State
}

export interface MemoryResult {
  readonly loaded: readonly Loaded[]
  readonly hotBytesPerSeries: number
  readonly idleBytesPerSeries: number
  /** the heap without its series */
  readonly baseBytes: number
  /** twice the series that memory is limited to */
  readonly bounded: { readonly series: number, readonly seriesInMemoryMax: number, readonly state: State }
}

const PARTITIONS = 8
const READINGS = 60
const DAY_MS = 86_400_000
const QUIET_DAYS = 3
/** enough to have some in each partition, whose time they advance */
const OTHERS = 200

/** Runs the benchmark, prints its figures, and stores them with a chart as `memory`. */
export async function benchMemory ({ series, quick = false }: MemoryOptions): Promise<void> {
  const circumstances = await readCircumstances(quick)
  await using servers = await openServers()
  const loaded: Loaded[] = []
  for (const count of [series, 2 * series]) loaded.push(await load(servers, `memory_${count}`, count, {}))
  const limited = await load(servers, 'memory_limited', 2 * series, { SERIES_IN_MEMORY_MAX: String(series) })

  const [one, two] = loaded
  const hotBytesPerSeries = (two.hot.heapBytes - one.hot.heapBytes) / series
  const result: MemoryResult = {
    loaded,
    hotBytesPerSeries,
    idleBytesPerSeries: (two.idle.heapBytes - one.idle.heapBytes) / series,
    baseBytes: one.hot.heapBytes - series * hotBytesPerSeries,
    bounded: { series: 2 * series, seriesInMemoryMax: series, state: limited.idle }
  }
  const mb = (bytes: number) => Math.round(bytes / 2 ** 20)
  console.table([...loaded, limited].map(it => ({
    series: it.series,
    'hot: heap MB': mb(it.hot.heapBytes),
    'resident MB': mb(it.hot.residentBytes),
    'idle: heap MB': mb(it.idle.heapBytes),
    'resident MB ': mb(it.idle.residentBytes)
  })))
  console.log(`a series takes ${Math.round(result.hotBytesPerSeries)} bytes hot, ` +
    `${Math.round(result.idleBytesPerSeries)} idle; base ${mb(result.baseBytes)} MB`)
  const subtitle = `difference between ${2 * series} and ${series} series, after a garbage collection`
  await writeResults('memory', circumstances, result, {
    memory: await drawBars('Memory of a series', subtitle, 'bytes', [
      { label: 'hot: 60 readings this minute', value: result.hotBytesPerSeries },
      { label: 'idle: none for days', value: result.idleBytesPerSeries }
    ], ',.0f')
  })
}

async function load (
  servers: BenchServers, name: string, series: number, environment: NodeJS.ProcessEnv
): Promise<Loaded> {
  console.log(`${name}: ${series.toLocaleString('en')} series …`)
  const backlog: Backlog = { topic: name, events: READINGS * series, devices: series, partitions: PARTITIONS }
  await createTopic(servers.admin, backlog, 'none')
  await fillBacklog(servers.eventLog, backlog)
  const database = await servers.openDatabase(name)
  try {
    using watch = await watchProgress(database)
    const { promise: inspector, resolve } = Promise.withResolvers<string>()
    let said = ''
    await using processor = startProgram('processor', {
      environment: { ...processorEnvironment(servers, name, name), ...environment },
      nodeArgs: inspectorArgs,
      onStderr: text => {
        said += text
        const url = findInspector(said)
        if (url) resolve(url)
      }
    })
    await processor.ready
    using heap = await openHeap(await inspector)
    const readState = async (): Promise<State> => {
      await Promise.race([processor.failed, watch.reached(await readEnds(servers.eventLog, name))])
      return { heapBytes: await heap.readAlive(), residentBytes: await readResident(processor.pid) }
    }

    const hot = await readState()
    for (let day = 1; day <= QUIET_DAYS; day++) { // one flush per day: cold series leave memory with it
      await fillBacklog(servers.eventLog, {
        ...backlog, events: OTHERS, devices: OTHERS, firstDevice: 2 * series + OTHERS, startMs: START_MS + day * DAY_MS
      })
      await Promise.race([processor.failed, watch.reached(await readEnds(servers.eventLog, name))])
      await delay(100)
    }
    return { series, hot, idle: await readState() }
  } finally {
    await database.close()
  }
}
