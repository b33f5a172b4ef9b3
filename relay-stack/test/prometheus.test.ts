/** The settings that `npm start` writes work in an unchanged Prometheus. */
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'

import getPort from 'get-port'

import { endProgram, skipWithout } from 'relay-test-support/debian-tool.ts'
import { canRunKafka } from 'relay-test-support/local-kafka.ts'
import { until } from 'relay-test-support/until.ts'
import { makeDataDir, onFreePorts, startStackProcess } from './support/stack-process.ts'

const run = promisify(execFile)
const host = '127.0.0.1'
const withPrometheus = { timeout: 240_000, skip: skipWithout('prometheus') }

test('a Prometheus with the settings of the stack scrapes every program, and has the alerts', withPrometheus, async t => {
  const dataDir = await makeDataDir(t)
  const data = await mkdtemp(join(tmpdir(), 'relay-prometheus-'))
  t.after(() => rm(data, { recursive: true, force: true }))
  const stack = startStackProcess(dataDir, ['--event-log', 'postgres', '--backfill', '10s', ...onFreePorts])
  await stack.up()
  const [, config] = await stack.said(/prometheus --config\.file=(\S+) scrapes them/m)
  const said = [...stack.text.matchAll(/http:\/\/\S+\/metrics/g)].map(it => it[0])
  for (const url of said) assert.match(await (await fetch(url)).text(), /^relay_build_info\{/m)

  const port = await getPort({ host })
  const prometheus = spawn('prometheus', [
    `--config.file=${resolve(tmpdir(), config)}`, `--storage.tsdb.path=${data}`, `--web.listen-address=${host}:${port}`
  ], { stdio: 'ignore' })
  try {
    const ask = async (path: string) => await fetch(`http://${host}:${port}/api/v1/${path}`).then(
      it => it.ok ? it.json() : undefined, () => undefined
    ) as
      {
        data: {
          activeTargets: { health: string, scrapeUrl: string }[]
          groups: { rules: { name: string, health: string }[] }[]
        }
      } | undefined
    let targets: { health: string, scrapeUrl: string }[] = []
    await until(() => `targets that are up, and found ${JSON.stringify(targets)}`, async () => {
      targets = (await ask('targets'))?.data.activeTargets ?? []
      return targets.length > 0 && targets.every(it => it.health === 'up')
    })
    assert.deepEqual(targets.map(it => it.scrapeUrl).sort(), said.sort())
    assert.equal(targets.length, 3)
    await until('all rules to be evaluated', async () => {
      const rules = (await ask('rules'))?.data.groups.flatMap(it => it.rules) ?? []
      assert.deepEqual(rules.filter(it => it.health === 'err'), [])
      return rules.some(it => it.name === 'RelayEventsLost') && rules.every(it => it.health === 'ok')
    })
  } finally {
    await endProgram(prometheus)
  }
  stack.kill('SIGTERM')
  assert.equal(await stack.exited, 0)
})

test('Kafka reports its own metrics if it is asked to, and has no agent otherwise', { timeout: 240_000 }, async t => {
  if (!await canRunKafka(t)) return
  for (const asked of [['--kafka-metrics'], []]) {
    const dataDir = await makeDataDir(t)
    const stack = startStackProcess(dataDir, ['--event-log', 'kafka', '--devices', '0', ...asked, ...onFreePorts])
    await stack.up()
    await stack.said(/prometheus --config\.file=\S+ scrapes them/m)
    const at = /(http:\S+) \(kafka\)/.exec(stack.text)?.[1]
    assert.equal(at !== undefined, asked.length > 0)
    if (at) {
      assert.match(await (await fetch(at)).text(), /^kafka_server_replicamanager_underreplicatedpartitions 0\.0$/m)
      assert.match(await readFile(join(dataDir, 'prometheus.yml'), 'utf8'), /job_name: "kafka"/)
    }
    const [, pid] = /^ +kafka +\S+ +(\d+) /m.exec(stack.text)!
    const { stdout } = await run('ps', ['-o', 'args=', '-p', pid])
    assert.match(stdout, /kafka\.Kafka/)
    assert.equal(stdout.includes('-javaagent'), asked.length > 0)
    stack.kill('SIGTERM')
    assert.equal(await stack.exited, 0)
  }
})
