/**
 * Batch: questions of one shape that come in the same turn of the event loop are one statement. Of a short one most is
 * what surrounds its few rows: a message to the server, a process that is woken, an answer that is taken apart. A busy
 * API has several at hand whenever it asks: with ten clients five, and half the CPU for each.
 *
 *     question ──┐
 *     question ──┼─ same shape, same turn ──▶ one statement: a table q of questions, and for each the rows of its answer
 *     question ──┘
 */
import { setImmediate as nextTurn } from 'node:timers/promises'

import type { Database } from 'relay-common'

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
}

export interface OwnValue {
  readonly value: unknown
  /** of PostgreSQL, and none that is an array */
  readonly type: string
}

export interface Batches {
  /**
   * Asks, and shows each row of the answer, as the array of its columns, while the next ones are on their way.
   * @throws RelayError RELAY_DATABASE_UNREACHABLE, and what `visit` throws
   */
  ask (question: Question, visit: (columns: unknown[]) => void): Promise<void>
}

interface Asked {
  readonly own: readonly OwnValue[]
  readonly visit: (columns: unknown[]) => void
  failure?: { readonly error: unknown }
}

interface Batch {
  readonly asked: Asked[]
  /** rejects where the statement fails, for all of them */
  readonly answered: Promise<void>
}

/** The more there are, the longer the first one waits for the last; what is saved is nearly all saved with ten. */
const BATCH_MAX = 50

export function createBatches (database: Pick<Database, 'streamPrepared'>): Batches {
  /** by shape and shared values: those that are not sent yet */
  const open = new Map<string, Batch>()

  const begin = (key: string, question: Question): Batch => {
    const asked: Asked[] = []
    const batch = {
      asked,
      answered: nextTurn().then(() => {
        if (open.get(key) === batch) open.delete(key)
        return send(database, question, asked)
      })
    }
    if (question.isShort) open.set(key, batch)
    return batch
  }

  return {
    async ask (question, visit) {
      const key = `${question.name} ${JSON.stringify(question.shared)}`
      const batch = open.get(key) ?? begin(key, question)
      const asked: Asked = { own: question.own, visit }
      if (batch.asked.push(asked) === BATCH_MAX) open.delete(key)
      await batch.answered
      if (asked.failure) throw asked.failure.error
    }
  }
}

async function send (
  database: Pick<Database, 'streamPrepared'>, { name, sql, own, shared }: Question, asked: readonly Asked[]
): Promise<void> {
  const values = own.map((_, n) => asked.map(it => it.own[n].value))
  // by way of a subquery the planner does not see how many there are, and makes one plan for any number of them
  const columns = own.map(({ type }, n) => `(select $${shared.length + n + 1}::${type}[])`)
  const names = own.map((_, n) => `p${n + 1}`)
  await database.streamPrepared(name, `
    select a.*, q.n
    from unnest(${columns.join(', ')}) with ordinality as q (${names.join(', ')}, n)
    cross join lateral (${sql}) as a`, [...shared, ...values], columns => {
    const one = asked[Number(columns.at(-1)) - 1]
    if (one.failure) return
    try {
      one.visit(columns)
    } catch (error) {
      one.failure = { error } // what one answer can't be made of is nothing to the others
    }
  })
}
