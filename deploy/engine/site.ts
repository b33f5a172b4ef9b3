/**
 * A site of compose.yaml on a real engine, beside whatever else runs there: a project, volumes and ports of its own, which
 * `close` removes.
 */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'

import getPort from 'get-port'
import { WELL_KNOWN_TOKEN } from 'relay-common'

import { until } from '../../test-support/until.ts'
import { ROOT } from '../test/support/dockerfile.ts'

const run = promisify(execFile)

const PROJECT = 'relay-test'
const OUTPUT_MAX_BYTES = 64 * 1024 * 1024

export interface Container {
  readonly id: string
  readonly service: string
  readonly state: string
  /** empty where its image has no check */
  readonly health: string
}

export interface Site {
  readonly ports: { readonly api: number, readonly kafka: number, readonly postgres: number }
  /** Runs `docker compose`. @returns what it wrote to stdout */
  compose (...args: readonly string[]): Promise<string>
  /** With compose.scaled.yaml over compose.yaml from now on. */
  useScaled (): void
  /** All containers, those that have ended too. */
  containers (): Promise<Container[]>
  /** Waits until every container is well, but those of services that end. @throws with what is not */
  untilWell (): Promise<void>
  /** Ends the main process of a container as a fault would, so that the engine starts it again. */
  crash (id: string): Promise<void>
  /** GET of the API with the token. */
  ask (path: string): Promise<{ readonly status: number, readonly body: any }>
  close (): Promise<void>
}

export async function docker (...args: readonly string[]): Promise<string> {
  const { stdout } = await run('docker', args, { maxBuffer: OUTPUT_MAX_BYTES })
  return stdout.trim()
}

/** @param files of Compose, each over the one before it */
export async function openSite (files: readonly string[]): Promise<Site> {
  const freePort = () => getPort({ host: '127.0.0.1' })
  const ports = { api: await freePort(), kafka: await freePort(), postgres: await freePort() }
  const env = {
    ...process.env, API_PORT: String(ports.api), KAFKA_PORT: String(ports.kafka), POSTGRES_PORT: String(ports.postgres)
  }
  let used = files
  const compose = async (...args: readonly string[]) => {
    const from = used.flatMap(it => ['--file', join(ROOT, it)])
    const { stdout } = await run('docker', ['compose', '--project-name', PROJECT, ...from, ...args],
      { env, cwd: ROOT, maxBuffer: OUTPUT_MAX_BYTES })
    return stdout.trim()
  }

  const containers = async () => {
    const ids = await docker('ps', '--all', '--quiet', '--no-trunc', '--filter', `label=com.docker.compose.project=${PROJECT}`)
    if (ids === '') return []
    const inspected = JSON.parse(await docker('inspect', ...ids.split('\n'))) as Array<{
      Id: string, State: { Status: string, Health?: { Status: string } }, Config: { Labels: Record<string, string> }
    }>
    return inspected.map(({ Id, State, Config }) => ({
      id: Id, service: Config.Labels['com.docker.compose.service'], state: State.Status, health: State.Health?.Status ?? ''
    }))
  }
  const unwell = async () => (await containers())
    .filter(it => it.service !== 'migrate' && (it.state !== 'running' || !['healthy', ''].includes(it.health)))

  const close = async () => { await compose('--profile', '*', 'down', '--volumes', '--remove-orphans', '--timeout', '30') }
  await close() // what a run that was killed has left
  return {
    ports,
    compose,
    useScaled () { used = [...files, 'compose.scaled.yaml', ...files.includes(STAND_INS) ? [STAND_INS_SCALED] : []] },
    containers,
    async untilWell () {
      let seen: Container[] = []
      await until(() => `all to be well, but ${JSON.stringify(seen)}`, async () => (seen = await unwell()).length === 0, 180_000)
    },
    async crash (id) {
      const pid = await docker('inspect', '--format', '{{.State.Pid}}', id)
      const image = await docker('inspect', '--format', '{{.Image}}', (await containers()).find(it => it.service === 'api')!.id)
      const asRoot = ['--pid=host', '--user=root', '--entrypoint=bash', '--no-healthcheck']
      await docker('run', '--rm', ...asRoot, image, '-c', `kill -KILL ${pid}`)
    },
    async ask (path) {
      const headers = { authorization: `Bearer ${WELL_KNOWN_TOKEN}` }
      const response = await fetch(`http://127.0.0.1:${ports.api}${path}`, { headers })
      return { status: response.status, body: await response.json() }
    },
    close
  }
}

export const STAND_INS = 'deploy/engine/stand-ins/compose.yaml'
export const STAND_INS_SCALED = 'deploy/engine/stand-ins/compose.scaled.yaml'
