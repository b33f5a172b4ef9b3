/** Statements that a signal ends: they stop waiting for a connection, or are cancelled on the server (cancel.ts). */
import { setTimeout as delay } from 'node:timers/promises'

import type { PoolClient } from 'pg'

import { within } from '../within.ts'
import { cancelStatement } from './cancel.ts'
import { isConnectionError } from './database-errors.ts'

/** Time for the server to cancel a statement; a connection that is busy after that is dropped. */
const CANCEL_MAX_MS = 3_000
const CANCEL_AGAIN_MS = 100

/**
 * Runs a statement on a pooled connection until a signal ends it. The connection returns to the pool only if no
 * cancellation can still reach it, and is dropped otherwise.
 */
export async function withClientUntil<T> (
  signal: AbortSignal, connect: () => Promise<PoolClient>, work: (client: PoolClient) => Promise<T>
): Promise<T> {
  signal.throwIfAborted()
  const { promise: ended, resolve } = Promise.withResolvers<'ended'>()
  const onAbort = () => resolve('ended')
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    const connecting = connect()
    const client = await Promise.race([connecting, ended])
    if (client === 'ended') {
      connecting.then(it => it.release(), () => {}) // a pool has no way to leave its queue
      throw signal.reason
    }

    const running = work(client)
    const outcome = running.then(() => undefined, (error: Error) => error)
    if (await Promise.race([outcome, ended]) !== 'ended') {
      const failure = await outcome
      client.release(failure && isConnectionError(failure))
      return await running
    }
    within(CANCEL_MAX_MS, cancelUntil(client, outcome)).then(
      failure => client.release(failure && isConnectionError(failure)),
      () => client.release(true))
    throw signal.reason
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

/** Cancels the running statement until it ends: a cancel request that arrives before the statement has no effect. */
async function cancelUntil<T> (client: PoolClient, outcome: Promise<T>): Promise<T> {
  for (const startedMs = performance.now(); ;) {
    if (performance.now() - startedMs > CANCEL_MAX_MS) return await outcome // the connection is dropped
    await cancelStatement(client, CANCEL_MAX_MS)
    const ended = await Promise.race([
      outcome.then(value => ({ value })), delay(CANCEL_AGAIN_MS, undefined, { ref: false })
    ])
    if (ended) return ended.value
  }
}
