/** Counts of requests in PostgreSQL (`rate_limits`), for API processes that count together. */
import type { FastifyRateLimitStoreCtor } from '@fastify/rate-limit'
import type { Database } from 'relay-common'

interface Counted {
  readonly current: number
  /** ms until the window is over */
  readonly ttl: number
}

type Done = (error: Error | null, counted?: Counted) => void

/** one count in so many drops what is over; a table of an hour's callers is small */
const SWEEP_EVERY = 1_000

/** A store for `@fastify/rate-limit`, which makes one of it for every limit; keys tell them apart. */
export function createPostgresStore (database: Database): FastifyRateLimitStoreCtor {
  let counts = 0

  const sweep = () => {
    if (++counts % SWEEP_EVERY !== 0) return
    database.query('delete from rate_limits where window_end < now()').catch(() => {}) // the next one will
  }

  return class {
    incr (key: string, done: Done, windowMs: number): void {
      sweep()
      database.queryPrepared<Counted>('count request', `
        insert into rate_limits as r (key, count, window_end) values ($1, 1, now() + $2 * interval '1 ms')
        on conflict (key) do update set
          count = case when r.window_end <= now() then 1 else r.count + 1 end,
          window_end = case when r.window_end <= now() then excluded.window_end else r.window_end end
        returning count as current, greatest(0, extract(epoch from window_end - now()) * 1000)::float8 as ttl`,
      [key, windowMs]).then(([counted]) => done(null, counted), done)
    }

    read (key: string, done: Done): void {
      database.queryPrepared<Counted>('read request count', `
        select count as current, extract(epoch from window_end - now())::float8 * 1000 as ttl
        from rate_limits where key = $1 and window_end > now()`,
      [key]).then(([counted]) => done(null, counted ?? { current: 0, ttl: 0 }), done)
    }

    child () { return this }
  }
}
