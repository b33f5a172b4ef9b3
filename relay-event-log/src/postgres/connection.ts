/** Connections of the PostgreSQL log: which errors are temporary, and how to listen. */
import { type Database, isConnectionError, type PoolClient, RelayError, within } from 'relay-common'

/**
 * SQLSTATE classes and codes after which a retry may succeed: connection, transaction timeout, deadlock, resources,
 * lock not available, operator intervention.
 */
const PASSING = /^(08|25P0|40|53|55P03|57)/

/** a disconnected server sends nothing at all */
const LISTEN_TIMEOUT_MS = 5_000

/** Whether PostgreSQL is unavailable now, in contrast to a refused statement. */
export function isPassing (error: unknown): boolean {
  if (error instanceof RelayError) return error.retry
  const { code = '', name = '' } = error as { code?: string, name?: string }
  return isConnectionError(error) || name === 'TimeoutError' || name === 'AbortError' || PASSING.test(code)
}

/** The message for a log line, without the stack. */
export function describeError (error: unknown): string {
  const { message, code } = error as { message?: string, code?: string }
  return [message ?? String(error), code].filter(it => it).join(' ')
}

/** Converts an error of the database to one for users of the log. */
export function explain (error: unknown, description: string): unknown {
  if (!isPassing(error)) return error
  return new RelayError('RELAY_EVENT_LOG_UNREACHABLE',
    `the event log does not answer (${description}): ${describeError(error)}`, { cause: error })
}

export function topicMissing (topic: string, description: string): RelayError {
  return new RelayError('RELAY_TOPIC_MISSING',
    `no topic ${topic} (${description}); the processor creates it at start`)
}

/** Name of the channel that announces appends (an empty payload) and changes of a group (its name). */
export function channelOf (topicId: string): string {
  return `event_log:${topicId}`
}

/**
 * Opens a connection that listens to a topic.
 * @param hear gets the payload
 * @param lost is called when the connection ends: nothing is heard any more
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
