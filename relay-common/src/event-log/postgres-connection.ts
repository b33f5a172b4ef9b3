/** What the parts of the PostgreSQL log know about its connections: which errors time may heal, and how to listen. */
import { isConnectionError, type Database, type PoolClient } from '../database.ts'
import { RelayError } from '../errors.ts'
import { within } from '../within.ts'

/**
 * Classes and codes of SQLSTATE after which the same work may succeed: connection, transaction ended by a timeout,
 * deadlock, resources, lock not available, operator's intervention.
 */
const PASSING = /^(08|25P0|40|53|55P03|57)/

/** a server that was cut off says nothing at all */
const LISTEN_TIMEOUT_MS = 5_000

/** Whether an error says that PostgreSQL can't be had now, rather than that it refused the statement. */
export function isPassing (error: unknown): boolean {
  if (error instanceof RelayError) return error.retry
  const { code = '', name = '' } = error as { code?: string, name?: string }
  return isConnectionError(error) || name === 'TimeoutError' || name === 'AbortError' || PASSING.test(code)
}

/** For a log line: what went wrong, without the stack. */
export function describeError (error: unknown): string {
  const { message, code } = error as { message?: string, code?: string }
  return [message ?? String(error), code].filter(it => it).join(' ')
}

/** The error that a user of the log gets for one of the database. */
export function explain (error: unknown, description: string): unknown {
  if (!isPassing(error)) return error
  return new RelayError('RELAY_EVENT_LOG_UNREACHABLE',
    `the event log does not answer (${description}): ${describeError(error)}`, { cause: error })
}

export function topicMissing (topic: string, description: string): RelayError {
  return new RelayError('RELAY_TOPIC_MISSING',
    `no topic ${topic} (${description}); the processor creates it at start`)
}

/** Name of the channel on which appends (an empty payload) and changes of a group (its name) are told. */
export function channelOf (topicId: string): string {
  return `event_log:${topicId}`
}

/**
 * A connection of one's own that hears what happens to a topic.
 * @param hear gets the payload
 * @param lost is told when the connection goes: nothing is heard any more
 */
export async function listen (
  database: Database, topicId: string, hear: (payload: string) => void, lost: () => void
): Promise<PoolClient> {
  const client = await database.connect()
  client.on('notification', ({ payload }) => hear(payload ?? ''))
  client.once('error', lost)
  try {
    await within(LISTEN_TIMEOUT_MS, client.query(`listen "${channelOf(topicId)}"`))
    return client
  } catch (error) {
    client.release(true)
    throw error
  }
}
