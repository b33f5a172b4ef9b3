/** The API and its bare peer, each as a process of its own. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import getPort from 'get-port'
import { nodeArgsOf } from 'relay-common'

import { endWith } from './children.ts'

export interface ApiServer extends Disposable {
  readonly url: string
  readonly pid: number
}

const apiMain = fileURLToPath(new URL('../../relay-api/src/main.ts', import.meta.url))
const bareMain = fileURLToPath(new URL('./bare-api.ts', import.meta.url))
const TOKEN = 'token-of-the-benchmark'

/** One client with one token is the whole crowd here. */
const UNLIMITED = String(2 ** 31 - 1)

export const headers = { authorization: `Bearer ${TOKEN}` }

/** @param database connection string */
export async function startApi (database: string): Promise<ApiServer> {
  return startServer(apiMain, {
    DATABASE_URL: database,
    API_TOKENS: TOKEN,
    LOG_LEVEL: 'error',
    RATE_LIMIT_ADDRESS_MAX: UNLIMITED,
    RATE_LIMIT_PRINCIPAL_MAX: UNLIMITED
  }, nodeArgsOf('api'))
}

export async function startBareApi (database: string): Promise<ApiServer> {
  return startServer(bareMain, { DATABASE_URL: database })
}

async function startServer (main: string, settings: Record<string, string>, execArgv: readonly string[] = []): Promise<ApiServer> {
  const port = await getPort({ host: '127.0.0.1' })
  const child = fork(main, {
    execArgv: [...execArgv],
    env: { ...process.env, DATABASE_POOL_MAX: '10', ...settings, HOST: '127.0.0.1', API_PORT: String(port) }
  })
  const ending = endWith(child)
  const ended = once(child, 'exit').then(([code]) => { throw new Error(`${main} ended with ${code}`) })
  await Promise.race([once(child, 'message'), ended])
  ended.catch(() => {})
  return { ...ending, url: `http://127.0.0.1:${port}`, pid: child.pid! }
}
