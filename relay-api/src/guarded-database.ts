/**
 * A database with a circuit breaker: if it stops answering, nobody waits for it. Pending statements end when the
 * breaker opens, and later ones fail at once, both with RELAY_DATABASE_UNREACHABLE.
 */
import {
  createDatabaseProbe, isConnectionError, RelayError, type Database, type DatabaseSettings, type ForWhom, type Logger,
  type PoolClient, type Registry
} from 'relay-common'

import { openBreaker } from './breaker.ts'

export interface GuardSettings {
  /** for people and as a label: `database` */
  readonly server: string
  readonly config: DatabaseSettings & { readonly DATABASE_BREAKER_MS: number }
  readonly metrics: Registry
  readonly log: Logger
}

/** @returns the same database; closing it closes the breaker, too */
export function guardDatabase (database: Database, { server, config, metrics, log }: GuardSettings): Database {
  const probe = createDatabaseProbe(config, 'relay-api')
  const breaker = openBreaker({ server, limitMs: config.DATABASE_BREAKER_MS, probe: probe.ask }, metrics, log)
  probe.ask(new AbortController().signal).catch(() => {}) // opens its connection while the server is healthy
  const unreachable = () => new RelayError('RELAY_DATABASE_UNREACHABLE',
    `the ${breaker.server} does not answer; requests resume after a successful probe`)

  const within = async <T>(
    run: (whom: ForWhom) => Promise<T>, whom: ForWhom | undefined, leave?: (late: T) => void
  ): Promise<T> => {
    if (breaker.isOpen) throw unreachable()
    const controller = new AbortController()
    const opened = Promise.withResolvers<never>()
    opened.promise.catch(() => {})
    using watched = breaker.watch(() => {
      const error = unreachable()
      controller.abort(error)
      opened.reject(error)
    })
    const asked = whom?.signal
    const onAbort = () => controller.abort(asked!.reason)
    if (asked?.aborted) onAbort()
    else asked?.addEventListener('abort', onAbort, { once: true })
    const running = run(forWhom(whom, controller.signal))
    try {
      const result = await Promise.race([running, opened.promise])
      watched.answered()
      return result
    } catch (error) {
      running.then(leave, () => {})
      if (isAway(error)) breaker.suspect()
      else if (!controller.signal.aborted) watched.answered() // a refusal is an answer
      throw error
    } finally {
      asked?.removeEventListener('abort', onAbort)
    }
  }
  return {
    query: (sql, values, whom) => within(it => database.query(sql, values, it), whom),
    queryPrepared: (name, sql, values, whom) => within(it => database.queryPrepared(name, sql, values, it), whom),
    streamPrepared: (name, sql, values, visit, whom) =>
      within(it => database.streamPrepared(name, sql, values, visit, it), whom),
    transaction: work => within(() => database.transaction(work), undefined),
    connect: () => within(() => database.connect(), undefined, (late: PoolClient) => late.release(true)),
    async close () {
      breaker.close()
      probe.close()
      await database.close()
    }
  }
}

/** `ForWhom` may have getters, and methods that need their own object. */
function forWhom (whom: ForWhom | undefined, signal: AbortSignal): ForWhom {
  if (!whom) return { signal }
  return {
    signal,
    ...whom.caller === undefined ? {} : { caller: whom.caller },
    ...whom.isLong === undefined ? {} : { isLong: whom.isLong },
    ...whom.pace ? { pace: () => whom.pace!() } : {}
  }
}

/** Whether an error means that the database was unreachable. */
export function isAway (error: unknown): boolean {
  return isConnectionError(error) || (error instanceof RelayError && error.code === 'RELAY_DATABASE_UNREACHABLE')
}
