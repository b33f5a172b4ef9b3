/** Clients of an API that is told to end, alone and behind a load balancer. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'

import getPort from 'get-port'
import { connectAsync } from 'mqtt'

import { startProgram, type RunningProgram } from '../../relay-stack/src/program-process.ts'
import { endProgram, skipWithout } from 'relay-test-support/debian-tool.ts'
import { until } from 'relay-test-support/until.ts'
import { authorization, eventOf, openIngestSite, poster } from './support/ingest-site.ts'

/** Debian's path, which is not in everybody's PATH */
const haproxy = existsSync('/usr/sbin/haproxy') ? '/usr/sbin/haproxy' : 'haproxy'
const behindProxy = { timeout: 240_000, skip: skipWithout(haproxy, 'haproxy', '-v') }
const host = '127.0.0.1'
const question = '/api/v1/aggregates?start=2024-01-01T00:00:00Z&end=2024-01-02T00:00:00Z'
const SERVER_SHUTTING_DOWN = 0x8b // MQTT 5

async function openFolder (t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'relay-rolling-restart-'))
  await chmod(folder, 0o755)
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

interface Fleet {
  /** Starts an API as a process. */
  start (name: string, port: number, mqttPort: number): Promise<RunningProgram>
}

function openFleet (opened: AsyncDisposableStack, folder: string, environment: Record<string, string>): Fleet {
  return {
    start: async (name, port, mqttPort) => opened.adopt(await startProgram({
      name: 'api',
      environment: {
        ...process.env, ...environment, API_PORT: String(port), METRICS_PORT: '0', MQTT_PORT: String(mqttPort)
      },
      logFile: join(folder, `${name}.log`),
      pids: folder,
      signal: new AbortController().signal
    }), it => it.close())
  }
}

interface Balancer {
  readonly url: string
  /** by server: whether it gets requests, and how many it got */
  servers (): Promise<Map<string, { readonly isUp: boolean, readonly requests: number }>>
}

