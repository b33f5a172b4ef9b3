/** The database and the event log of a command, from the environment. */
import { createLogger, openDatabase, RelayError, splitList, type Database } from 'relay-common'
import { openEventLog, type EventLog, type Topic } from 'relay-event-log'
import { levels, type EventRules } from 'relay-rollups'

import { readCliConfig, type CliConfig } from './config.ts'

export interface SiteDatabase extends AsyncDisposable {
  readonly config: CliConfig
  readonly database: Database
}

export interface Site extends SiteDatabase {
  readonly eventLog: EventLog
}

const log = createLogger('relay-cli', 'silent') // errors are reported in one line at the end

/**
 * Opens the database without migrating or creating anything.
 * @throws RelayError RELAY_DATABASE_UNREACHABLE
 */
export async function openSiteDatabase (): Promise<SiteDatabase> {
  const config = readCliConfig()
  await using opened = new AsyncDisposableStack()
  const database = opened.adopt(await openDatabase(config, 'relay-cli', log), it => it.close())
  const [{ migrated }] = await database.query<{ migrated: boolean }>(
    "select to_regclass('progress') is not null as migrated"
  )
  if (!migrated) {
    throw new RelayError(
      'RELAY_DATABASE_UNREACHABLE',
      'the database has no tables of Relay; start a processor on it or run `relay migrate`'
    )
  }
  const all = opened.move()
  return { config, database, [Symbol.asyncDispose]: () => all.disposeAsync() }
}

/**
 * Opens the database and the event log without changing them.
 * @throws RelayError if one is unreachable, or the database was filled from another log
 */
export async function openSite (): Promise<Site> {
  await using opened = new AsyncDisposableStack()
  const { config, database } = opened.use(await openSiteDatabase())
  const eventLog = opened.adopt(await openEventLog(config, database, log), it => it.close())
  await checkKind(database, eventLog, config.EVENTS_TOPIC)
  const all = opened.move()
  return { config, database, eventLog, [Symbol.asyncDispose]: () => all.disposeAsync() }
}

async function checkKind (database: Database, { kind }: EventLog, topic: string): Promise<void> {
  const kinds = await database.query<{ event_log: string }>(
    'select distinct event_log from progress where topic = $1', [topic]
  )
  if (kinds.length === 0 || kinds.some(it => it.event_log === kind)) return
  throw new RelayError('RELAY_CONFIG_INVALID', kind === 'postgres'
    ? `${topic} was read from Kafka: set KAFKA_BOOTSTRAP_SERVERS (the local stack's is 127.0.0.1:9092)`
    : `${topic} was read from PostgreSQL: unset KAFKA_BOOTSTRAP_SERVERS, or set EVENT_LOG=postgres`)
}

/** @throws RelayError RELAY_TOPIC_MISSING */
export async function topicOf ({ eventLog }: Site, name: string): Promise<Topic> {
  const topic = await eventLog.describeTopic(name)
  if (!topic) {
    throw new RelayError('RELAY_TOPIC_MISSING', `no topic ${name} (${eventLog.description}); check EVENTS_TOPIC`)
  }
  return topic
}

export function rulesOf (config: CliConfig): EventRules & { readonly isKeyChecked: boolean } {
  return {
    deviceTypes: new Set(splitList(config.DEVICE_TYPES)),
    futureMaxMs: config.FUTURE_MAX_MS,
    isKeyChecked: config.KEY_POLICY === 'reject'
  }
}

/** How rollups of the events are recomputed on this site. */
export async function rebuildSettingsOf ({ config, database }: Site) {
  return {
    topic: config.EVENTS_TOPIC,
    deadLettersTopic: config.DEAD_LETTERS_TOPIC,
    rules: rulesOf(config),
    readingsPerRowMax: config.READINGS_PER_ROW_MAX,
    keepDuplicates: config.KEEP_DUPLICATES,
    seriesInMemoryMax: config.SERIES_IN_MEMORY_MAX,
    keepMs: await readKeepMs(database)
  }
}

/** Retention by index of the level, in ms; Infinity: forever. */
export async function readKeepMs (database: Database): Promise<number[]> {
  const rows = await database.query<{ name: string, keep_ms: number | null }>(
    'select name, (extract(epoch from retention) * 1000)::double precision as keep_ms from rollup_levels')
  return levels.map(level => rows.find(it => it.name === level.name)?.keep_ms ?? Infinity)
}
