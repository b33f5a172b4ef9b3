/**
 * The target of attacks: the local stack of `npm start` with default settings, and programs as processes with their own
 * PostgreSQL logins. The stack restarts a dead program, so that a successful attack does not spoil the figures of
 * others; the new process id shows it.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { open, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

import getPort from 'get-port'
import { WELL_KNOWN_TOKEN } from 'relay-access'
import { createLogger, databaseSettings, openDatabase, readConfig, printable, type Database } from 'relay-common'
import { eventLogConnectionSettings, eventLogSettings, openEventLog, type EventLog } from 'relay-event-log'
import { Type } from 'typebox'

import { until } from 'relay-test-support/until.ts'
import type { KeyWanted } from './attack.ts'
import type { Target } from './attacker.ts'
import { cpuMsOf, largestChildMb, readProcesses, residentMb } from './processes.ts'
import { LIVE_EVENTS, unreadEvents } from './unread.ts'

export type EventLogName = 'kafka' | 'postgres'

export interface SiteSettings {
  /** for data and logs; PostgreSQL must be able to enter it */
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
  /** settings by which `relay` finds this site */
  readonly environment: NodeJS.ProcessEnv
  /** Creates a key. @returns its token */
  makeKey (name: string, key: KeyWanted): Promise<string>
  target (token: string): Target
  observe (): Promise<Observed>
  /** Waits until everything sent is in the rollups. @returns whether it was in time */
  caughtUp (limitMs: number): Promise<boolean>
  /** Warnings and errors that API and processor have logged since, one line per sort. */
  logged (since: Date): Promise<readonly string[]>
  /** Kills API and processor, which the stack restarts. For an unusable site. */
  restartPrograms (): Promise<void>
  close (): Promise<void>
}

/** Observations of the programs from outside. */
export interface Observed {
  readonly pids: Readonly<Record<string, number>>
  /** resident, MB */
  readonly memoryMb: Readonly<Record<string, number>>
  /** since the start of each, including children */
  readonly cpuMs: Readonly<Record<string, number>>
  readonly logBytes: number
  /** partitions of rollup tables, and chunks */
  readonly partitions: number
  /** series that no attacker may create */
  readonly ungranted: number
}

const STACK = fileURLToPath(new URL('../../relay-stack/src/main.ts', import.meta.url))
const API = fileURLToPath(new URL('../../relay-api/src/main.ts', import.meta.url))
const START_TIMEOUT_MS = 120_000
const STOP_TIMEOUT_MS = 60_000
const HOST = '127.0.0.1'
const LOGGED_MAX = 5

export async function openSite (settings: SiteSettings): Promise<Site> {
  await using started = new AsyncDisposableStack()
  const dataDir = join(settings.folder, 'data')
  const ports = {
    mqtt: await getPort({ host: HOST }), debug: await getPort({ host: HOST }), issuer: await getPort({ host: HOST })
  }
  const stack = started.adopt(startStack(settings, dataDir, ports), it => stop(it.child))
  await until(() => `the stack to be up; it said:\n${stack.said.text}`, () => {
    if (stack.child.exitCode !== null) {
      throw new Error(`the stack ended with ${stack.child.exitCode}:\n${stack.said.text}`)
    }
    return /^ {2}curl /m.test(stack.said.text)
  }, START_TIMEOUT_MS)
  const portOf = (part: string) => Number(new RegExp(`^  ${part} +\\S*:(\\d+)`, 'm').exec(stack.said.text)![1])

  const environment = JSON.parse(await readFile(join(dataDir, 'site.json'), 'utf8')) as NodeJS.ProcessEnv
  const owner = readConfig(
    Type.Object({ ...databaseSettings, ...eventLogSettings, ...eventLogConnectionSettings }), environment
  )
  const log = createLogger('hostile', 'silent')
  const database = started.adopt(
    await openDatabase({ ...owner, DATABASE_POOL_MAX: 3 }, 'hostile', log), it => it.close()
  )
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
      apiPort,
      mqttPort: ports.mqtt,
      issuerPort: ports.issuer,
      debugPort: ports.debug,
      token,
      adminToken: WELL_KNOWN_TOKEN
    }),
    observe: () => observe(dataDir, database),
    caughtUp: limitMs => until('', async () => await unreadEvents(site) < LIVE_EVENTS, limitMs).then(
      () => true, () => false
    ),
    logged: since => logged(join(dataDir, 'logs'), since),
    restartPrograms: () => restartPrograms(site),
    close: () => running.disposeAsync()
  }
  return site
}

interface Ports { readonly mqtt: number, readonly debug: number, readonly issuer: number }

