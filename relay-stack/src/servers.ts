/** What the programs stand on: PostgreSQL and the event log, where no others are named. */
import { createLogger, type DatabaseLogin } from 'relay-common'

import type { StackContext } from './context.ts'
import { keepPasswords, loginSettings, ownerSettings, prepareDatabase } from './database.ts'
import { isKafkaOurs } from './event-log.ts'
import { startKafka } from './kafka.ts'
import { placePostgres } from './postgres-place.ts'
import { startPostgres } from './postgres.ts'
import { startTogether, supervise, type Supervised } from './supervise.ts'

/** Whether the environment names a PostgreSQL: then none is started. */
export const isDatabaseOutside = (environment: NodeJS.ProcessEnv) =>
  Boolean(environment.DATABASE_URL || environment.POSTGRES_HOST)

export interface Servers {
  readonly parts: Supervised[]
  /** settings with which a program reaches the PostgreSQL of the stack; undefined: the environment names another */
  readonly databaseOf?: (login: DatabaseLogin) => NodeJS.ProcessEnv
  /** and those for its owner */
  readonly databaseOfOwner?: Record<string, string>
}

/** PostgreSQL and the event log, at the same time. The log is stopped first: it may be the one in PostgreSQL. */
export async function startServers (
  { options, environment, choice, dataDir, ports, logs, report, signal }: StackContext, started: AsyncDisposableStack
): Promise<Servers> {
  let databaseOf: Servers['databaseOf']
  let databaseOfOwner: Servers['databaseOfOwner']
  const passwords = await keepPasswords(dataDir.passwords)
  const postgres = () => supervise({
    name: 'postgres',
    start: () => ports.bind(['postgres'], async () => {
      const logFile = logs.pathOf('postgres')
      const password = passwords.owner
      const data = await placePostgres(dataDir.postgres, report.line)
      const server = await startPostgres({ dataDir: data, port: ports.of('postgres'), password, logFile, say: report.line })
      await prepareDatabase(server, passwords, environment).catch(async error => {
        await server.close()
        throw error
      })
      databaseOf = login => loginSettings(server, passwords, login)
      databaseOfOwner = ownerSettings(server, passwords)
      return server
    })
  }, report)
  const kafka = () => supervise({
    name: 'kafka',
    start: () => ports.bind(['kafka'], () => startKafka({
      cacheDir: options.kafkaCache,
      dataDir: dataDir.kafka,
      port: ports.of('kafka'),
      logFile: logs.pathOf('kafka'),
      log: createLogger('relay-stack', 'silent'), // the line above has said it
      signal
    }))
  }, report)
  const parts = await startTogether([
    ...isDatabaseOutside(environment) ? [] : [postgres],
    ...isKafkaOurs(choice) ? [kafka] : []
  ], started)
  return { parts, databaseOf, databaseOfOwner }
}
