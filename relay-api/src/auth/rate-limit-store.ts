/**
 * Counts of requests in PostgreSQL (`rate_limits`), for API processes that count together.
 */
import type { Database } from 'relay-common'

import type { WindowCount } from './window-counter.ts'

/**
 * SQL of whether a window is under way; $2 is its length. One that ends further ahead than two windows is from before
 * the clock of the database was set back, so it is over. (Not one window: a statement that waited for another has an
 * earlier now().) @param end SQL of its end
 */
const isOpen = (end: string) => `${end} > now() and ${end} <= now() + 2 * $2 * interval '1 ms'`

/** one count in so many deletes expired rows; a table of an hour's callers is small */
const SWEEP_EVERY = 1_000

/** Counts a request. @param key of its caller, separate from those of failures */
export async function countRequest (database: Database, key: string, windowMs: number): Promise<WindowCount> {
  return await count(database, key, windowMs)
}

/** Counts an invalid credential of an address. */
export async function countFailure (database: Database, address: string, windowMs: number): Promise<WindowCount> {
  return await count(database, `failed:${address}`, windowMs)
}

/** Invalid credentials of an address in the current window; undefined: none. */
export async function readFailures (
  database: Database, address: string, windowMs: number
): Promise<WindowCount | undefined> {
  const [counted] = await database.queryPrepared<WindowCount>('read request count', `
    select count, ceil(extract(epoch from window_end - now()))::integer as "endsInS"
    from rate_limits
    where key = $1 and ${isOpen('window_end')}`,
  [`failed:${address}`, windowMs])
  return counted
}

let counts = 0

async function count (database: Database, key: string, windowMs: number): Promise<WindowCount> {
  if (++counts % SWEEP_EVERY === 0) {
    database.query('delete from rate_limits where window_end < now()').catch(() => {}) // the next count will
  }
  const [counted] = await database.queryPrepared<WindowCount>('count request', `
    insert into rate_limits as r (key, count, window_end) values ($1, 1, now() + $2 * interval '1 ms')
    on conflict (key) do update set
      count = case when ${isOpen('r.window_end')} then r.count + 1 else 1 end,
      window_end = case when ${isOpen('r.window_end')} then r.window_end else excluded.window_end end
    returning count, ceil(greatest(0, extract(epoch from window_end - now())))::integer as "endsInS"`,
  [key, windowMs])
  return counted
}