function startStack ({ cacheDir, eventLog }: SiteSettings, dataDir: string, ports: Ports) {
  const args = [
    '--api-port', '0', '--kafka-port', '0', '--postgres-port', '0', '--issuer', '--issuer-port', String(ports.issuer),
    '--event-log', eventLog,
    '--data-dir', dataDir, '--kafka-cache', cacheDir, '--devices', '20', '--rate', '0.2', '--backfill', '2h'
  ]
  const child = spawn(process.execPath, [STACK, ...args], {
    env: { ...process.env, MQTT_PORT: String(ports.mqtt) },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true // Ctrl-C is for us: we stop it in order
  })
  const said = { text: '' }
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', text => { said.text += text })
  }
  const endWithUs = () => { child.kill('SIGTERM') }
  process.on('exit', endWithUs)
  child.once('exit', () => process.off('exit', endWithUs))
  return { child, said }
}

/** A second API of the same site, at the log level for debugging, with traces whose collector is away. */
async function startDebugApi (folder: string, environment: NodeJS.ProcessEnv, ports: Ports): Promise<ChildProcess> {
  const output = await open(join(folder, 'debug-api.log'), 'a')
  const child = spawn(process.execPath, [API], {
    env: {
      ...process.env,
      ...environment,
      API_PORT: String(ports.debug),
      LOG_LEVEL: 'debug',
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://${HOST}:9`,
      API_TOKENS: WELL_KNOWN_TOKEN,
      METRICS_PORT: '0'
    },
    stdio: ['ignore', output.fd, output.fd, 'ipc']
  })
  await output.close()
  await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(
      () => { throw new Error(`the API at level debug did not start; see ${folder}/debug-api.log`) }
    )
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
  const processes = await readProcesses()
  const pidIn = async (...path: string[]) =>
    Number((await readFile(join(dataDir, ...path), 'utf8').catch(() => '0')).split('\n')[0])
  const [api, processor, postgres, kafka] = await Promise.all([
    pidIn('pids', 'api.pid'), pidIn('pids', 'processor.pid'), pidIn('postgres', 'postmaster.pid'),
    pidIn('kafka-data', 'kafka.pid')
  ])
  const logs = await Promise.all(['api', 'processor'].map(it => stat(join(dataDir, 'logs', `${it}.log`)).then(
    it => it.size, () => 0
  )))
  const [row] = await database.query<{ partitions: bigint, ungranted: bigint }>(`
    select
      (select count(*) from pg_inherits i join pg_class c on c.oid = i.inhparent where c.relname like 'rollups\\_%' and c.relkind = 'p') as partitions,
      (select count(*) from series where device_id >= 'vault-' and device_id < 'vault.')
        + (select count(*) from series where length(device_id) > 0 and zone >= 'Vault' and zone < 'Vaulu') as ungranted`)
  return {
    pids: { api, processor, postgres },
    memoryMb: {
      api: await residentMb(api),
      processor: await residentMb(processor),
      'a backend of PostgreSQL': await largestChildMb(processes, postgres)
    },
    cpuMs: {
      api: cpuMsOf(processes, api),
      processor: cpuMsOf(processes, processor),
      PostgreSQL: cpuMsOf(processes, postgres),
      Kafka: cpuMsOf(processes, kafka)
    },
    logBytes: logs.reduce((a, b) => a + b),
    partitions: Number(row.partitions),
    ungranted: Number(row.ungranted)
  }
}

/** Without lines of the audit log, which are about the attackers. */
async function logged (folder: string, since: Date): Promise<string[]> {
  const times = new Map<string, number>()
  for (const program of ['api', 'processor']) {
    for (const line of (await readFile(join(folder, `${program}.log`), 'utf8').catch(() => '')).split('\n')) {
      if (!/^\{"level":"(?:warn|error|fatal)"/.test(line) || line.includes('"audit"')) continue
      const { level, time, msg } = parseLine(line)
      if (!(Date.parse(time) >= since.getTime())) continue
      const said = `${program}: ${level}: ${printable(msg).slice(0, 200)}`
      times.set(said, (times.get(said) ?? 0) + 1)
    }
  }
  return [...times].slice(0, LOGGED_MAX).map(([said, count]) => count === 1 ? said : `${said} (${count} times)`)
}

function parseLine (line: string): { readonly level: string, readonly time: string, readonly msg: string } {
  try {
    return JSON.parse(line)
  } catch { // its end is not written yet
    return { level: '', time: '', msg: '' }
  }
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
  return await fetch(`http://${HOST}:${port}/readyz`, { signal: AbortSignal.timeout(2_000) }).then(
    it => it.ok, () => false
  )
}
