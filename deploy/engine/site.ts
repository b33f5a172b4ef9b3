/**
 * A site of compose.yaml and further files on a real engine, with its own project, volumes and ports, which `close`
 * removes.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'

import getPort from 'get-port'
import { WELL_KNOWN_TOKEN } from 'relay-access'
import { DAY_MS } from 'relay-rollups'
import { until } from 'relay-test-support/until.ts'
import { ROOT } from '../test/support/dockerfile.ts'

const run = promisify(execFile)

const PROJECT = 'relay-test'
const OUTPUT_MAX_BYTES = 64 * 1024 * 1024

export interface Container {
  readonly id: string
  readonly service: string
  readonly state: string
  /** empty if its image has no check */
  readonly health: string
}

export interface Site {
  readonly ports: { readonly api: number, readonly kafka: number }
  /** Runs `docker compose`. @returns what it wrote to stdout */
  compose (...args: readonly string[]): Promise<string>
  /** Runs a line of the documentation, as people paste it into their shell. @returns what it wrote to stdout */
  paste (line: string): Promise<string>
  /** Uses another COMPOSE_FILE from now on. */
  use (composeFile: string): void
  /** Sets a variable from now on, as a line in `.env` does. */
  set (name: string, value: string): void
  /** All containers, including ended ones; with a service, only its containers. */
  containers (service?: string): Promise<Container[]>
  /** Waits until every container is healthy, except for services that end. @throws with the unhealthy ones */
  untilWell (): Promise<void>
  /** Kills the main process of a container, so that the engine starts it again. */
  crash (id: string): Promise<void>
  /** GET of the API with the token. */
  ask (path: string): Promise<{ readonly status: number, readonly body: any }>
  /** Runs a statement as the owner of the database. @returns its only value */
  psql (statement: string): Promise<string>
  /** Recomputes the last 15 days from the log. @returns its output @throws if there are differences */
  verify (): Promise<string>
  close (): Promise<void>
}

export async function docker (...args: readonly string[]): Promise<string> {
  const { stdout } = await run('docker', args, { maxBuffer: OUTPUT_MAX_BYTES })
  return stdout.trim()
}

/** Whether images stand in for those of others. */
export const isOfStandIns = process.env.STAND_INS !== undefined

/** @param composeFile COMPOSE_FILE: files, each over the one before it, with colons between them */
export async function openSite (composeFile: string): Promise<Site> {
  const freePort = () => getPort({ host: '127.0.0.1' })
  const ports = { api: await freePort(), kafka: await freePort() }
  const others = { KAFKA_PORT_2: await freePort(), KAFKA_PORT_3: await freePort(), POSTGRES_PORT: await freePort() }
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    ...Object.fromEntries(Object.entries({ API_PORT: ports.api, KAFKA_PORT: ports.kafka, ...others }).map(
      ([name, it]) => [name, String(it)]
    ))
  }
  let used = withStandIns(composeFile)
  const inShell = async (command: string, args: readonly string[]) => {
    const { stdout } = await run(command, args,
      { env: { ...env, COMPOSE_PROJECT_NAME: PROJECT, COMPOSE_FILE: used }, cwd: ROOT, maxBuffer: OUTPUT_MAX_BYTES })
    return stdout.trim()
  }
  const compose = (...args: readonly string[]) => inShell('docker', ['compose', ...args])

  const containers = async (service?: string) => {
    const ids = await docker('ps', '--all', '--quiet', '--no-trunc', '--filter', `label=com.docker.compose.project=${PROJECT}`)
    if (ids === '') return []
    const inspected = JSON.parse(await docker('inspect', ...ids.split('\n'))) as Array<{
      Id: string, State: { Status: string, Health?: { Status: string } }, Config: { Labels: Record<string, string> }
    }>
    return inspected.map(({ Id, State, Config }) => ({
      id: Id,
      service: Config.Labels['com.docker.compose.service'],
      state: State.Status,
      health: State.Health?.Status ?? ''
    })).filter(it => service === undefined || it.service === service)
  }
  const unwell = async () => (await containers())
    .filter(it => it.service !== 'migrate' && (it.state !== 'running' || !['healthy', ''].includes(it.health)))

  const close = async () => {
    await compose('--profile', '*', 'down', '--volumes', '--remove-orphans', '--timeout', '30')
  }
  await close() // the rest of a killed run
  return {
    ports,
    compose,
    paste: line => inShell('bash', ['-c', line]),
    use (file) { used = withStandIns(file) },
    set (name, value) { env[name] = value },
    containers,
    async untilWell () {
      let seen: Container[] = []
      await until(() => `all to be well, but ${JSON.stringify(seen)}`, async () => (seen = await unwell()).length === 0, 180_000)
    },
    async crash (id) {
      const pid = await docker('inspect', '--format', '{{.State.Pid}}', id)
      const image = await docker('inspect', '--format', '{{.Image}}', (await containers('api'))[0].id)
      const asRoot = ['--pid=host', '--user=root', '--entrypoint=bash', '--no-healthcheck']
      await docker('run', '--rm', ...asRoot, image, '-c', `kill -KILL ${pid}`)
    },
    async ask (path) {
      const headers = { authorization: `Bearer ${WELL_KNOWN_TOKEN}` }
      const response = await fetch(`http://127.0.0.1:${ports.api}${path}`, { headers })
      return { status: response.status, body: await response.json() }
    },
    psql: statement => compose('exec', '-T', 'postgres',
      'psql', '--username=relay', '--dbname=relay', '--no-align', '--tuples-only', `--command=${statement}`),
    async verify () {
      const day = (timeMs: number) => new Date(timeMs).toISOString().slice(0, 10)
      const range = ['--from', day(Date.now() - 15 * DAY_MS), '--to', day(Date.now() + 2 * DAY_MS)]
      return await compose('run', '--rm', '-T', 'relay', 'verify', ...range, '--json')
    },
    close
  }
}

/** Each file, and over it the one for stand-ins. */
function withStandIns (composeFile: string): string {
  if (!isOfStandIns) return composeFile
  return composeFile.split(':').flatMap(it => [it, join('deploy/engine/stand-ins', it)]).filter(
    it => existsSync(join(ROOT, it))
  ).join(':')
}
