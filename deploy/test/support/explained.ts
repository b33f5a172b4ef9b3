/**
 * What statements cost, counted and not timed: a database whose statements are explained while they run, each with the
 * plan for its own values and with the plan for any.
 */
import type { Database, PoolClient } from 'relay-common'
import { escapeLiteral } from 'pg'

export interface Cost {
  readonly sql: string
  readonly plan: string
  /** rows that its scans have looked at, those that did not fit among them */
  readonly rows: number
  /** pages that were looked at, its functions' among them */
  readonly pages: number
}

interface PlanNode {
  readonly 'Node Type': string
  readonly 'Actual Rows': number
  readonly 'Actual Loops': number
  readonly 'Rows Removed by Filter'?: number
  readonly 'Rows Removed by Join Filter'?: number
  readonly 'Shared Hit Blocks': number
  readonly 'Shared Read Blocks': number
  readonly 'Local Hit Blocks': number
  readonly 'Local Read Blocks': number
  readonly Plans?: readonly PlanNode[]
}

interface Statement { readonly text: string, readonly values?: readonly unknown[] }

const READS_OR_WRITES = /^\s*(?:select|insert|update|delete|with)\b/i

/** A database, and a connection, of which every statement is explained and then, unless it is streamed, run. */
export interface Explained {
  readonly database: Database
  readonly client: PoolClient
  /** of the statements since it was asked last */
  taken (): Cost[]
}

/** @param client within a transaction; what is explained is undone */
export function explaining (client: PoolClient): Explained {
  const costs: Cost[] = []

  const explain = async (text: string, values: readonly unknown[] = []) => {
    for (const mode of ['force_custom_plan', 'force_generic_plan']) {
      await client.query('savepoint explaining')
      await client.query(`set local plan_cache_mode = ${mode}`)
      await client.query(`prepare explained as ${text}`)
      const args = values.map(literalOf).join(', ')
      const { rows: [row] } = await client.query<{ 'QUERY PLAN': [{ Plan: PlanNode }] }>(
        `explain (analyze, buffers, format json) execute explained${args === '' ? '' : ` (${args})`}`)
      const [{ Plan: plan }] = row['QUERY PLAN']
      costs.push({ sql: text, plan: JSON.stringify(plan, undefined, 1), rows: rowsOf(plan), pages: pagesOf(plan) })
      await client.query('rollback to savepoint explaining')
      await client.query('deallocate explained')
    }
  }

  let before: Promise<unknown> = Promise.resolve()
  const next = <T>(work: () => Promise<T>): Promise<T> => { // one after the other: it is one connection
    const mine = before.then(work)
    before = mine.catch(() => {})
    return mine
  }
  const run = (statement: string | Statement, given?: readonly unknown[]) => next(async () => {
    const { text, values = given } = typeof statement === 'string' ? { text: statement, values: given } : statement
    if (READS_OR_WRITES.test(text)) await explain(text, values)
    return await client.query(text, values as unknown[])
  })
  const explained = { query: run, release: () => {} } as unknown as PoolClient

  const database = {
    query: async (sql: string, values?: unknown[]) => (await run(sql, values)).rows,
    queryPrepared: async (_name: string, sql: string, values?: unknown[]) => (await run(sql, values)).rows,
    streamPrepared: async (_name: string, sql: string, values: unknown[]) => await next(() => explain(sql, values)),
    transaction: async (work: (client: PoolClient) => Promise<unknown>) => await work(explained),
    connect: async () => explained,
    close: async () => {}
  } as unknown as Database
  return { database, client: explained, taken: () => costs.splice(0) }
}

function literalOf (value: unknown): string {
  if (value === null || value === undefined) return 'null'
  if (Array.isArray(value)) return escapeLiteral(`{${value.map(elementOf).join()}}`)
  return escapeLiteral(Buffer.isBuffer(value) ? `\\x${value.toString('hex')}` : String(value))
}

function elementOf (value: unknown): string {
  if (value === null || value === undefined) return 'null'
  const text = Buffer.isBuffer(value) ? `\\x${value.toString('hex')}` : String(value)
  return `"${text.replaceAll(/["\\]/g, it => `\\${it}`)}"`
}

function rowsOf (plan: PlanNode): number {
  const { 'Actual Rows': rows, 'Actual Loops': loops, 'Rows Removed by Filter': filtered = 0 } = plan
  const joined = plan['Rows Removed by Join Filter'] ?? 0
  const own = (/Scan$/.test(plan['Node Type']) ? rows + filtered : 0) + joined
  return own * loops + (plan.Plans ?? []).reduce((sum, it) => sum + rowsOf(it), 0)
}

function pagesOf (plan: PlanNode): number {
  return plan['Shared Hit Blocks'] + plan['Shared Read Blocks'] + plan['Local Hit Blocks'] + plan['Local Read Blocks']
}
