/** Which event log the stack runs on, and why. */
import { RelayError } from 'relay-common'

import { findJava, type FoundJava } from './kafka.ts'

export type EventLogChoice =
  | { readonly kind: 'kafka', readonly outside: string, readonly why: string }
  | { readonly kind: 'kafka', readonly outside?: undefined, readonly why: string, readonly isInstalled: boolean }
  | { readonly kind: 'postgres', readonly why: string }

export interface EventLogWish {
  /** what `--event-log` says, if anything */
  readonly asked?: 'kafka' | 'postgres'
  /** KAFKA_BOOTSTRAP_SERVERS */
  readonly bootstrapServers?: string
}

/**
 * Chooses the event log: what was asked for; else Kafka where one is named or can run here; else PostgreSQL.
 * @param lookForJava called only where the answer depends on it
 * @throws RelayError RELAY_CONFIG_INVALID where Kafka is asked for and can't run here
 */
export async function chooseEventLog (
  { asked, bootstrapServers }: EventLogWish, lookForJava: () => Promise<FoundJava>
): Promise<EventLogChoice> {
  if (asked === 'postgres') return { kind: 'postgres', why: 'as asked for' }
  if (bootstrapServers) return { kind: 'kafka', outside: bootstrapServers, why: 'named by KAFKA_BOOTSTRAP_SERVERS' }

  const java = await lookForJava()
  if (java.kind === 'found') {
    const here = `Java ${java.version} is here, and ${java.isInstalled ? 'so are the jars' : 'Maven for the jars'}`
    return { kind: 'kafka', why: asked ? 'as asked for' : here, isInstalled: java.isInstalled }
  }
  if (asked === 'kafka') {
    throw new RelayError('RELAY_CONFIG_INVALID',
      `a local Kafka needs ${java.what}; install that, set KAFKA_BOOTSTRAP_SERVERS, or use --event-log postgres`)
  }
  return { kind: 'postgres', why: `Kafka would need ${java.what}` }
}

/** The choice for this machine. @param cacheDir where Kafka's jars may lie already */
export async function chooseEventLogHere (wish: EventLogWish, cacheDir: string): Promise<EventLogChoice> {
  return await chooseEventLog(wish, () => findJava(cacheDir))
}

/** Whether the stack has a Kafka of its own to start. */
export function isKafkaOurs (choice: EventLogChoice): boolean {
  return choice.kind === 'kafka' && choice.outside === undefined
}

/** The choice in a line, for people. */
export function describeChoice (choice: EventLogChoice): string {
  if (choice.kind === 'postgres') return `Event log: PostgreSQL (${choice.why})`
  if (choice.outside !== undefined) return `Event log: Kafka at ${choice.outside} (${choice.why})`
  return `Event log: Kafka (${choice.why})` + (choice.isInstalled ? '' : '\nFetching its jars with Maven, 55 MB, once')
}
