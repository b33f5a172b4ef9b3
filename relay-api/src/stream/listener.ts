/**
 * Hears of commits of rollups, on a connection of its own that is opened again whenever it is lost. A notification only
 * wakes: one that was missed costs time, for the tables are looked at from time to time anyway.
 */
import { setTimeout as delay } from 'node:timers/promises'

import type { Database, Logger, PoolClient } from 'relay-common'

export interface Listener {
  close (): Promise<void>
}

const RECONNECT_DELAY_MS = 1_000

/** @param heard is called for each notification, and whenever some may have been missed */
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

/** Resolves when the connection is gone, or not wanted any more. */
function lossOf (client: PoolClient, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    for (const event of ['error', 'end']) client.once(event, () => resolve())
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
