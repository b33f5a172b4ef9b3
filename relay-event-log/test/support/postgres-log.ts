import { randomUUID } from 'node:crypto'
import type { TestContext } from 'node:test'
import { Type } from 'typebox'

import {
  createLogger, databaseSettings, type DatabaseSettings, type Logger, migrate, openDatabase, readConfig
} from 'relay-common'
import type { ConsumerSettings, EventLog, Topic } from '../../src/port.ts'
import { openPostgresEventLog, type PostgresLogOptions } from '../../src/postgres/postgres.ts'
import { openLocalPostgres, startTestPostgres } from 'relay-test-support/local-postgres.ts'

/** The event log in a database given by its settings; closes both. */
export async function openPostgresLog (
  settings: DatabaseSettings, log: Logger, options?: PostgresLogOptions
): Promise<EventLog> {
  const database = await openDatabase(settings, 'event-log-test', log)
  const eventLog = await openPostgresEventLog(database, settings, log, options)
  return {
    ...eventLog,
    async close () {
      await eventLog.close()
      await database.close()
    }
  }
}

/** How another process opens the log of a test. */
export function elsewhere (settings: DatabaseSettings) {
  return { module: import.meta.url, name: 'openPostgresLog', settings }
}

/**
 * An event log in a database of the test.
 * @param opened closes the log; adopt users of the log after it
 */
export async function openTestLog (t: TestContext, opened: AsyncDisposableStack, options?: PostgresLogOptions) {
  const { database, settings } = await openLocalPostgres(t)
  const eventLog = opened.adopt(
    await openPostgresLog(settings, createLogger('test', 'fatal'), options), it => it.close())
  return { database, settings, eventLog }
}

/** An event log on a separate server, which may be stopped. */
export async function openLogOnOwnServer (opened: AsyncDisposableStack) {
  const log = createLogger('test', 'fatal')
  const server = opened.adopt(await startTestPostgres(), it => it.close())
  const settings = readConfig(Type.Object(databaseSettings), { DATABASE_URL: server.url })
  const database = opened.adopt(await openDatabase(settings, 'test', log), it => it.close())
  await migrate(database, log)
  const eventLog = opened.adopt(await openPostgresLog(settings, log), it => it.close())
  return { database, eventLog }
}

export async function createTopic (
  eventLog: EventLog, partitions: number, { suffix = '', retentionMs = 3_600_000 } = {}
): Promise<Topic> {
  const name = `topic-${randomUUID()}${suffix}`
  return eventLog.ensureTopic({ name, partitions, retentionMs, replicationFactor: -1 })
}

/** Settings of a consumer that is alone in its group. */
export function consumerOf (topic: Topic): ConsumerSettings {
  return { topic: topic.name, group: randomUUID(), sessionTimeoutMs: 30_000, fetchBufferMaxBytes: 1024 * 1024 }
}
