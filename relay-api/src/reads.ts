/**
 * Where answers are read: on the replica of DATABASE_REPLICA_URL, while it is up and not too far behind; else on the
 * primary.
 *
 * How far behind is measured by what it has, not by what it says: once a second we note where the primary's log of
 * changes is; a replica that has replayed up to such a note is no older than the note. So a replica that has lost its
 * primary, which believes that it has everything, is found out too. While the primary can't be asked, a replica that
 * has all that we know of goes on answering.
 *
 * Such places in the log are of one history of the database. A replica that has another one than the primary follows what
 * was there before a restore, or has not heard of it yet, and is not asked.
 */
import { setTimeout as delay } from 'node:timers/promises'

import { databaseFor, Gauge, openDatabase, type Database, type Logger, type Registry } from 'relay-common'

import type { ApiConfig } from './config.ts'
import { CURRENT_HISTORY, type DatabaseHistory } from './database-history.ts'
import { guardDatabase, isAway } from './guarded-database.ts'
import type { Asker } from './query/asker.ts'
import type { AttainedService } from './query/attained-service.ts'
import { createShares, fairShare, type Shares } from './query/fair-share.ts'
import { tellNotWhole } from './query/granted.ts'
import { onceATurn } from './query/once-a-turn.ts'
import { createTotalReader, type TotalReader } from './query/read-total.ts'
import { createRetryBudget, repeatReads } from './query/repeat-reads.ts'

export interface ReadSource {
  readonly database: Database
  /** what is known of its rollups */
  readonly totals: TotalReader
  /** for whom both of them read */
  readonly asker: Asker
  /** what was committed on the primary so long ago is there */
  readonly lagMs: number
}

export interface Reads {
  /** The primary, for answers that must be of the newest. */
  choosePrimary (asker: Asker): ReadSource
  /** Where all of one answer is to be read. A replica that goes meanwhile is replaced by the primary. */
  choose (asker: Asker): ReadSource
  close (): Promise<void>
}

const WATCH_INTERVAL_MS = 1_000
/** Notes of the primary's log: as many as the longest lag that may be allowed needs, a minute. */
const NOTES_MAX = 60

