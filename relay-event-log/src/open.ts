import { type Database, type DatabaseSettings, type Logger, readTls, RelayError, splitList } from 'relay-common'
import { loadKafkaLibrary } from './kafka/library.ts'
import type { GroupProtocol, KafkaLogin, KafkaSettings } from './kafka/client.ts'
import type { EventLog } from './port.ts'
import { openPostgresEventLog } from './postgres/postgres.ts'

/** Address of the event log: `eventLogSettings`, and `databaseSettings` for a log in PostgreSQL. */
export interface EventLogConfig extends Partial<DatabaseSettings> {
  readonly EVENT_LOG?: string
  readonly KAFKA_BOOTSTRAP_SERVERS?: string
  readonly KAFKA_TLS?: boolean
  readonly KAFKA_TLS_CA_FILE?: string
  readonly KAFKA_TLS_CERT_FILE?: string
  readonly KAFKA_TLS_KEY_FILE?: string
  readonly KAFKA_SASL_MECHANISM?: string
  readonly KAFKA_SASL_USERNAME?: string
  readonly KAFKA_SASL_PASSWORD?: string
  readonly KAFKA_GROUP_PROTOCOL?: string
}

/** Which event log a program uses: the configured one, else Kafka if its servers are configured. */
export function eventLogKind (config: EventLogConfig): EventLog['kind'] {
  if (config.EVENT_LOG === 'kafka' || config.EVENT_LOG === 'postgres') return config.EVENT_LOG
  return config.KAFKA_BOOTSTRAP_SERVERS ? 'kafka' : 'postgres'
}

/**
 * Opens an event log on Kafka. Its client is loaded here, because that takes a third of a second of CPU, which programs
 * without Kafka save.
 * @throws RelayError RELAY_EVENT_LOG_UNREACHABLE
 */
export async function openKafkaEventLog (settings: KafkaSettings, log: Logger): Promise<EventLog> {
  loadKafkaLibrary()
  const kafka = await import('./kafka/kafka.ts')
  return await kafka.openKafkaEventLog(settings, log)
}

/**
 * Opens the configured event log.
 * @param database migrated; only for a log in PostgreSQL
 * @param log the name of the program identifies us in Kafka's logs and quotas
 * @throws RelayError RELAY_CONFIG_INVALID, RELAY_EVENT_LOG_UNREACHABLE
 */
export async function openEventLog (
  config: EventLogConfig, database: Database | undefined, log: Logger
): Promise<EventLog> {
  if (eventLogKind(config) === 'kafka') {
    const bootstrapServers = splitList(config.KAFKA_BOOTSTRAP_SERVERS ?? '')
    if (bootstrapServers.length === 0) {
      throw new RelayError('RELAY_CONFIG_INVALID',
        'the event log is Kafka: set KAFKA_BOOTSTRAP_SERVERS')
    }
    const groupProtocol = config.KAFKA_GROUP_PROTOCOL as GroupProtocol | undefined
    const clientId = log.bindings().name ?? 'relay'
    return openKafkaEventLog({ bootstrapServers, clientId, ...securityOf(config), groupProtocol }, log)
  }
  if (!database) {
    throw new RelayError('RELAY_CONFIG_INVALID', 'an event log in PostgreSQL needs a database')
  }
  return openPostgresEventLog(database, config as DatabaseSettings, log)
}

function securityOf (config: EventLogConfig): Pick<KafkaSettings, 'tls' | 'sasl'> {
  const { KAFKA_TLS_CA_FILE: ca, KAFKA_TLS_CERT_FILE: cert, KAFKA_TLS_KEY_FILE: key } = config
  const {
    KAFKA_SASL_MECHANISM: mechanism, KAFKA_SASL_USERNAME: username = '', KAFKA_SASL_PASSWORD: password = ''
  } = config
  return {
    ...(config.KAFKA_TLS ? { tls: readTls('KAFKA_TLS', { ca, cert, key }) } : {}),
    ...(mechanism ? { sasl: { mechanism: mechanism as KafkaLogin['mechanism'], username, password } } : {})
  }
}