/** Starts haproxy in front of servers, without retries, so that clients see each failure. */
async function openBalancer (
  opened: AsyncDisposableStack, folder: string, ports: ReadonlyMap<string, number>
): Promise<Balancer> {
  const [port, statsPort] = [await getPort({ host }), await getPort({ host })]
  const file = join(folder, 'haproxy.cfg')
  await writeFile(file, [
    'defaults', ' mode http', ' retries 0', ' timeout connect 5s', ' timeout client 60s', ' timeout server 60s',
    ' timeout check 20s',
    'frontend relay', ` bind ${host}:${port}`, ' default_backend apis',
    'frontend stats', ` bind ${host}:${statsPort}`, ' stats enable', ' stats uri /',
    'backend apis', ' option httpchk GET /readyz', ' default-server check inter 200ms fall 2 rise 2',
    ...Array.from(ports, ([name, it]) => ` server ${name} ${host}:${it}`), ''
  ].join('\n'))
  const proxy = spawn(haproxy, ['-db', '-f', file], { stdio: 'ignore' })
  opened.defer(() => endProgram(proxy))
  return {
    url: `http://${host}:${port}`,
    async servers () {
      const text = await fetch(`http://${host}:${statsPort}/;csv`).then(it => it.text(), () => '')
      const [head, ...rows] = text.replace(/^# /, '').split('\n').map(it => it.split(','))
      const field = (row: string[], name: string) => row[head.indexOf(name)]
      return new Map(rows.filter(it => ports.has(field(it, 'svname'))).map(it =>
        [field(it, 'svname'), { isUp: field(it, 'status') === 'UP', requests: Number(field(it, 'hrsp_2xx')) }]))
    }
  }
}

test('an API that is told to end is not ready, and continues to answer on connections that it closes', { timeout: 120_000 }, async t => {
  await using opened = new AsyncDisposableStack()
  const site = opened.use((await openIngestSite(t, 'postgres', { SHUTDOWN_DRAIN_MS: '5000' }))!)
  const [port, mqttPort] = [await getPort({ host }), await getPort({ host })]
  const api = await openFleet(opened, await openFolder(t), site.environment).start('api', port, mqttPort)
  const url = `http://${host}:${port}`
  const ask = async (path: string) => await fetch(`${url}${path}`, { headers: { authorization } })
  const post = async (n: number) => (await poster(url)(JSON.stringify([eventOf(n)]))).status
  const client = await connectAsync(`mqtt://${host}:${mqttPort}`,
    { protocolVersion: 5, username: 'device', password: authorization.replace('Bearer ', ''), reconnectPeriod: 0 })
  opened.defer(() => client.endAsync(true))
  const parted = new Promise<number | undefined>(resolve => client.once(
    'disconnect', ({ reasonCode }) => resolve(reasonCode)
  ))
  await until('events to be taken', async () => await post(1) === 202)
  assert.equal((await ask('/readyz')).status, 200)
  assert.notEqual((await ask(question)).headers.get('connection'), 'close')

  const closed = api.close() // SIGTERM
  let readiness!: Response
  await until('the API to be not ready', async () => (readiness = await ask('/readyz')).status === 503)
  assert.deepEqual((await readiness.json() as { faults: object }).faults, { shutdown: 'under way' })
  const answer = await ask(question)
  assert.deepEqual([answer.status, answer.headers.get('connection')], [200, 'close'])
  assert.equal(await post(2), 202)
  assert.equal((await ask('/livez')).status, 200)
  assert.ok(client.connected, 'those by MQTT go on until then, too')

  assert.equal(await parted, SERVER_SHUTTING_DOWN)
  await closed
  assert.equal(api.exitCode, 0)
})

test('no request fails while the APIs behind a load balancer are restarted one after the other', behindProxy, async t => {
  await using opened = new AsyncDisposableStack()
  const folder = await openFolder(t)
  const site = opened.use((await openIngestSite(t, 'postgres', { SHUTDOWN_DRAIN_MS: '3000' }))!)
  const fleet = openFleet(opened, folder, site.environment)
  const ports = new Map([['a', await getPort({ host })], ['b', await getPort({ host })]])
  const running = new Map<string, RunningProgram>()
  const start = async (name: string) => running.set(
    name, await fleet.start(name, ports.get(name)!, await getPort({ host }))
  )
  for (const name of ports.keys()) await start(name)
  const balancer = await openBalancer(opened, folder, ports)
  const untilUp = (...names: string[]) => until(`${names.join(' and ')} to be up`, async () => {
    const servers = await balancer.servers()
    return names.every(it => servers.get(it)?.isUp)
  })
  await untilUp(...ports.keys())

  const over = new AbortController()
  let asked = 0
  const failed: string[] = []
  const request = async (n: number) => {
    const isQuestion = n % 2 === 0
    const [status, wanted] = isQuestion
      ? [(await fetch(
        `${balancer.url}${question}`, { headers: { authorization } }
        ).then(async it => { await it.text(); return it })).status, 200]
      : [(await poster(balancer.url)(JSON.stringify([eventOf(n)]))).status, 202]
    if (status !== wanted) failed.push(`${isQuestion ? 'question' : 'events'}: ${status}`)
  }
  const clients = Array.from({ length: 8 }, async () => {
    while (!over.signal.aborted) await request(asked++).catch(error => failed.push(String(error)))
  })
  for (const name of ports.keys()) {
    const before = running.get(name)!
    await before.close() // SIGTERM, and waits until it has ended
    assert.equal(before.exitCode, 0)
    const askedBefore = asked
    await start(name)
    await untilUp(name)
    const { requests } = (await balancer.servers()).get(name)!
    await until('it to have requests', async () => (await balancer.servers()).get(name)!.requests > requests)
    assert.ok(asked > askedBefore, 'clients went on asking meanwhile')
  }
  over.abort()
  await Promise.all(clients)
  t.diagnostic(`${asked} requests`)
  assert.deepEqual(failed, [])
})
