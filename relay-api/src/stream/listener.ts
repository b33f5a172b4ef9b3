/**
 * Listens to commits of rollups, on its own connection, which is reopened whenever it is lost. A notification only
 * wakes the reader; a missed one costs time, because the tables are also polled.
 */
import { setTimeout as delay } from 'node:timers/promises'

import type { Database, Logger, PoolClient } from 'relay-common'

export interface Listener {
  close (): Promise<void>
}

const RECONNECT_DELAY_MS = 1_000

/** @param heard called for each notification, and whenever some may have been missed */
export function startListener (database: Database, heard: () => void, log: Logger): Listener {
  const closing = new AbortController()
  const { signal } = closing

  const listen = async () => {
    const client = await database.connect()
    try {
      if (signal.aborted) return
      const lost = lossOf(client, signal)
      client.on('notification', heard)
      await client.query('listen rollup_commits')
      heard()
      await lost
    } finally {
      client.release(true)
    }
  }

  const run = async () => {
    while (!signal.aborted) {
      try {
        await listen()
        if (!signal.aborted) log.warn('lost the connection that listens for commits; reconnecting')
      } catch (error) {
        log.warn({ err: error }, 'could not listen for commits; retrying')
      }
      await delay(RECONNECT_DELAY_MS, undefined, { signal }).catch(() => {})
    }
  }
  const done = run()
  return {
    async close () {
      closing.abort()
      await done
    }
  }
}

/** Resolves when the connection is lost, or no longer wanted. */
function lossOf (client: PoolClient, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    for (const event of ['error', 'end']) client.once(event, () => resolve())
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
