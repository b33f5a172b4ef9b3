/** `relay probe`, as a process, with a real API, processor and event log. */
import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { test, type TestContext } from 'node:test'

import getPort from 'get-port'
import { createLogger } from 'relay-common'
import type { EventLog } from 'relay-event-log'

import { TOKEN } from '../../relay-api/test/support/ask.ts'
import { kinds, openIngestSite, type IngestSite } from '../../relay-api/test/support/ingest-site.ts'
import { readProcessorConfig } from '../../relay-processor/src/config.ts'
import { startProcessor } from '../../relay-processor/src/processor.ts'
import { openTcpProxy, type TcpProxy } from 'relay-test-support/tcp-proxy.ts'
import { until } from 'relay-test-support/until.ts'
import { documents, runCli, spawnCli } from './support/run-cli.ts'

const limit = { timeout: 240_000 }
const log = createLogger('test', 'silent')

interface Round {
  readonly time: string
  readonly value: number
  readonly result: string
  readonly latencyMs?: number
  readonly detail?: string
}

interface ProbeSite extends AsyncDisposable {
  readonly api: IngestSite
  /** the connection to the API */
  readonly proxy: TcpProxy
  readonly environment: Record<string, string>
  startProcessor (): Promise<void>
  stopProcessor (): Promise<void>
}

async function openProbeSite (t: TestContext, kind: EventLog['kind'] = 'postgres'): Promise<ProbeSite | undefined> {
  await using opened = new AsyncDisposableStack()
  const api = await openIngestSite(t, kind)
  if (!api) return undefined
  opened.use(api)
  const proxy = opened.adopt(await openTcpProxy(Number(new URL(api.url).port)), it => it.close())
  const config = readProcessorConfig({
    ...api.environment, CONSUMER_GROUP: api.log.topic, FLUSH_INTERVAL_MS: '20', HEALTH_PORT: '0'
  })
  let processor: Awaited<ReturnType<typeof startProcessor>> | undefined
  const stop = async () => {
    await processor?.close()
    processor = undefined
  }
  const start = async () => { processor = await startProcessor(config, log) }
  opened.defer(stop)
  await start()
  const running = opened.move()
  return {
    api,
    proxy,
    environment: { RELAY_URL: `http://127.0.0.1:${proxy.port}`, RELAY_TOKEN: TOKEN, API_TOKENS: '' },
    startProcessor: start,
    stopProcessor: stop,
    [Symbol.asyncDispose]: () => running.disposeAsync()
  }
}

/** A probe that runs until the test ends, and its rounds so far. */
function runProbe (t: TestContext, site: ProbeSite, ...args: string[]): { child: ChildProcess, rounds: Round[] } {
  const child = spawnCli(site, ['probe', '--every', '1s', '--json', ...args])
  t.after(() => { child.kill('SIGKILL') })
  child.stderr!.resume()
  const rounds: Round[] = []
  createInterface({ input: child.stdout! }).on('line', line => rounds.push(JSON.parse(line)))
  return { child, rounds }
}

const have = (rounds: readonly Round[], result: string, from: number) => until(
  () => `a round that is ${result}: ${JSON.stringify(rounds.slice(from))}`, () =>
    rounds.slice(from).some(it => it.result === result))

for (const kind of kinds) {
  test(`a probe finds its reading exactly as sent, and exits 0: ${kind}`, limit, async t => {
    await using opened = new AsyncDisposableStack()
    const site = await openProbeSite(t, kind)
    if (!site) return
    opened.use(site)
    const run = await runCli(
      site, ['probe', '--once', '--json', '--within', '60s', '--device', 'p-1', '--zone', 'p', '--type', 'CAR_FUEL']
    )
    assert.equal(run.code, 0, run.stderr)
    const [round] = documents(run)
    assert.deepEqual([round.result, typeof round.latencyMs, round.detail], ['ok', 'number', undefined])
    const rows = documents(await runCli(
      site, ['query', '--device', 'p-1', '--zone', 'p', '--interval', 'range', '--stats', 'count,sum,last', '--json']
    ))
    assert.deepEqual(rows.map(it => [it.count, it.sum, it.last, Date.parse(it.lastTime)]),
      [[1, round.value, round.value, Date.parse(round.time)]])
    const told = await runCli(site, ['probe', '--once', '--within', '60s'])
    assert.deepEqual([told.code, told.stderr], [0, ''])
    assert.match(told.stdout, /^\d{4}-\S+Z {2}ok +visible after \d+ ms\n$/)
  })
}

