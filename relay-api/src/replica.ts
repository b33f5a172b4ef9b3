/**
 * Chooses the server of each answer: the replica of DATABASE_REPLICA_URL while it is up and its lag is small, else the
 * primary.
 *
 * Lag is computed from the WAL position that the replica has replayed, not from its own report. Once per second we note
 * the WAL position of the primary; a replica that has replayed a note is no older than the note. This also detects a
 * replica that lost its primary and believes that it is up to date. While the primary is unreachable, a replica that
 * has replayed the last note answers all queries.
 *
 * WAL positions belong to one history of the database. A replica of another history than the primary's is not used: it
 * follows the time before a restore, or has not received the new history yet.
 */
import { setTimeout as delay } from 'node:timers/promises'

import { databaseFor, Gauge, openDatabase, type Database, type Logger, type Registry } from 'relay-common'

import type { ApiConfig } from './config.ts'
import { CURRENT_HISTORY, type DatabaseHistory } from './database-history.ts'
import { guardDatabase, isAway } from './guarded-database.ts'
import type { Asker } from './sharing/asker.ts'
import type { AttainedService } from './sharing/heavy-callers.ts'
import { createShares, fairShare, type Shares } from './sharing/fair-share.ts'
import { reportChangedZones } from './query/granted.ts'
import { onceATurn } from './sharing/once-a-turn.ts'
import { createRetentionReader, type RetentionReader } from './query/kept-since.ts'
import { createTotalReader, type TotalReader } from './query/read-total.ts'
import type { KeptSince } from './query/plan.ts'
import { createRetryBudget, repeatReads } from './sharing/repeat-reads.ts'
import type { ComputeTurns } from './sharing/compute-turns.ts'

export interface ReadSource {
  readonly database: Database
  /** reads rollups, with a cache */
  readonly totals: TotalReader
  /** the caller of both */
  readonly asker: Asker
  /** commits of the primary that are older than this are visible */
  readonly lagMs: number
  /** identifies the server */
  readonly server: object
  /** Time from which the buckets of each level are surely kept; up to a second old. */
  readKeptSince (): Promise<KeptSince>
}

export interface Reads {
  /**
   * The primary, for answers that need the newest commits. While it is unreachable, a replica that has all known
   * commits.
   */
  choosePrimary (asker: Asker): ReadSource
  /** The server for a whole answer. If the replica fails meanwhile, the primary takes over. */
  choose (asker: Asker): ReadSource
  /** Whether the replica would answer if the primary were unreachable. */
  hasReplica (): boolean
  /**
   * How far the replica is behind the primary, ms; Infinity: it is unreachable.
   * @returns undefined: there is no replica
   */
  replicaLagMs (): number | undefined
  close (): Promise<void>
}

const WATCH_INTERVAL_MS = 1_000
/** Notes of the primary's WAL position: a minute, the longest lag that can be configured. */
const NOTES_MAX = 60

/** @param history of the primary */
export function openReads (
  config: ApiConfig, primary: Database, history: DatabaseHistory, service: AttainedService, turns: ComputeTurns,
  metrics: Registry, log: Logger
): Reads {
  const { DATABASE_REPLICA_URL: replicaUrl, DATABASE_REPLICA_LAG_MAX_MS: lagMaxMs } = config
  // primary and replica each have a cache
  const cacheBytes = config.ROLLUP_CACHE_MB * 2 ** 20 / (replicaUrl === undefined ? 1 : 2)
  const retries = createRetryBudget(metrics)
  const sharesOf = new Map<string, Shares>()
  const sourceOf = (server: string, database: Database, history?: DatabaseHistory): Shared => {
    const shares = createShares(config, service)
    sharesOf.set(server, shares)
    const shared = reportChangedZones(fairShare(repeatReads(database, retries), shares, service, turns))
    return {
      database: onceATurn(shared),
      totals: createTotalReader(shared, cacheBytes, history),
      retention: createRetentionReader()
    }
  }
  const onPrimary = sourceOf('database', primary, history)
  new Gauge({ // eslint-disable-line no-new
    name: 'relay_api_statements_waiting',
    help: 'Statements waiting for their caller\'s share of connections, by server',
    labelNames: ['server'],
    registers: [metrics],
    collect () { for (const [server, { waiting }] of sharesOf) this.set({ server }, waiting) }
  })
  const onlyPrimary = (asker: Asker): ReadSource => sourceFor(onPrimary, asker, 0)
  if (replicaUrl === undefined) {
    return {
      choosePrimary: onlyPrimary,
      choose: onlyPrimary,
      hasReplica: () => false,
      replicaLagMs: () => undefined,
      close: async () => {}
    }
  }

  const closing = new AbortController()
  const replicaConfig = { ...config, DATABASE_URL: replicaUrl }
  let replica: Database | undefined
  let facade: Shared | undefined
  let notes: Note[] = []
  let current: { readonly asOfMs: number, readonly hasAll: boolean } | undefined
  let isPrimaryUp = true
  let historyId: string | undefined

  const lagMs = () => current === undefined ? Infinity : performance.now() - current.asOfMs
  /** the primary is unreachable, and the replica takes its place */
  const isAlone = () => !isPrimaryUp && current?.hasAll === true
  const isUsable = () => lagMs() <= lagMaxMs || isAlone()
  const giveUp = () => { current = undefined }

  const watchOnce = async () => {
    const atMs = performance.now() // by a clock that is never set
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
      const opened = await openDatabase(
        replicaConfig, 'relay-api', log, { plans: 'by-key', measured: { metrics, server: 'replica' }, sessions: 'any' }
      )
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
    choosePrimary: asker => facade && isAlone() ? sourceFor(facade, asker, lagMs()) : onlyPrimary(asker),
    choose: asker => facade && isUsable() ? sourceFor(facade, asker, lagMs()) : onlyPrimary(asker),
    hasReplica: () => facade !== undefined && isUsable(),
    replicaLagMs: lagMs,
    async close () {
      closing.abort()
      await watching
      await replica?.close()
    }
  }
}

/** Shared by all readers of one server. */
interface Shared {
  readonly database: Database
  readonly totals: TotalReader
  readonly retention: RetentionReader
}

function sourceFor (server: Shared, asker: Asker, lagMs: number): ReadSource {
  const { database, totals, retention } = server
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
      readTotals: (selection, plans, nowMs, wanted) => totals.readTotals(selection, plans, nowMs, wanted, asker)
    },
    asker,
    lagMs,
    server,
    readKeptSince: () => retention.readKeptSince(own)
  }
}

/** WAL position of the primary at a time. */
interface Note {
  readonly atMs: number
  readonly position: bigint
}

/** A database that reads from the replica, and from the primary if the replica fails. */
function withFallback (replica: Database, primary: Database, onAway: () => void): Database {
  const either = async <T>(read: (database: Database) => Promise<T>, mayAgain: () => boolean = () => true) => {
    try {
      return await read(replica)
    } catch (error) {
      // 40001: the primary removed a row that we read, and the replica cancelled our query to replay that
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
      }, whom), () => visited === 0) // rows that were visited can't be taken back
    }
  }
}
