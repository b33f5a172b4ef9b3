/**
 * What attacks are made on: the local stack as `npm start` runs it, with its default settings, programs as processes,
 * logged in to PostgreSQL as what they are. A program that dies is started again by the stack, so that one attack that
 * succeeds does not spoil the figures of the others; that its process is another one is seen all the same.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

import getPort from 'get-port'
import {
  createLogger, databaseSettings, eventLogConnectionSettings, eventLogSettings, openDatabase, openEventLog, readConfig,
  WELL_KNOWN_TOKEN, type Database, type EventLog
} from 'relay-common'
import { Type } from 'typebox'

import { until } from '../../test-support/until.ts'
import type { KeyWanted } from './attack.ts'
import type { Target } from './attacker.ts'
import { LIVE_EVENTS, unreadEvents } from './unread.ts'

export type EventLogName = 'kafka' | 'postgres'

export interface SiteSettings {
  /** data and logs go there; PostgreSQL must be able to enter it */
  readonly folder: string
  /** where Kafka's jars are kept */
  readonly cacheDir: string
  readonly eventLog: EventLogName
}

export interface Site {
  readonly dataDir: string
  readonly apiPort: number
  readonly mqttPort: number
  readonly issuerPort: number
  readonly processorPort: number
  readonly simulatorPort: number
  readonly debugPort: number
  readonly adminToken: string
  /** as the owner */
  readonly database: Database
  readonly eventLog: EventLog
  /** settings with which `relay` finds this site */
  readonly environment: NodeJS.ProcessEnv
  /** Makes a key. @returns its token */
  makeKey (name: string, key: KeyWanted): Promise<string>
  target (token: string): Target
  observe (): Promise<Observed>
  /** Waits until what was sent is in the rollups. @returns whether it was in time */
  caughtUp (limitMs: number): Promise<boolean>
  /** Kills API and processor: the stack starts them again. For a site that an attack has left useless. */
  restartPrograms (): Promise<void>
  close (): Promise<void>
}

/** What is seen of the programs from outside. */
export interface Observed {
  readonly pids: Readonly<Record<string, number>>
  /** resident, MB */
  readonly memoryMb: Readonly<Record<string, number>>
  readonly logBytes: number
  /** partitions of rollup tables, and chunks */
  readonly partitions: number
  /** series of what no attacker may touch */
  readonly ungranted: number
}

const STACK = fileURLToPath(new URL('../../relay-stack/src/main.ts', import.meta.url))
const API = fileURLToPath(new URL('../../relay-api/src/main.ts', import.meta.url))
const START_TIMEOUT_MS = 120_000
const STOP_TIMEOUT_MS = 60_000
const HOST = '127.0.0.1'

export async function openSite (settings: SiteSettings): Promise<Site> {
  await using started = new AsyncDisposableStack()
  const dataDir = join(settings.folder, 'data')
  const ports = { mqtt: await getPort({ host: HOST }), debug: await getPort({ host: HOST }), issuer: await getPort({ host: HOST }) }
  const stack = started.adopt(startStack(settings, dataDir, ports), it => stop(it.child))
  await until(() => `the stack to be up; it said:\n${stack.said.text}`, () => {
    if (stack.child.exitCode !== null) throw new Error(`the stack ended with ${stack.child.exitCode}:\n${stack.said.text}`)
    return /^ {2}curl /m.test(stack.said.text)
  }, START_TIMEOUT_MS)
  const portOf = (part: string) => Number(new RegExp(`^  ${part} +\\S*:(\\d+)`, 'm').exec(stack.said.text)![1])

  const environment = JSON.parse(await readFile(join(dataDir, 'site.json'), 'utf8')) as NodeJS.ProcessEnv
  const owner = readConfig(Type.Object({ ...databaseSettings, ...eventLogSettings, ...eventLogConnectionSettings }), environment)
  const log = createLogger('hostile', 'silent')
  const database = started.adopt(await openDatabase({ ...owner, DATABASE_POOL_MAX: 3 }, 'hostile', log), it => it.close())
  const eventLog = started.adopt(await openEventLog(owner, database, log), it => it.close())
  started.adopt(await startDebugApi(settings.folder, environment, ports), it => stop(it))

  const apiPort = portOf('api')
  const running = started.move()
  const site: Site = {
    dataDir,
    apiPort,
    mqttPort: ports.mqtt,
    issuerPort: ports.issuer,
    processorPort: portOf('processor'),
    simulatorPort: portOf('simulator'),
    debugPort: ports.debug,
    adminToken: WELL_KNOWN_TOKEN,
    database,
    eventLog,
    environment,
    makeKey: (name, key) => makeKey(apiPort, name, key),
    target: token => ({
      apiPort, mqttPort: ports.mqtt, issuerPort: ports.issuer, debugPort: ports.debug, token, adminToken: WELL_KNOWN_TOKEN
    }),
    observe: () => observe(dataDir, database),
    caughtUp: limitMs => until('', async () => await unreadEvents(site) < LIVE_EVENTS, limitMs).then(() => true, () => false),
    restartPrograms: () => restartPrograms(site),
    close: () => running.disposeAsync()
  }
  return site
}

