/** A whole API with ingest, on a real event log of either kind, called over the network. */
import type { TestContext } from 'node:test'

import { createLogger, type Database, type Logger } from 'relay-common'

import { openLocalPostgres } from 'relay-test-support/local-postgres.ts'
import { openTestLog, type TestLog, kinds } from '../../../relay-simulator/test/support/event-logs.ts'
import { startApi } from '../../src/app.ts'
import { readApiConfig } from '../../src/config.ts'
import { until } from 'relay-test-support/until.ts'
import { TOKEN } from './ask.ts'

export interface Answered {
  readonly status: number
  readonly body: Record<string, any>
  readonly headers: Headers
}

/** Dispose of it (`await using`) before the test ends, because its database goes with the test. */
export interface IngestSite extends AsyncDisposable {
  readonly url: string
  /** URL of its metrics; collected at most once per second */
  readonly metricsUrl: string
  /** the log with the events */
  readonly log: TestLog
  readonly database: Database
  readonly environment: Record<string, string>
  /** Sends a body with a valid token; JSON unless headers say otherwise. */
  post (body: string | Uint8Array | ReadableStream, headers?: Record<string, string>): Promise<Answered>
}

export { kinds }

export const authorization = `Bearer ${TOKEN}`

export type SettingsOf = (databaseUrl: string) => Promise<Record<string, string>>

/**
 * @param settings beyond the necessary ones
 * @returns undefined if the machine can't run such a log: then the test is skipped
 */
export async function openIngestSite (
  t: TestContext, kind: typeof kinds[number], settings: Record<string, string> | SettingsOf = {},
  log: Logger = createLogger('test', 'silent')
): Promise<IngestSite | undefined> {
  const testLog = await openTestLog(t, kind)
  if (!testLog) return undefined
  const topic = { name: testLog.topic, partitions: 4, retentionMs: 3_600_000, replicationFactor: -1 }
  const deadLettersTopic = `${topic.name}.dead-letters`
  await testLog.eventLog.ensureTopic(topic)
  await testLog.eventLog.ensureTopic({ ...topic, name: deadLettersTopic, partitions: 1 })
  const own = testLog.database ? undefined : await openLocalPostgres(t)
  const databaseUrl = own?.url ?? testLog.environment.DATABASE_URL!
  const environment = {
    ...testLog.environment as Record<string, string>,
    DATABASE_URL: databaseUrl,
    DEAD_LETTERS_TOPIC: deadLettersTopic,
    API_TOKENS: TOKEN,
    API_PORT: '0',
    ...typeof settings === 'function' ? await settings(databaseUrl) : settings
  }
  const api = await startApi(readApiConfig(environment), log)
  const url = `http://127.0.0.1:${api.port}`
  const post = poster(url)
  const database = testLog.database ?? own!.database
  const site =
    {
      url,
      metricsUrl: `http://127.0.0.1:${api.metricsPort}/metrics`,
      log: testLog,
      database,
      environment,
      post,
      [Symbol.asyncDispose]: () =>
        api.close()
    }
  await until('events to be taken', async () => (await post('[]')).status === 202)
  return site
}

export function poster (url: string): IngestSite['post'] {
  return async (body, headers = {}) => {
    const response = await fetch(`${url}/api/v1/events`, {
      method: 'POST',
      headers: { authorization, 'content-type': 'application/json', ...headers },
      body: body as string,
      ...body instanceof ReadableStream ? { duplex: 'half' } : {}
    } as RequestInit)
    return { status: response.status, body: await response.json() as Record<string, any>, headers: response.headers }
  }
}

export interface SentEvent {
  readonly deviceId: string
  readonly deviceType: string
  readonly zone: string
  readonly value: number
  readonly timestamp: string
}

/** The n-th of any number of different events. */
export function eventOf (n: number, fields: Partial<SentEvent> = {}): SentEvent {
  return {
    deviceId: `device-${n % 7}`,
    deviceType: 'THERMOSTAT',
    zone: 'Zone A',
    value: n / 4,
    timestamp: new Date(Date.UTC(2024, 0, 1) + n * 1000).toISOString(),
    ...fields
  }
}
