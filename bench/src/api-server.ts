/** The API and its bare peer, each as a process of its own. */
import getPort from 'get-port'

import { startProgram } from './program.ts'

export interface ApiServer extends AsyncDisposable {
  readonly url: string
  readonly pid: number
}

const TOKEN = 'token-of-the-benchmark'

/** One client with one token sends all requests here. */
const UNLIMITED = String(2 ** 31 - 1)

export const headers = { authorization: `Bearer ${TOKEN}` }

/** @param database connection string @param more settings other than defaults */
export async function startApi (database: string, more: Record<string, string> = {}): Promise<ApiServer> {
  return startServer('api', {
    ...more,
    DATABASE_URL: database,
    API_TOKENS: TOKEN,
    LOG_LEVEL: 'error',
    RATE_LIMIT_ADDRESS_MAX: UNLIMITED,
    RATE_LIMIT_PRINCIPAL_MAX: UNLIMITED
  })
}

export async function startBareApi (database: string): Promise<ApiServer> {
  return startServer('bare-api', { DATABASE_URL: database })
}

async function startServer (name: 'api' | 'bare-api', settings: Record<string, string>): Promise<ApiServer> {
  const port = await getPort({ host: '127.0.0.1' })
  const { pid, ready, end } = startProgram(name, {
    environment: { DATABASE_POOL_MAX: '10', ...settings, HOST: '127.0.0.1', API_PORT: String(port), METRICS_PORT: '0' }
  })
  await ready
  return { url: `http://127.0.0.1:${port}`, pid, [Symbol.asyncDispose]: end }
}
