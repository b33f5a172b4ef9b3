/** Unusual first starts. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import getPort from 'get-port'

import { until } from 'relay-test-support/until.ts'
import { ask } from './support/expected.ts'
import { makeDataDir, onFreePorts, runningOn, startStackProcess } from './support/stack-process.ts'

const run = promisify(execFile)
const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const stop = (dataDir: string) => run('npm', ['stop', '--', '--data-dir', dataDir], { cwd: ROOT })

test('two stacks start together, one without a fleet and one with its own types; npm stop ends the named one', async t => {
  const [first, second] = [await makeDataDir(t), await makeDataDir(t)]
  // a request for the common ports leaves the defaults for all others, which both stacks want
  const ports = async () => ['--api-port', String(await getPort()), '--postgres-port', String(await getPort())]
  const onPostgres = ['--event-log', 'postgres', '--backfill', '10s']
  const quiet = startStackProcess(first, ['--event-log', 'postgres', '--no-simulator', ...await ports()])
  const humid = startStackProcess(second, [...onPostgres, ...await ports()], { DEVICE_TYPES: 'HUMIDITY' })
  const [quietUp, humidUp] = await Promise.all([quiet.up(), humid.up()])
  for (const stack of [quiet, humid]) {
    const [, processor] = await stack.said(/^ {2}processor +(http\S+) /m)
    assert.equal((await fetch(processor)).status, 200)
    const [, page] = await stack.said(/^ {2}Open (http\S+) in a browser$/m)
    assert.match(await (await fetch(page)).text(), /<title>Relay<\/title>/)
    const [, docs] = await stack.said(/^ {2}docs +(http\S+) /m)
    assert.equal((await fetch(docs)).status, 200)
    await stack.said(/^ {2}mqtt +127\.0\.0\.1:\d+ /m)
  }
  assert.match(humidUp.url, /device\/humidity-0001\?/)
  await until('an answer', async () => (await ask(humidUp.url, humidUp.token)).body.count > 0)

  assert.ok(!('simulator' in quietUp.pids))
  const [, send] = await quiet.said(/^ {2}(curl .* -d .*)$/m)
  const [, question] = await quiet.said(/^ {2}(curl .*startTime.*)$/m)
  await run('bash', ['-c', `${send} --silent --fail`])
  await until('what was sent by the command that it shows', async () =>
    /"count":1\b/.test((await run('bash', ['-c', `${question} --silent`])).stdout))

  assert.match((await stop(first)).stdout, / stopped$/m)
  assert.equal(await quiet.exited, 0)
  assert.deepEqual(runningOn(first), [])
  assert.match((await stop(first)).stdout, /no stack is running on .*--data-dir/)
  assert.equal((await ask(humidUp.url, humidUp.token)).status, 200)
  humid.kill('SIGINT')
  assert.equal(await humid.exited, 0)

  const moved = startStackProcess(first, ['--event-log', 'kafka'], { KAFKA_BOOTSTRAP_SERVERS: 'kafka.example:9092' })
  assert.equal(await moved.exited, 1)
  assert.match(
    moved.text,
    /^the events of this data folder are in PostgreSQL, not in a Kafka of your own\n.*to continue.*\n.*to move/
  )
})

/** Those that tcsh, conda, psql, corporate proxies and other programs in Java leave. */
const variablesOfOthers = {
  HOST: 'x86_64-conda-linux-gnu',
  TMPDIR: '/nowhere',
  TZ: 'Australia/Lord_Howe',
  LC_ALL: 'tr_TR.UTF-8',
  PGHOST: 'db.example',
  PGSSLMODE: 'require',
  PGSSLNEGOTIATION: 'direct',
  PGOPTIONS: '-c search_path=nowhere',
  HTTP_PROXY: 'http://127.0.0.1:1',
  http_proxy: 'http://127.0.0.1:1',
  NODE_USE_ENV_PROXY: '1',
  CLASSPATH: '/nowhere',
  KAFKA_OPTS: '-Xmx1m',
  JAVA_TOOL_OPTIONS: '-Duser.language=tr -Duser.country=TR'
}

test('variables of other tools change nothing; a second npm stop waits for the first one', async t => {
  const dataDir = await makeDataDir(t)
  const stack = startStackProcess(
    dataDir, ['--event-log', 'kafka', '--backfill', '10s', ...onFreePorts], variablesOfOthers
  )
  const { url, token, pids } = await stack.up()
  await until('an answer', async () => (await ask(url, token)).body.count > 0)
  assert.match(stack.text, /^HOST is x86_64-conda-linux-gnu, which is no IP address: the stack listens on 127\.0\.0\.1$/m)

  process.kill(pids.api, 'SIGSTOP') // so that the stop takes as long as it may
  const first = stop(dataDir)
  await stack.said(/^SIGTERM: stopping/m)
  const sinceMs = performance.now()
  await until('another signal to count as a second one', () => performance.now() - sinceMs > 1_200)
  assert.match((await stop(dataDir)).stdout, / stopped$/m)
  assert.match((await first).stdout, / stopped$/m)
  assert.equal(await stack.exited, 0)
  assert.doesNotMatch(stack.text, /killing/)

  const elsewhere = startStackProcess(dataDir, onFreePorts, { HOST: '192.0.2.1' })
  assert.equal(await elsewhere.exited, 1)
  assert.match(elsewhere.text, /^the stack can't listen on HOST 192\.0\.2\.1 alone.*unset HOST.*\n$/)
})
