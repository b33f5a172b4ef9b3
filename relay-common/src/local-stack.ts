/**
 * Publishes the local stack: while it runs, a file in its data folder has the addresses of its servers, for the command
 * line. It contains no secret, only the paths of password files.
 */
import { readFileSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { RelayError } from './errors.ts'

const FILE = 'site.json'
const DATA_DIR_DEFAULT = fileURLToPath(new URL('../../.relay', import.meta.url))

/** The file includes the process id of the stack, because a killed one can't remove the file. */
const PID = 'RELAY_STACK_PID'

/** Settings that name a database or an event log. Others, such as KAFKA_OPTS, belong to other tools. */
const SITE_SETTING = /^(?:DATABASE_URL|POSTGRES_(?:HOST|PORT|DB|USER|PASSWORD)|KAFKA_BOOTSTRAP_SERVERS)(?:_FILE)?$/

/** Publishes a stack. @param dataDir its data folder @returns a function that removes the file */
export async function publishLocalStack (
  dataDir: string, settings: Readonly<Record<string, string | undefined>>
): Promise<{ close (): Promise<void> }> {
  const file = join(dataDir, FILE)
  await rm(file, { force: true }) // a file left by a killed stack would keep its permissions
  await writeFile(
    file, JSON.stringify({ ...settings, [PID]: String(process.pid) }, undefined, 2) + '\n', { mode: 0o600 }
  )
  return { close: () => rm(file, { force: true }) }
}

/**
 * Adds the settings of the local stack if the environment names neither a database nor an event log.
 * @param environment RELAY_DATA_DIR: the data folder of the stack, if it is not that of this project
 * @throws RelayError RELAY_CONFIG_INVALID if the local stack is meant but does not run
 */
export function withLocalStack (environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  if (Object.entries(environment).some(([name, value]) => SITE_SETTING.test(name) && value)) return environment
  return { ...environment, ...findLocalStack(environment, 'DATABASE_URL and KAFKA_BOOTSTRAP_SERVERS') }
}

/**
 * URL of the API: RELAY_URL of the environment, or that of the local stack.
 * @throws RelayError RELAY_CONFIG_INVALID if the local stack is meant but does not run
 */
export function apiUrlOf (environment: NodeJS.ProcessEnv): { readonly url: string, readonly isLocalStack: boolean } {
  const { RELAY_URL: url } = environment
  if (url) return { url, isLocalStack: false }
  const { RELAY_URL: published } = findLocalStack(environment, 'RELAY_URL')
  if (published) return { url: published, isLocalStack: true }
  throw new RelayError('RELAY_CONFIG_INVALID', 'the local stack did not publish the address of its API: set RELAY_URL')
}

/** @param others settings that name other servers */
function findLocalStack (environment: NodeJS.ProcessEnv, others: string): NodeJS.ProcessEnv {
  const dataDir = environment.RELAY_DATA_DIR || DATA_DIR_DEFAULT
  const published = readPublished(join(dataDir, FILE))
  if (published !== undefined && isRunning(Number(published[PID]))) return published
  throw new RelayError('RELAY_CONFIG_INVALID', `no local stack is running (${dataDir}): start it with npm start, set its data ` +
    `folder with RELAY_DATA_DIR or --data-dir, or set other servers with ${others}`)
}

function readPublished (file: string): NodeJS.ProcessEnv | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as NodeJS.ProcessEnv
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException
    if (['ENOENT', 'ENOTDIR'].includes(code)) return undefined
    throw new RelayError('RELAY_CONFIG_INVALID', ['EACCES', 'EPERM'].includes(code)
      ? `can't read ${file}: it is another user's; set another data folder with RELAY_DATA_DIR or --data-dir`
      : `can't read ${file}: ${(error as Error).message}`, { cause: error })
  }
}

/** Whether a process is running, of any user. */
export function isRunning (pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM' // it belongs to another user
  }
}
