/**
 * Batch: questions of one shape that come in the same turn of the event loop are one statement. Of a short one most is
 * what surrounds its few rows: a message to the server, a process that is woken, an answer that is taken apart. A busy
 * API has several at hand whenever it asks: with ten clients five, and half the CPU for each.
 *
 *     question ──┐
 *     question ──┼─ same shape, same turn ──▶ one statement: a table q of questions, and for each the rows of its answer
 *     question ──┘
 *
 * A statement is cancelled when all who share it have gone.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'

import type { Database } from 'relay-common'

import type { Asker } from './asker.ts'
import { shareWork, type SharedWork } from './shared-work.ts'

/** A SELECT, and what is its own beside others of its shape. */
export interface Question {
  /** of the shape: where it is the same, `sql` is */
  readonly name: string
  /** its own values are columns of `q`: `q.p1`, `q.p2` …; those that a whole batch has in common are `$1`, `$2` … */
  readonly sql: string
  readonly own: readonly OwnValue[]
  readonly shared: readonly unknown[]
  /** whether it is answered so soon that others may wait for its rows */
  readonly isShort: boolean
  /** whether it waits behind others, whatever the answer is that it is for */
  readonly isLong: boolean
}

export interface OwnValue {
  readonly value: unknown
  /** of PostgreSQL, and none that is an array */
  readonly type: string
}

export interface Batches {
  /**
   * Asks, and shows each row of the answer, as the array of its columns, while the next ones are on their way.
   * @throws RelayError RELAY_DATABASE_UNREACHABLE, what `visit` throws, and the reason of the asker's signal
   */
  ask (question: Question, visit: (columns: unknown[]) => void, asker: Asker): Promise<void>
}

interface Asked {
  readonly own: readonly OwnValue[]
  readonly visit: (columns: unknown[]) => void
  readonly asker: Asker
  failure?: { readonly error: unknown }
}

interface Batch {
  readonly asked: Asked[]
  /** rejects where the statement fails, for all of them */
  readonly answered: SharedWork<void>
}

/** The more there are, the longer the first one waits for the last; what is saved is nearly all saved with ten. */
const BATCH_MAX = 50

export function createBatches (database: Pick<Database, 'streamPrepared'>): Batches {
  /** by shape, caller and shared values: those that are not sent yet */
  const open = new Map<string, Batch>()

  const begin = (key: string, question: Question): Batch => {
    const asked: Asked[] = []
    const batch: Batch = {
      asked,
      answered: shareWork(async signal => {
        await nextTurn()
        if (open.get(key) === batch) open.delete(key)
        await send(database, question, asked, signal)
      })
    }
    if (question.isShort) open.set(key, batch)
    return batch
  }

  return {
    async ask (question, visit, asker) {
      asker.signal?.throwIfAborted()
      // each caller has batches of its own, which wait for its own share of the connections; others may have 2,000 ids of series
      const key = question.isShort ? `${question.name} ${JSON.stringify([asker.caller, question.shared])}` : ''
      const known = open.get(key)
      const batch = known === undefined || known.answered.isLeft ? begin(key, question) : known
      const asked: Asked = { own: question.own, visit, asker }
      if (batch.asked.push(asked) === BATCH_MAX) open.delete(key)
      await batch.answered.join(asker.signal)
      if (asked.failure) throw asked.failure.error
    }
  }
}

const isWanted = ({ asker }: Asked) => asker.signal?.aborted !== true

async function send (
  database: Pick<Database, 'streamPrepared'>, { name, sql, own, shared, isLong }: Question, all: readonly Asked[],
  signal: AbortSignal
): Promise<void> {
  const asked = all.filter(isWanted)
  if (asked.length === 0) return
  const values = own.map((_, n) => asked.map(it => it.own[n].value))
  // by way of a subquery the planner does not see how many there are, and makes one plan for any number of them
  const columns = own.map(({ type }, n) => `(select $${shared.length + n + 1}::${type}[])`)
  const names = own.map((_, n) => `p${n + 1}`)
  await database.streamPrepared(name, `
    select a.*, q.n
    from unnest(${columns.join(', ')}) with ordinality as q (${names.join(', ')}, n)
    cross join lateral (${sql}) as a`, [...shared, ...values], columns => {
    const one = asked[Number(columns.at(-1)) - 1]
    if (one.failure || one.asker.signal?.aborted) return
    one.asker.countRead(1)
    try {
      one.visit(columns)
    } catch (error) {
      one.failure = { error } // what one answer can't be made of is nothing to the others
    }
  }, { signal, caller: asked[0].asker.caller, isLong: isLong || asked[0].asker.isLong, pace: () => asked.find(isWanted)?.asker.pace() })
}
