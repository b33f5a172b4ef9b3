/** The whole app on a real database, called without a network. */
import type { FastifyInstance } from 'fastify'
import { createLogger, type Database, type Logger } from 'relay-common'

import { openLocalPostgres, type Scope } from 'relay-test-support/local-postgres.ts'
import { createApp } from '../../src/app.ts'
import { readApiConfig } from '../../src/config.ts'

export const TOKEN = 'token-of-the-tests'

export interface Asked {
  readonly status: number
  readonly body: Record<string, any>
  readonly headers: Record<string, unknown>
}

export interface TestApi {
  readonly app: FastifyInstance
  readonly database: Database
  /** of the same database, for other programs */
  readonly databaseUrl: string
  /** Sends a request with a valid token. */
  ask (path: string, query?: Record<string, string>): Promise<Asked>
}

/**
 * @param environment settings beyond the defaults
 * @param log log of the app; default: none
 */
export async function openTestApi (
  t: Scope, environment: Record<string, string> = {}, log: Logger = createLogger('test', 'silent')
): Promise<TestApi> {
  const { database, url } = await openLocalPostgres(t)
  const config = readApiConfig({ DATABASE_URL: url, API_TOKENS: TOKEN, ...environment })
  const app = await createApp(config, database, log)
  t.after(() => app.close())
  const ask = async (path: string, query: Record<string, string> = {}) => {
    const url = Object.keys(query).length === 0 ? path : `${path}?${new URLSearchParams(query)}`
    const { statusCode, body, headers } = await app.inject({ url, headers: { authorization: `Bearer ${TOKEN}` } })
    return { status: statusCode, body: JSON.parse(body), headers }
  }
  return { app, database, databaseUrl: url, ask }
}