test('a reading that is not visible in time is missing, and is found once it is there', limit, async t => {
  await using site = (await openProbeSite(t))!
  const port = await getPort({ host: '127.0.0.1' })
  const { child, rounds } = runProbe(t, site, '--within', '2s', '--metrics-port', String(port))
  const metric = async (name: string) => {
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
    return Number(text.split('\n').find(it => it.startsWith(name))?.split(' ').at(-1))
  }
  await have(rounds, 'ok', 0)
  await site.stopProcessor()
  const stopped = rounds.length
  await have(rounds, 'missing', stopped)
  assert.match(rounds.find(it => it.result === 'missing')!.detail!, /count is \d+ and should be \d+/)
  await site.startProcessor()
  await have(rounds, 'ok', rounds.length)
  await until('the metrics to say so', async () => await metric('relay_probe_rounds_total{result="missing"') >= 1 &&
    await metric('relay_probe_latency_seconds_count') >= 2 &&
      await metric('relay_probe_last_success_timestamp_seconds') > 1.7e9)
  assert.deepEqual([
    await metric('relay_probe_rounds_total{result="different"'),
    await metric('relay_probe_rounds_total{result="failed"')
  ], [0, 0])
  child.kill('SIGTERM')
  assert.deepEqual(await once(child, 'exit'), [1, null])
})

test('an extra reading, or another number, is detected whenever it appears', limit, async t => {
  await using site = (await openProbeSite(t))!
  const { child, rounds } = runProbe(t, site, '--within', '20s')
  await until('three rounds', () => rounds.length >= 3)
  assert.deepEqual([...new Set(rounds.map(it => it.result))], ['ok'])
  const between = new Date(Date.parse(rounds[0].time) + 1).toISOString()
  const more = {
    deviceId: 'relay-probe', deviceType: 'THERMOSTAT', zone: 'relay-probe', value: 1_000, timestamp: between
  }
  assert.equal((await site.api.post(JSON.stringify([more]))).status, 202)
  await have(rounds, 'different', 3)
  const { detail } = rounds.find(it => it.result === 'different')!
  assert.match(detail!, /count is \d+ and should be \d+, .*max is 1000 and should be/)
  child.kill('SIGTERM')
  assert.deepEqual(await once(child, 'exit'), [1, null])
})

test('an unreachable API fails rounds; a reading without an answer is sent again and counts once', limit, async t => {
  await using site = (await openProbeSite(t))!
  const { child, rounds } = runProbe(t, site, '--within', '20s')
  await have(rounds, 'ok', 0)
  site.proxy.isRefusing = true
  site.proxy.cut()
  await have(rounds, 'failed', 0)
  assert.match(rounds.find(it => it.result === 'failed')!.detail!, /^not (accepted|answered): no connection to the API/)
  const single = await runCli(site, ['probe', '--once'])
  assert.equal(single.code, 2)
  assert.match(single.stderr, /^relay: not accepted: no connection to the API .*\n$/)
  site.proxy.isRefusing = false
  await have(rounds, 'ok', rounds.length)
  // accepted by the API, and the answer is lost
  const isCut = site.proxy.cutBehind(Buffer.from('POST /api/v1/events'), AbortSignal.timeout(60_000))
  const before = rounds.length
  if (await isCut) await have(rounds, 'failed', before)
  await have(rounds, 'ok', rounds.length)
  assert.deepEqual([...new Set(rounds.map(it => it.result))].sort(), ['failed', 'ok'])
  child.kill('SIGTERM')
  assert.deepEqual(await once(child, 'exit'), [0, null])
})

test('a reading that is refused is a failure, with the reason', limit, async t => {
  await using site = (await openProbeSite(t))!
  const run = await runCli(site, ['probe', '--once', '--type', 'TOASTER'])
  assert.deepEqual([run.code, run.stdout.split(/ +/)[1]], [2, 'failed'])
  assert.match(run.stderr, /^relay: refused: device-type-unknown/)
})
