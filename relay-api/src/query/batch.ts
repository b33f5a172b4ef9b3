/**
 * Batch: queries of one shape in the same turn of the event loop share a statement. Most of the cost of a short query
 * is overhead: a message to the server, a process that wakes up, an answer to parse. A busy API has several queries at
 * a time: five with ten clients, at half the CPU each.
 *
 *     query ──┐
 *     query ──┼─ same shape, same turn ──▶ one statement: a table q of queries, and for each the rows of its answer
 *     query ──┘
 *
 * A statement is cancelled when all its callers have left.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'

import type { Database } from 'relay-common'

import type { Asker } from '../sharing/asker.ts'
import { shareWork, type SharedWork } from '../sharing/shared-work.ts'

/** A SELECT with its own values. */
export interface BatchQuery {
  /** of the shape: equal names have equal `sql` */
  readonly name: string
  /** own values are columns of `q`: `q.p1`, `q.p2` …; values shared by a batch are `$1`, `$2` … */
  readonly sql: string
  readonly own: readonly OwnValue[]
  readonly shared: readonly unknown[]
  /** whether it is so short that others may wait for its rows */
  readonly isShort: boolean
  /** whether it waits behind others, whatever its answer */
  readonly isLong: boolean
}

export interface OwnValue {
  readonly value: unknown
  /** a PostgreSQL type, not an array */
  readonly type: string
}

export interface Batches {
  /**
   * Runs a query, and visits each row, as an array of its columns, while the next ones arrive.
   * @throws RelayError RELAY_DATABASE_UNREACHABLE, errors of `visit`, and the reason of the asker's signal
   */
  ask (query: BatchQuery, visit: (columns: unknown[]) => void, asker: Asker): Promise<void>
}

interface WaitingQuery {
  readonly own: readonly OwnValue[]
  readonly visit: (columns: unknown[]) => void
  readonly asker: Asker
  failure?: { readonly error: unknown }
}

interface OpenBatch {
  readonly waiting: WaitingQuery[]
  /** rejects for all of them if the statement fails */
  readonly answered: SharedWork<void>
}

/** With more, the first one waits longer for the last; ten give almost all of the savings. */
const BATCH_MAX = 50

export function createBatches (database: Pick<Database, 'streamPrepared'>): Batches {
  /** by shape, caller and shared values: batches that are not sent yet */
  const open = new Map<string, OpenBatch>()

  const begin = (key: string, query: BatchQuery): OpenBatch => {
    const waiting: WaitingQuery[] = []
    const batch: OpenBatch = {
      waiting,
      answered: shareWork(async signal => {
        await nextTurn()
        if (open.get(key) === batch) open.delete(key)
        await send(database, query, waiting, signal)
      })
    }
    if (query.isShort) open.set(key, batch)
    return batch
  }

  return {
    async ask (query, visit, asker) {
      asker.signal?.throwIfAborted()
      // each caller has its own batches, which wait for its own share of the connections; some have 2,000 ids of series
      const key = query.isShort ? `${query.name} ${JSON.stringify([asker.caller, query.shared])}` : ''
      const known = open.get(key)
      const batch = known === undefined || known.answered.isLeft ? begin(key, query) : known
      const waiting: WaitingQuery = { own: query.own, visit, asker }
      if (batch.waiting.push(waiting) === BATCH_MAX) open.delete(key)
      await batch.answered.join(asker.signal)
      if (waiting.failure) throw waiting.failure.error
    }
  }
}

const isWanted = ({ asker }: WaitingQuery) => asker.signal?.aborted !== true

async function send (
  database: Pick<Database, 'streamPrepared'>, { name, sql, own, shared, isLong }: BatchQuery,
  all: readonly WaitingQuery[],
  signal: AbortSignal
): Promise<void> {
  const waiting = all.filter(isWanted)
  if (waiting.length === 0) return
  const values = own.map((_, n) => waiting.map(it => it.own[n].value))
  // a subquery hides the number of values from the planner, so that one plan serves any number
  const columns = own.map(({ type }, n) => `(select $${shared.length + n + 1}::${type}[])`)
  const names = own.map((_, n) => `p${n + 1}`)
  await database.streamPrepared(name, `
    select a.*, q.n
    from unnest(${columns.join(', ')}) with ordinality as q (${names.join(', ')}, n)
    cross join lateral (${sql}) as a`, [...shared, ...values], columns => {
    const one = waiting[Number(columns.at(-1)) - 1]
    if (one.failure || one.asker.signal?.aborted) return
    one.asker.countRead(1)
    try {
      one.visit(columns)
    } catch (error) {
      one.failure = { error } // one failed answer does not fail the batch
    }
  }, {
    signal,
    caller: waiting[0].asker.caller,
    isLong: isLong || waiting[0].asker.isLong,
    pace: () => waiting.find(isWanted)?.asker.pace()
  })
}