interface Ports { readonly mqtt: number, readonly debug: number, readonly issuer: number }

function startStack ({ cacheDir, eventLog }: SiteSettings, dataDir: string, ports: Ports) {
  const args = [
    '--api-port', '0', '--kafka-port', '0', '--postgres-port', '0', '--issuer', '--issuer-port', String(ports.issuer), '--event-log', eventLog,
    '--data-dir', dataDir, '--kafka-cache', cacheDir, '--devices', '20', '--rate', '0.2', '--backfill', '2h'
  ]
  const child = spawn(process.execPath, [STACK, ...args], {
    env: { ...process.env, MQTT_PORT: String(ports.mqtt) },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true // Ctrl-C is for us, who stop it in order
  })
  const said = { text: '' }
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', text => { said.text += text })
  const endWithUs = () => { child.kill('SIGTERM') }
  process.on('exit', endWithUs)
  child.once('exit', () => process.off('exit', endWithUs))
  return { child, said }
}

/** A second API of the same site, at the level that an operator looks for a fault with. */
async function startDebugApi (folder: string, environment: NodeJS.ProcessEnv, ports: Ports): Promise<ChildProcess> {
  const { open } = await import('node:fs/promises')
  const output = await open(join(folder, 'debug-api.log'), 'a')
  const child = spawn(process.execPath, [API], {
    env: { ...process.env, ...environment, API_PORT: String(ports.debug), LOG_LEVEL: 'debug', API_TOKENS: WELL_KNOWN_TOKEN, METRICS_PORT: '0' },
    stdio: ['ignore', output.fd, output.fd, 'ipc']
  })
  await output.close()
  await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(() => { throw new Error(`the API at level debug did not start; see ${folder}/debug-api.log`) })
  ])
  return child
}

async function stop (child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS)
  await exited
  clearTimeout(timer)
}

async function makeKey (apiPort: number, name: string, key: KeyWanted): Promise<string> {
  const answer = await fetch(`http://${HOST}:${apiPort}/api/v1/keys`, {
    method: 'POST',
    headers: { authorization: `Bearer ${WELL_KNOWN_TOKEN}`, 'content-type': 'application/json' },
    body: JSON.stringify({ name, ...key }),
    signal: AbortSignal.timeout(10_000)
  })
  if (answer.status !== 201) throw new Error(`no key: status ${answer.status} ${await answer.text()}`)
  return (await answer.json() as { key: string }).key
}

async function observe (dataDir: string, database: Database): Promise<Observed> {
  const pids: Record<string, number> = {}
  const memoryMb: Record<string, number> = {}
  for (const program of ['api', 'processor']) {
    const pid = Number((await readFile(join(dataDir, 'pids', `${program}.pid`), 'utf8').catch(() => '0')).trim())
    pids[program] = pid
    memoryMb[program] = await residentMb(pid)
  }
  const postmaster = Number((await readFile(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8')).split('\n')[0])
  pids.postgres = postmaster
  memoryMb['a backend of PostgreSQL'] = await largestBackendMb(postmaster)
  const logs = await Promise.all(['api', 'processor'].map(it => stat(join(dataDir, 'logs', `${it}.log`)).then(it => it.size, () => 0)))
  const [row] = await database.query<{ partitions: bigint, ungranted: bigint }>(`
    select
      (select count(*) from pg_inherits i join pg_class c on c.oid = i.inhparent where c.relname like 'rollups\\_%' and c.relkind = 'p') as partitions,
      (select count(*) from series where zone like 'Vault%' or device_id like 'vault-%') as ungranted`)
  return { pids, memoryMb, logBytes: logs.reduce((a, b) => a + b), partitions: Number(row.partitions), ungranted: Number(row.ungranted) }
}

async function residentMb (pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  return Math.round(Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) / 1024)
}

/** Memory of its own, without what all backends share. */
async function largestBackendMb (postmaster: number): Promise<number> {
  let largestMb = 0
  for (const entry of await readdir('/proc').catch(() => [])) {
    if (!/^\d+$/.test(entry)) continue
    const status = await readFile(`/proc/${entry}/status`, 'utf8').catch(() => '')
    if (!status.includes(`\nPPid:\t${postmaster}\n`)) continue
    largestMb = Math.max(largestMb, Number(/^RssAnon:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) / 1024)
  }
  return Math.round(largestMb)
}

async function restartPrograms (site: Site): Promise<void> {
  for (const [program, port] of [['api', site.apiPort], ['processor', site.processorPort]] as const) {
    const before = (await site.observe()).pids[program]
    try { process.kill(before, 'SIGKILL') } catch {}
    await until(`${program} to be back`, async () => {
      const { pids } = await site.observe()
      return pids[program] !== before && await isReady(port)
    }, START_TIMEOUT_MS)
  }
  await delay(500)
}

export async function isReady (port: number): Promise<boolean> {
  return await fetch(`http://${HOST}:${port}/readyz`, { signal: AbortSignal.timeout(2_000) }).then(it => it.ok, () => false)
}
