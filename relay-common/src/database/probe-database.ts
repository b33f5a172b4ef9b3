/**
 * Checks whether a database answers, on a separate connection. That costs a server almost nothing, so a busy one
 * answers too.
 */
import { Client } from 'pg'

import { connectionOptions, type DatabaseSettings } from './connection-settings.ts'

export interface DatabaseProbe {
  /**
   * @param signal ends the wait
   * @param isFresh use a new connection: a server may serve existing ones and accept no others
   * @throws if the database is unreachable, or the signal came first
   */
  ask (signal: AbortSignal, isFresh?: boolean): Promise<void>
  close (): void
}

/** PostgreSQL starts, stops or recovers: https://www.postgresql.org/docs/current/errcodes-appendix.html */
const NOT_NOW = new Set(['57P01', '57P02', '57P03'])

/** @param program shown in the server's list of sessions */
export function createDatabaseProbe (settings: DatabaseSettings, program: string): DatabaseProbe {
  let kept: Client | undefined
  let isClosed = false
  /** connections that are not open yet, and the reused one */
  const clients = new Set<Client>()
  const drop = (client: Client) => {
    clients.delete(client)
    if (kept === client) kept = undefined
    destroy(client)
  }

  const open = async () => {
    const client = new Client({ ...connectionOptions(settings), application_name: `${program}-probe` })
    client.on('error', () => drop(client))
    clients.add(client)
    try {
      await client.connect()
      return client
    } catch (error) {
      drop(client)
      throw error
    }
  }
  const askOn = async (known: Client | undefined) => {
    const client = known ?? await open()
    await client.query('select 1')
    if (kept && kept !== client) drop(kept)
    if (clients.has(client)) kept = client
  }
  return {
    async ask (signal, isFresh = false) {
      signal.throwIfAborted()
      if (isClosed) return
      const { promise: givenUp, reject } = Promise.withResolvers<never>()
      const giveUp = () => reject(signal.reason)
      signal.addEventListener('abort', giveUp, { once: true })
      try {
        await Promise.race([askOn(isFresh ? undefined : kept), givenUp])
      } catch (error) {
        for (const client of clients) drop(client)
        if (!isRefusal(error)) throw error
      } finally {
        signal.removeEventListener('abort', giveUp)
      }
    },
    close () {
      isClosed = true
      for (const client of clients) drop(client)
    }
  }
}

/** A server that refuses, for example with too many clients, is up. */
function isRefusal (error: unknown): boolean {
  const { code = '' } = error as { code?: string }
  return /^[0-9A-Z]{5}$/.test(code) && !code.startsWith('08') && !NOT_NOW.has(code)
}

/** A hanging server would not process a regular close. */
function destroy (client: Client): void {
  const { stream } = (client as unknown as { connection: { stream: { destroy (): void } } }).connection
  stream.destroy()
}
