/**
 * Clients while containers die: events of the test's own fleet are sent to the API, each until it is
 * accepted, and queries with known answers are sent.
 */
import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'

import { WELL_KNOWN_TOKEN } from 'relay-access'
import { DAY_MS, HOUR_MS } from 'relay-rollups'
import { until } from 'relay-test-support/until.ts'
import type { Site } from './site.ts'

const DEVICES = 200
const EVENTS_PER_REQUEST = 500
const PAUSE_MS = 150
const AGAIN_MS = 200
const REQUEST_TIMEOUT_MS = 15_000
const LATE_DAYS = 10

/** Counts of the sent events. */
export interface Counted { readonly count: number, readonly sum: number }

/** Results of a client's requests, which are sent one after the other. */
export interface Requests {
  readonly succeeded: number
  /** status and body, or the error of the connection */
  readonly failed: readonly string[]
  /** longest time from one request that succeeded to the next one */
  readonly longestGapMs: number
  /** Stops after the next request that succeeds. @throws if an answer was wrong */
  stop (): Promise<void>
}

export interface Load extends Requests {
  /** accepted, each counted once */
  readonly sent: Counted
}

/** @param next makes a request. @returns undefined, or why it failed */
function startRequests (next: () => Promise<string | undefined>): Requests {
  let isStopping = false
  const failed: string[] = []
  let succeeded = 0
  let longestGapMs = 0

  const making = (async () => {
    for (let lastMs = performance.now(); ;) {
      const reason = await next()
      if (reason !== undefined) {
        failed.push(reason)
        await delay(AGAIN_MS)
        continue
      }
      const nowMs = performance.now()
      longestGapMs = Math.max(longestGapMs, nowMs - lastMs)
      lastMs = nowMs
      succeeded++
      if (isStopping) return
      await delay(PAUSE_MS)
    }
  })()
  making.catch(() => {}) // `stop` throws it
  return {
    get succeeded () { return succeeded },
    failed,
    get longestGapMs () { return longestGapMs },
    stop: async () => { isStopping = true; await making }
  }
}

async function request (port: number, path: string, body?: string): Promise<{
  readonly text: string, readonly fault?: string
}> {
  try {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: { authorization: `Bearer ${WELL_KNOWN_TOKEN}`, ...body === undefined ? {} : { 'content-type': 'application/json' } },
      body,
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS)
    })
    const text = await response.text()
    return response.ok && response.status !== 207 ? { text } : { text, fault: `${response.status}: ${text.slice(0, 300)}` }
  } catch (error) {
    return { text: '', fault: String((error as Error).cause ?? error) }
  }
}

/**
 * Sends events, and repeats failed requests: each event counts once.
 * @param startMs the first event's time; each further one is a millisecond later, and every tenth ten days older
 */
export function startLoad (port: number, zone: string, startMs: number): Load {
  const sent = { count: 0, sum: 0 }
  let first = 0 // of the events that are not accepted yet
  const requests = startRequests(async () => {
    const events = Array.from({ length: EVENTS_PER_REQUEST }, (_, index) => {
      const n = first + index
      const timestamp = new Date(startMs + n - (n % 10 === 0 ? LATE_DAYS * DAY_MS : 0)).toISOString()
      return { deviceId: `${zone}-${n % DEVICES}`, deviceType: 'THERMOSTAT', zone, value: n % 97, timestamp }
    })
    const { fault } = await request(port, '/api/v1/events', JSON.stringify(events))
    if (fault !== undefined) return fault
    first += events.length
    for (const { value } of events) {
      sent.count++
      sent.sum += value
    }
  })
  return Object.assign(requests, { sent })
}

/** Compares the answers about a load with a plain count of it. */
export async function assertCounted (site: Site, { sent }: Load, zone: string): Promise<void> {
  const question = `/api/v1/aggregates?zone=${zone}&start=-20d&end=${inAnHour()}&interval=range&stats=count,sum`
  let answer: any
  await until(() => `${zone} to be counted: ${JSON.stringify(sent)}, the answer is ${JSON.stringify(answer)}`, async () => {
    answer = await site.ask(question).catch(String)
    return answer.body?.rows?.[0]?.count >= sent.count
  }, 120_000)
  const [{ count, sum }] = answer.body.rows
  assert.deepEqual({ count, sum }, sent)
}

/** The two routes for the readings of a zone. */
export type Way = 'v1' | 'events'

/**
 * Queries the readings of a zone that gets no new ones. No query is repeated, because past answers are cached. A wrong
 * answer ends it, and `stop` throws that.
 */
export function startQuestions (port: number, way: Way, zone: string, { count, sum }: Counted): Requests {
  const fromMs = Date.now() - 20 * DAY_MS
  const to = inAnHour()
  let n = 0
  return startRequests(async () => {
    const from = new Date(fromMs - n++).toISOString()
    const { text, fault } = await request(port, way === 'v1'
      ? `/api/v1/aggregates?zone=${zone}&start=${from}&end=${to}&interval=range&stats=count,sum`
      : `/api/events/zone/${zone}?startTime=${from}&endTime=${to}`)
    if (fault !== undefined) return fault
    const body = JSON.parse(text)
    if (way === 'v1') assert.deepEqual([body.rows[0]?.count, body.rows[0]?.sum], [count, sum])
    else assert.equal(body.count, count)
  })
}

export const inAnHour = () => new Date(Date.now() + HOUR_MS).toISOString()
