/**
 * Chooses the event log of the stack. A data folder keeps the one that it started with, because unread events of
 * another would be invisible.
 */
import { createLogger, RelayError } from 'relay-common'

import { findJava, installKafka, type FoundJava } from './kafka.ts'

/** Locations of events, as stored in a data folder. */
export const eventLogPlaces = ['postgres', 'kafka', 'kafka elsewhere'] as const
export type EventLogPlace = typeof eventLogPlaces[number]

export type EventLogChoice =
  | { readonly kind: 'kafka', readonly outside: string, readonly why: string }
  | { readonly kind: 'kafka', readonly outside?: undefined, readonly why: string, readonly isInstalled: boolean }
  | { readonly kind: 'postgres', readonly why: string }

export interface EventLogWish {
  /** value of `--event-log`, if given */
  readonly asked?: 'kafka' | 'postgres'
  /** KAFKA_BOOTSTRAP_SERVERS */
  readonly bootstrapServers?: string
  /** location of the events of the data folder; undefined: none */
  readonly before?: EventLogPlace
  /** a change is allowed: events that are only in the old log are given up */
  readonly isMove?: boolean
}

/**
 * Chooses the event log: the requested one; else that of the data folder; else Kafka if one is configured or can run
 * here; else PostgreSQL.
 * @param lookForJava called only if the result depends on it
 * @throws RelayError RELAY_CONFIG_INVALID if Kafka is requested and can't run here, or the events are in another log
 */
export async function chooseEventLog (
  { asked, bootstrapServers, before, isMove = false }: EventLogWish, lookForJava: () => Promise<FoundJava>
): Promise<EventLogChoice> {
  const named = asked === 'postgres' ? 'postgres' : bootstrapServers ? 'kafka elsewhere' : asked
  if (before !== undefined && !isMove && named !== undefined && named !== before) throw refused(before, named)
  const place = named ?? (isMove ? undefined : before)
  const asBefore = named === undefined && place !== undefined

  if (place === 'postgres') return { kind: 'postgres', why: asBefore ? 'as before' : 'as asked for' }
  if (place === 'kafka elsewhere') {
    if (!bootstrapServers) throw refused(place, undefined)
    return { kind: 'kafka', outside: bootstrapServers, why: 'named by KAFKA_BOOTSTRAP_SERVERS' }
  }
  const java = await lookForJava()
  if (java.kind === 'found') {
    const here = `found Java ${java.version} and ${java.isInstalled ? 'the jars' : 'Maven to fetch the jars'}`
    return { kind: 'kafka', why: asBefore ? 'as before' : place ? 'as asked for' : here, isInstalled: java.isInstalled }
  }
  if (asBefore) throw refused('kafka', undefined, `; it needs ${java.what}`)
  if (place === 'kafka') {
    throw new RelayError('RELAY_CONFIG_INVALID',
      `a local Kafka needs ${java.what}; install that, set KAFKA_BOOTSTRAP_SERVERS, or use --event-log postgres`)
  }
  return { kind: 'postgres', why: `Kafka would need ${java.what}` }
}

const placeNames: Record<EventLogPlace, string> = {
  postgres: 'PostgreSQL', kafka: 'the Kafka of npm start', 'kafka elsewhere': 'a Kafka of your own'
}
const waysBack: Record<EventLogPlace, string> = {
  postgres: 'start with --event-log postgres',
  kafka: 'start with --event-log kafka, and without KAFKA_BOOTSTRAP_SERVERS',
  'kafka elsewhere': 'set KAFKA_BOOTSTRAP_SERVERS'
}

function refused (before: EventLogPlace, named: EventLogPlace | undefined, why = ''): RelayError {
  const other = named === undefined ? '' : `, not in ${placeNames[named]}`
  return new RelayError('RELAY_CONFIG_INVALID', `the events of this data folder are in ${placeNames[before]}${other}${why}\n` +
    `  to continue:  ${waysBack[before]}\n` +
    '  to move:      run until `npm run relay -- lag` shows no lag, stop, and start once with --move-event-log:\n' +
    '                rollups stay; events only in the old log are not read again, and verify reports them as ' +
      'unexpected\n' +
    '  to restart:   use another folder with --data-dir, or delete this one with --fresh')
}

/**
 * The choice for this machine, including the download of Kafka's jars if needed. If that fails, and Kafka was not
 * requested, it is PostgreSQL.
 * @param cacheDir folder of the jars
 * @param say receives a line for people, because a download takes a while
 * @throws RelayError like `chooseEventLog`; RELAY_CONFIG_INVALID if the jars are unavailable
 */
export async function settleEventLog (
  wish: EventLogWish, cacheDir: string, say: (line: string) => void, signal: AbortSignal
): Promise<EventLogChoice> {
  const choice = await chooseEventLog(wish, () => findJava(cacheDir))
  if (choice.kind !== 'kafka' || choice.outside !== undefined || choice.isInstalled) return choice
  say('Fetching the jars of Kafka with Maven (55 MB, only once)')
  try {
    await installKafka(cacheDir, createLogger('relay-stack', 'silent'), signal)
    return { ...choice, isInstalled: true }
  } catch (error) {
    if (signal.aborted) throw error
    if (wish.asked || wish.before === 'kafka') {
      throw new RelayError(
        'RELAY_CONFIG_INVALID', `${(error as Error).message}; or use --event-log postgres`, { cause: error }
      )
    }
    return { kind: 'postgres', why: (error as Error).message }
  }
}

/** The location that a data folder stores for a choice. */
export function placeOf (choice: EventLogChoice): EventLogPlace {
  if (choice.kind === 'postgres') return 'postgres'
  return choice.outside === undefined ? 'kafka' : 'kafka elsewhere'
}

/** Whether the stack starts its own Kafka. */
export function isKafkaOurs (choice: EventLogChoice): boolean {
  return placeOf(choice) === 'kafka'
}

/** The choice in one line, for people. */
export function describeChoice (choice: EventLogChoice): string {
  if (choice.kind === 'postgres') return `Event log: PostgreSQL (${choice.why})`
  if (choice.outside !== undefined) return `Event log: Kafka at ${choice.outside} (${choice.why})`
  return `Event log: Kafka (${choice.why})`
}
