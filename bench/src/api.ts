/**
 * The API compared with a bare Fastify that sends `select 1` to the same PostgreSQL: 1,000 devices, 400 days of
 * history. Every kind of query is checked before it is measured, and the peer is measured again between them.
 */
import { headers, startApi, startBareApi, type ApiServer } from './api-server.ts'
import { putLoad, type LoadResult } from './api-load.ts'
import { createScenarios, type Scenario } from './api-requests.ts'
import { drawBars } from './chart.ts'
import { openHistory } from './history-database.ts'
import type { History } from './history.ts'
import { readResident, readUsage } from './process-usage.ts'
import { readCircumstances, writeResults } from './results.ts'

export interface ApiBenchOptions {
  readonly devices: number
  readonly days: number
  readonly seconds: number
  readonly repeats: number
  readonly memorySeconds: number
  readonly connections: number
  readonly only?: string
  readonly quick?: boolean
}

export interface ApiResult {
  readonly history: History
  readonly measured: readonly Measured[]
  readonly memory: readonly MemorySample[]
}

export interface Measured {
  readonly scenario: string
  /** with all connections; compared with the peer, measured right before */
  readonly requestsPerSecond: number
  readonly bareRequestsPerSecond: number
  readonly ratio: number
  /** of the API process, including garbage collection */
  readonly cpuUsPerRequest: number
  /** one request at a time */
  readonly aloneP50Ms: number
  /** at 70 % of the rate above */
  readonly steadyP50Ms: number
  readonly steadyP99Ms: number
  /** of the first round of queries, without a cache */
  readonly firstP50Ms: number
  readonly errors: number
}

const STEADY_SHARE = 0.7

/** End of the history: in the past, so that its days are over. */
const END_MS = Date.UTC(2026, 0, 1)
const MINUTE_DAYS = 2
const PARTITIONS = 8
const ZONES = 10

/** Runs the benchmark, prints a table and stores it in `bench/results/api.json`. */
export async function benchApi (options: ApiBenchOptions): Promise<void> {
  const { devices, days } = options
  const circumstances = await readCircumstances(options.quick ?? false)
  const history: History = {
    devices, days, zones: ZONES, partitions: PARTITIONS, endMs: END_MS, minuteDays: MINUTE_DAYS
  }
  await using opened = new AsyncDisposableStack()
  console.log(
    `opening ${days} days of ${devices.toLocaleString('en')} devices; the first time it is written, for minutes …`
  )
  const postgres = opened.adopt(await openHistory('api', history), it => it.close())
  const api = opened.use(await startApi(postgres.database))
  const bare = opened.use(await startBareApi(postgres.database))

  const scenarios = createScenarios(history).filter(it => !options.only || it.name.includes(options.only))
  const { connections, seconds } = options
  await untilNoFaster(() => putLoad({ url: bare.url, headers, paths: ['/'], connections, seconds }))
  const measured: Measured[] = []
  for (const scenario of scenarios) {
    const result = await measure(scenario, api, bare, options)
    measured.push(result)
    console.log(
      `  ${result.scenario.padEnd(28)} ${result.ratio.toFixed(2)}x of bare, alone ${result.aloneP50Ms.toFixed(2)} ms`
    )
  }
  const memory = await watchMemory(api, scenarios, measured, options)
  report(measured, memory)
  const result: ApiResult = { history, measured, memory }
  await writeResults('api', circumstances, { ...result, options }, { api: await drawRatios(measured, options) })
}

function drawRatios (measured: readonly Measured[], { connections }: ApiBenchOptions): Promise<string> {
  return drawBars('Requests a second, over those of a bare server', `Fastify and \`select 1\` is 1; ${connections} clients at a time`,
    'ratio', measured.map(it => ({ label: it.scenario, value: it.ratio })), '.2f')
}

