/**
 * Queries while a fleet is live, the same for Relay and its peers: one client asks for the last hour of random
 * devices, two more poll the newest reading of one device each.
 */
import { setTimeout as delay } from 'node:timers/promises'

import type { Pool } from 'pg'

import { TOKEN } from './freshness.ts'
import { createLiveFleet } from './live-sinks.ts'
import { queryQuestDb } from './questdb.ts'

/** Who answers. */
export interface LiveAsker {
  /** Average, minimum, maximum, count and median of the last hour. @returns the count */
  lastHour (device: string): Promise<number>
  /** @returns the time of the newest reading, ms since the epoch; undefined: there is none yet */
  latest (device: string): Promise<number | undefined>
}

export interface LiveAnswers {
  /** a device's last hour, from the query to the whole answer */
  readonly questionP50Ms: number
  readonly questionP99Ms: number
  /** age of a reading, by its own time, when it first shows in an answer; includes waiting to be sent */
  readonly freshP50Ms: number
  readonly freshP99Ms: number
}

export const NOT_ASKED: LiveAnswers = { questionP50Ms: NaN, questionP99Ms: NaN, freshP50Ms: NaN, freshP99Ms: NaN }

const QUESTION_INTERVAL_MS = 50
const WATCHED = 2
const POLL_INTERVAL_MS = 20

export async function askLive (
  asker: LiveAsker, { devices, probeSeconds }: { readonly devices: number, readonly probeSeconds: number }
): Promise<LiveAnswers> {
  const ids = createLiveFleet(devices).map(it => it.id)
  const untilMs = performance.now() + probeSeconds * 1000
  const [questionsMs, ...freshMs] = await Promise.all([
    ask(asker, ids, untilMs),
    ...Array.from({ length: WATCHED }, (_, n) => watch(asker, ids[Math.floor(n / WATCHED * ids.length)], untilMs))
  ])
  const fresh = freshMs.flat()
  return {
    questionP50Ms: at(questionsMs, 0.5),
    questionP99Ms: at(questionsMs, 0.99),
    freshP50Ms: at(fresh, 0.5),
    freshP99Ms: at(fresh, 0.99)
  }
}

/** At a steady rate: a slow answer delays the next query. */
async function ask (asker: LiveAsker, ids: readonly string[], untilMs: number): Promise<number[]> {
  const timesMs: number[] = []
  for (let dueMs = performance.now(); dueMs < untilMs; dueMs += QUESTION_INTERVAL_MS) {
    await delay(Math.max(0, dueMs - performance.now()))
    const askedMs = performance.now()
    const count = await asker.lastHour(ids[Math.floor(Math.random() * ids.length)])
    if (!(count > 0)) throw new Error('a live device has no readings of the last hour')
    timesMs.push(performance.now() - askedMs)
  }
  return timesMs
}

async function watch (asker: LiveAsker, device: string, untilMs: number): Promise<number[]> {
  const agesMs: number[] = []
  let seenMs = await asker.latest(device) ?? 0
  while (performance.now() < untilMs) {
    const askedMs = performance.now()
    const newestMs = await asker.latest(device) ?? 0
    if (newestMs > seenMs) {
      agesMs.push(Date.now() - newestMs)
      seenMs = newestMs
    }
    await delay(Math.max(0, POLL_INTERVAL_MS - (performance.now() - askedMs)))
  }
  return agesMs
}

function at (timesMs: readonly number[], share: number): number {
  const sorted = timesMs.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN
}

const HOUR_MS = 3_600_000

export function askRelay (url: string): LiveAsker {
  const get = async (path: string) => {
    const answer = await fetch(`${url}/api/v1/${path}`, { headers: { authorization: `Bearer ${TOKEN}` } })
    const body = await answer.json() as { rows?: Array<{ count: number }>, timestamp?: string }
    if (!answer.ok && answer.status !== 404) {
      throw new Error(`the API answered ${answer.status}: ${JSON.stringify(body)}`)
    }
    return body
  }
  return {
    async lastHour (device) {
      const { rows } = await get(`aggregates?device=${device}&start=-1h&interval=range&stats=avg,min,max,count,median`)
      return rows?.[0]?.count ?? 0
    },
    async latest (device) {
      const { timestamp } = await get(`devices/${device}/latest`)
      return timestamp === undefined ? undefined : Date.parse(timestamp)
    }
  }
}

export function askQuestDb (url: string): LiveAsker {
  return {
    async lastHour (device) {
      const [[, , , count]] = await queryQuestDb(url, `
        select avg(value), min(value), max(value), count(), approx_percentile(value, 0.5, 3)
        from readings where device = '${device}' and ts >= '${new Date(Date.now() - HOUR_MS).toISOString()}'`)
      return Number(count)
    },
    async latest (device) {
      const [row] = await queryQuestDb(url,
        `select ts from readings where device = '${device}' latest on ts partition by device`)
      return row && Date.parse(String(row[0]))
    }
  }
}

export function askRows (pool: Pool): LiveAsker {
  const ofDevice = 'device_id = (select device_id from devices where name = $1)'
  return {
    async lastHour (device) {
      const { rows: [{ count }] } = await pool.query({
        name: 'last-hour',
        text: `
          select avg(value), min(value), max(value), count(*)::float8 as count,
            percentile_cont(0.5) within group (order by value) as median
          from readings where ${ofDevice} and ts >= now() - interval '1 hour'`,
        values: [device]
      })
      return count
    },
    async latest (device) {
      const { rows: [row] } = await pool.query<{ ts: Date }>({
        name: 'latest', text: `select ts from readings where ${ofDevice} order by ts desc limit 1`, values: [device]
      })
      return row?.ts.getTime()
    }
  }
}