/** @param history of the primary */
export function openReads (
  config: ApiConfig, primary: Database, history: DatabaseHistory, service: AttainedService, metrics: Registry, log: Logger
): Reads {
  const { DATABASE_REPLICA_URL: replicaUrl, DATABASE_REPLICA_LAG_MAX_MS: lagMaxMs } = config
  const cacheBytes = config.ROLLUP_CACHE_MB * 2 ** 20 / (replicaUrl === undefined ? 1 : 2) // each has a moment of its own
  const retries = createRetryBudget(metrics)
  const sharesOf = new Map<string, Shares>()
  const sourceOf = (server: string, database: Database, history?: DatabaseHistory): Shared => {
    const shares = createShares(config, service)
    sharesOf.set(server, shares)
    const shared = tellNotWhole(fairShare(repeatReads(database, retries), shares, service))
    return { database: onceATurn(shared), totals: createTotalReader(shared, cacheBytes, history) }
  }
  const onPrimary = sourceOf('database', primary, history)
  new Gauge({ // eslint-disable-line no-new
    name: 'relay_api_statements_waiting',
    help: 'Statements waiting for their caller\'s share of connections, by server',
    labelNames: ['server'],
    registers: [metrics],
    collect () { for (const [server, { waiting }] of sharesOf) this.set({ server }, waiting) }
  })
  const choosePrimary = (asker: Asker): ReadSource => sourceFor(onPrimary, asker, 0)
  if (replicaUrl === undefined) return { choosePrimary, choose: choosePrimary, close: async () => {} }

  const closing = new AbortController()
  const replicaConfig = { ...config, DATABASE_URL: replicaUrl }
  let replica: Database | undefined
  let facade: Shared | undefined
  let notes: Note[] = []
  let current: { readonly asOfMs: number, readonly hasAll: boolean } | undefined
  let isPrimaryUp = true
  let historyId: string | undefined

  const lagMs = () => current === undefined ? Infinity : Date.now() - current.asOfMs
  const isUsable = () => lagMs() <= lagMaxMs || (!isPrimaryUp && current?.hasAll === true)
  const giveUp = () => { current = undefined }

  const watchOnce = async () => {
    const atMs = Date.now()
    try {
      const [{ at, history_id: found }] = await primary.query<{ at: string, history_id: string | null }>(`
        select (pg_current_wal_lsn() - '0/0')::text as at, ${CURRENT_HISTORY} as history_id`)
      history.note(found)
      if (found !== historyId) notes = []
      historyId = found ?? undefined
      notes = [...notes.slice(1 - NOTES_MAX), { atMs, position: BigInt(at) }]
      isPrimaryUp = true
    } catch (error) {
      if (!isAway(error)) throw error
      isPrimaryUp = false
    }
    if (replica === undefined) {
      const opened = await openDatabase(replicaConfig, 'relay-api', log, { plans: 'by-key', measured: { metrics, server: 'replica' }, sessions: 'any' })
      replica = guardDatabase(opened, { server: 'replica', config: replicaConfig, metrics, log })
      facade = sourceOf('replica', withFallback(replica, primary, giveUp))
    }
    const [{ at, history_id: followed }] = await replica.query<{ at: string, history_id: string | null }>(`
      select ((case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end)
        - '0/0')::text as at, ${CURRENT_HISTORY} as history_id`)
    const reached = followed === historyId ? notes.findLast(it => it.position <= BigInt(at)) : undefined
    current = reached && { asOfMs: reached.atMs, hasAll: reached === notes.at(-1) }
  }

  const watch = async () => {
    let wasUsable: boolean | undefined
    while (!closing.signal.aborted) {
      try {
        await watchOnce()
      } catch (error) {
        giveUp()
        log.debug({ err: error }, 'could not query the replica')
      }
      if (isUsable() !== wasUsable) {
        wasUsable = isUsable()
        if (wasUsable) log.info({ lagMs: lagMs() }, 'reads now go to the replica')
        else log.warn({ lagMaxMs }, 'the replica is unreachable or lags too much: reads now go to the primary')
      }
      await delay(WATCH_INTERVAL_MS, undefined, { signal: closing.signal }).catch(() => {})
    }
  }
  const watching = watch()

  new Gauge({ // eslint-disable-line no-new
    name: 'relay_api_replica_lag_seconds',
    help: 'Lag of the replica behind the primary; infinite: the replica is unreachable',
    registers: [metrics],
    collect () { this.set(lagMs() / 1000) }
  })
  return {
    choosePrimary,
    choose: asker => facade && isUsable() ? sourceFor(facade, asker, lagMs()) : choosePrimary(asker),
    async close () {
      closing.abort()
      await watching
      await replica?.close()
    }
  }
}

/** What those who read on one server share. */
interface Shared {
  readonly database: Database
  readonly totals: TotalReader
}

function sourceFor ({ database, totals }: Shared, asker: Asker, lagMs: number): ReadSource {
  const own = databaseFor(database, asker)
  return {
    database: {
      ...own,
      streamPrepared: (name, sql, values, visit) => own.streamPrepared(name, sql, values, row => {
        asker.countRead(1)
        visit(row)
      })
    },
    totals: {
      readTotal: (selection, range, nowMs) => totals.readTotal(selection, range, nowMs, asker),
      readTotals: (selection, plans, nowMs, marksLate) => totals.readTotals(selection, plans, nowMs, marksLate, asker)
    },
    asker,
    lagMs
  }
}

/** Where the primary's log of changes was, at a time. */
interface Note {
  readonly atMs: number
  readonly position: bigint
}

/** A database that reads on the replica, and on the primary what the replica can't be asked any more. */
function withFallback (replica: Database, primary: Database, onAway: () => void): Database {
  const either = async <T>(read: (database: Database) => Promise<T>, mayAgain: () => boolean = () => true) => {
    try {
      return await read(replica)
    } catch (error) {
      // 40001: a row that we read was removed by the primary, and the replica would not wait for us any longer
      const isConflict = (error as { code?: string }).code === '40001'
      if (!isAway(error) && !isConflict) throw error
      if (!isConflict) onAway()
      if (!mayAgain()) throw error
      return await read(primary)
    }
  }
  return {
    ...primary,
    query: (sql, values, whom) => either(it => it.query(sql, values, whom)),
    queryPrepared: (name, sql, values, whom) => either(it => it.queryPrepared(name, sql, values, whom)),
    streamPrepared (name, sql, values, visit, whom) {
      let visited = 0
      return either(it => it.streamPrepared(name, sql, values, row => {
        visited++
        visit(row)
      }, whom), () => visited === 0) // what was shown once can't be taken back
    }
  }
}
