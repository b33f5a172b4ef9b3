/** What the programs stand on: PostgreSQL and the event log, where no others are named. */
import { createLogger } from 'relay-common'

import type { StackContext } from './context.ts'
import { isKafkaOurs } from './event-log.ts'
import { startKafka } from './kafka.ts'
import { ensureDatabase, startPostgres } from './postgres.ts'
import { startTogether, supervise, type Supervised } from './supervise.ts'

export const DATABASE = 'relay'

/** Whether the environment names a PostgreSQL: then none is started. */
export const isDatabaseOutside = (environment: NodeJS.ProcessEnv) =>
  Boolean(environment.DATABASE_URL || environment.POSTGRES_HOST)

/** PostgreSQL and the event log, at the same time. The log is stopped first: it may be the one in PostgreSQL. */
export async function startServers (
  { options, environment, choice, dataDir, ports, logs, report, signal }: StackContext, started: AsyncDisposableStack
): Promise<{ parts: Supervised[], databaseUrl?: string }> {
  let databaseUrl: string | undefined
  const postgres = () => supervise({
    name: 'postgres',
    start: async () => {
      const logFile = logs.pathOf('postgres')
      const server = await startPostgres({ dataDir: dataDir.postgres, port: ports.postgres, logFile })
      await ensureDatabase(server, DATABASE).catch(async error => {
        await server.close()
        throw error
      })
      databaseUrl = server.url(DATABASE)
      return server
    }
  }, report)
  const kafka = () => supervise({
    name: 'kafka',
    start: () => startKafka({
      cacheDir: options.kafkaCache,
      dataDir: dataDir.kafka,
      port: ports.kafka,
      logFile: logs.pathOf('kafka'),
      log: createLogger('relay-stack', 'silent'), // the line above has said it
      signal
    })
  }, report)
  const parts = await startTogether([
    ...isDatabaseOutside(environment) ? [] : [postgres],
    ...isKafkaOurs(choice) ? [kafka] : []
  ], started)
  return { parts, databaseUrl }
}
