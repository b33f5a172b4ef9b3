import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { suite, test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'

import { canRunKafka } from 'relay-test-support/local-kafka.ts'
import { until } from 'relay-test-support/until.ts'
import { commandLineOf } from '../src/process-table.ts'
import { ask, expectedAnswer, rangeOf } from './support/expected.ts'
import {
  assertStops, makeDataDir, onFreePorts, runningOn, startStackProcess
} from './support/stack-process.ts'

const kafkaCache = fileURLToPath(new URL('../../.relay/kafka', import.meta.url))
const onPostgres = ['--event-log', 'postgres', ...onFreePorts]
const onKafka = ['--event-log', 'kafka', '--kafka-cache', kafkaCache, ...onFreePorts]

suite('npm start', { concurrency: 1 }, () => {
  test('answers right at once, restarts a killed part, and leaves nothing behind', async t => {
    const dataDir = await makeDataDir(t)
    const stack = startStackProcess(dataDir, onPostgres)
    const { pids, url, token } = await stack.up()
    assert.match(stack.text, /^Event log: PostgreSQL \(as asked for\)$/m)
    assert.deepEqual(Object.keys(pids).sort(), ['api', 'postgres', 'processor', 'simulator'])
    await assertRight(url, token)
    assert.equal((await ask(url, 'another token')).status, 401)

    process.kill(pids.processor, 'SIGKILL')
    await stack.said(/^processor: killed by SIGKILL; it restarts in 1 s/m)
    const [, pid] = await stack.said(/^processor is running again \(process (\d+)\)/m)
    assert.notEqual(Number(pid), pids.processor)
    await assertRight(aboutTheLast(10_000, url), token)

    process.kill(pids.postgres, 'SIGKILL')
    await stack.said(/^postgres is running again/m)
    await assertRight(aboutTheLast(10_000, url), token)

    await assertStops(stack, dataDir, 'SIGTERM')
  })

  test('starts again on the same data, whatever was killed', async t => {
    const dataDir = await makeDataDir(t)
    const first = startStackProcess(dataDir, onPostgres)
    const { pids, url } = await first.up()
    const noted = join(dataDir, 'sent-until')
    await until('the whole history', () => readFile(noted).then(() => true, () => false))

    const second = startStackProcess(dataDir, onPostgres)
    assert.equal(await second.exited, 1)
    assert.match(
      second.text, new RegExp(`another stack \\(process ${first.pid}\\) is running on ${dataDir}.*--data-dir`)
    )

    first.kill('SIGKILL') // only the stack: PostgreSQL is left over, and the programs end by themselves
    await first.exited
    assert.notEqual(commandLineOf(pids.postgres), '')
    const third = startStackProcess(dataDir, onPostgres)
    const again = await third.up()
    assert.equal(commandLineOf(pids.postgres), '')
    assert.equal(commandLineOf(pids.simulator), '')
    await assertSame(again.url, again.token, url)

    for (const pid of runningOn(dataDir)) process.kill(pid, 'SIGKILL') // everything
    await third.exited
    const fourth = startStackProcess(dataDir, onPostgres)
    const once = await fourth.up()
    await assertSame(once.url, once.token, url)
    await assertRight(aboutTheLast(60_000, once.url), once.token) // events missed meanwhile are there as well
    await assertStops(fourth, dataDir, 'SIGINT')
  })

  test('a port in use is one line that names it and its option, and nothing starts', async t => {
    const dataDir = await makeDataDir(t)
    const port = await takePort(t)
    for (const option of ['--api-port', '--postgres-port']) {
      const stack = startStackProcess(dataDir, [...onPostgres, option, String(port)])
      assert.equal(await stack.exited, 1)
      assert.match(stack.text, new RegExp(`^port ${port} is in use; use another for .* with ${option}\\n$`))
      assert.deepEqual(runningOn(dataDir), [])
    }
  })

  test('invalid settings are one line and exit code 1', async t => {
    const dataDir = await makeDataDir(t)
    const wrong = [
      { args: ['--unknown'], line: /^error: unknown option '--unknown'$/m },
      { args: ['--event-log', 'paper'], line: /^error: option '--event-log <log>' argument 'paper' is invalid/m },
      { args: ['--api-port', '66000'], line: /^error: option '--api-port <port>' argument '66000' is invalid/m },
      { args: ['--late', 'often'], line: /^invalid settings: LATE \(--late\) must be .*got "often"/ }
    ]
    for (const { args, line } of wrong) {
      const stack = startStackProcess(dataDir, [...onPostgres, ...args])
      assert.equal(await stack.exited, 1, stack.text)
      assert.match(stack.text, line)
      assert.deepEqual(runningOn(dataDir), [])
    }
  })

  test('on Kafka it answers right too, also after Kafka was killed', async t => {
    if (!await canRunKafka(t)) return
    const dataDir = await makeDataDir(t)
    const first = startStackProcess(dataDir, onKafka)
    const { pids, url, token } = await first.up()
    assert.match(first.text, /^Event log: Kafka \(as asked for\)$/m)
    await assertRight(url, token)

    process.kill(pids.kafka, 'SIGKILL')
    const kafka = Number((await first.said(/^kafka is running again \(process (\d+)\)/m))[1])
    await assertRight(aboutTheLast(10_000, url), token)

    first.kill('SIGKILL')
    await first.exited
    assert.notEqual(commandLineOf(kafka), '')
    const second = startStackProcess(dataDir, onKafka)
    const again = await second.up()
    assert.equal(commandLineOf(kafka), '')
    await assertSame(again.url, again.token, url)
    await assertStops(second, dataDir, 'SIGTERM')
  })
})

/** The answer must become equal to a simple computation over the same events. */
async function assertRight (url: string, token: string): Promise<void> {
  const expected = expectedAnswer('thermostat-001', ...rangeOf(url))
  let got: { status: number, body: { count: number } } | undefined
  await until(() => `${expected.count} readings instead of ${JSON.stringify(got)}`, async () => {
    got = await ask(url, token).catch(() => undefined)
    return got?.status === 200 && got.body.count >= expected.count
  })
  const { body } = await ask(url, token)
  const { count, minValue, maxValue, medianValue, avgValue } = body
  assert.deepEqual({ count, minValue, maxValue, medianValue }, {
    count: expected.count, minValue: expected.minValue, maxValue: expected.maxValue, medianValue: expected.medianValue
  })
  assert.ok(Math.abs(avgValue - expected.avgValue) < 1e-9, `${avgValue} instead of ${expected.avgValue}`)
}

/** An answer from before the kill is repeated by the next stack. */
async function assertSame (url: string, token: string, before: string): Promise<void> {
  await assertRight(new URL(new URL(before).pathname + new URL(before).search, url).href, token)
}

/** The same query for the time that ends now. */
function aboutTheLast (rangeMs: number, url: string): string {
  const endMs = Math.floor(Date.now() / 1_000) * 1_000
  const about = new URL(url)
  about.searchParams.set('startTime', new Date(endMs - rangeMs).toISOString())
  about.searchParams.set('endTime', new Date(endMs).toISOString())
  return about.href
}

/** A port that is in use during a test. */
async function takePort (t: TestContext): Promise<number> {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  return (server.address() as AddressInfo).port
}