async function measure (
  { name, requests }: Scenario, api: ApiServer, bare: ApiServer, { seconds, repeats, connections }: ApiBenchOptions
): Promise<Measured> {
  const firstTimesMs = await askAll(api, requests)
  const paths = requests.map(it => it.path)
  const full = (server: ApiServer, paths: readonly string[]) =>
    putLoad({ url: server.url, headers, paths, connections, seconds })
  await untilNoFaster(() => full(api, paths))

  const apiRuns: LoadResult[] = []
  const bareRuns: LoadResult[] = []
  const cpuUs: number[] = []
  for (let n = 0; n < repeats; n++) {
    bareRuns.push(await full(bare, ['/']))
    const before = await readUsage(api.pid)
    const run = await full(api, paths)
    const after = await readUsage(api.pid)
    cpuUs.push((after.cpuSeconds - before.cpuSeconds) / (run.requestsPerSecond * seconds) * 1e6)
    apiRuns.push(run)
  }
  const requestsPerSecond = median(apiRuns.map(it => it.requestsPerSecond))
  const bareRequestsPerSecond = median(bareRuns.map(it => it.requestsPerSecond))
  const alone = await putLoad({ url: api.url, headers, paths, connections: 1, seconds })
  const steady = await putLoad(
    {
      url: api.url,
      headers,
      paths,
      connections,
      seconds,
      rate: Math.max(
        Math.floor(requestsPerSecond * STEADY_SHARE), 1
      )
    })
  return {
    scenario: name,
    requestsPerSecond,
    bareRequestsPerSecond,
    ratio: requestsPerSecond / bareRequestsPerSecond,
    cpuUsPerRequest: median(cpuUs),
    aloneP50Ms: alone.p50Ms,
    steadyP50Ms: steady.p50Ms,
    steadyP99Ms: steady.p99Ms,
    firstP50Ms: median(firstTimesMs),
    errors: [...apiRuns, alone, steady].reduce((sum, it) => sum + it.errors, 0)
  }
}

const WARM_UPS_MAX = 5
const FASTER_SHARE = 1.05

/**
 * V8 compiles hot code, and recompiles after wrong guesses: for some seconds each run is faster than the one before.
 */
async function untilNoFaster (run: () => Promise<LoadResult>): Promise<void> {
  for (let n = 0, before = 0; n < WARM_UPS_MAX; n++) {
    const { requestsPerSecond } = await run()
    if (requestsPerSecond < before * FASTER_SHARE) return
    before = requestsPerSecond
  }
}

/** Checks every answer: a fast wrong answer is no answer. @returns the time of each, in ms */
async function askAll (api: ApiServer, requests: Scenario['requests']): Promise<number[]> {
  const timesMs: number[] = []
  for (const { path, count } of requests) {
    const startedMs = performance.now()
    const response = await fetch(api.url + path, { headers })
    const answer = await response.json() as { count?: number, rows?: Array<{ count: number }>, detail?: string }
    timesMs.push(performance.now() - startedMs)
    const counted = answer.rows ? answer.rows.reduce((sum, it) => sum + it.count, 0) : answer.count
    if (counted !== count) throw new Error(`${path} has ${count} readings; the answer: ${JSON.stringify(answer)}`)
  }
  return timesMs
}

export interface MemorySample {
  readonly second: number
  readonly residentMb: number
}

const MEMORY_SAMPLES = 20

/** All kinds of queries, mixed, at 70 % of the possible rate: does the memory of the API level off? */
async function watchMemory (
  api: ApiServer, scenarios: readonly Scenario[], measured: readonly Measured[],
  { memorySeconds, connections }: ApiBenchOptions
): Promise<MemorySample[]> {
  const paths = scenarios.flatMap(it => it.requests.map(it => it.path)).sort((a, b) => hash(a) - hash(b))
  // for a mix of equal shares, the times add up
  const rate = STEADY_SHARE * measured.length / measured.reduce((sum, it) => sum + 1 / it.requestsPerSecond, 0)
  const samples: MemorySample[] = []
  if (memorySeconds === 0) return samples
  const seconds = Math.max(Math.round(memorySeconds / MEMORY_SAMPLES), 1)
  for (let n = 1; n <= MEMORY_SAMPLES; n++) {
    const { errors } = await putLoad({ url: api.url, headers, paths, connections, seconds, rate: Math.floor(rate) })
    if (errors > 0) throw new Error(`${errors} queries had no answer`)
    samples.push({ second: n * seconds, residentMb: await readResident(api.pid) / 2 ** 20 })
  }
  return samples
}

/** An arbitrary, reproducible order that mixes well. */
function hash (text: string): number {
  let hash = 0
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash, 31) + text.charCodeAt(at) | 0
  return hash
}

function median (values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]
}

function report (measured: readonly Measured[], memory: readonly MemorySample[]): void {
  console.table(measured.map(it => ({
    query: it.scenario,
    'requests/s': Math.round(it.requestsPerSecond),
    bare: Math.round(it.bareRequestsPerSecond),
    ratio: it.ratio.toFixed(2),
    'CPU us': Math.round(it.cpuUsPerRequest),
    'alone p50 ms': it.aloneP50Ms.toFixed(2),
    'first p50 ms': it.firstP50Ms.toFixed(2),
    '70 %: p50 ms': it.steadyP50Ms.toFixed(2),
    'p99 ms': it.steadyP99Ms.toFixed(2),
    errors: it.errors
  })))
  if (memory.length > 0) {
    console.log(`memory: ${memory.map(it => `${Math.round(it.residentMb)} MB at ${it.second} s`).join(', ')}`)
  }
}
