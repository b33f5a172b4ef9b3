/**
 * Warm-up: before it listens, an API asks itself what clients ask. First queries take it many times as long as later
 * ones: schemas are compiled at their first use, each connection plans its statements once, and V8 interprets code
 * before it compiles it. So nobody waits for that after a rolling restart.
 *
 * Its requests pass all hooks and routes, as those of a caller of its own, and are in no metric of requests. They ask
 * about series that exist; without any there is nothing to do.
 */
import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'

import type { FastifyInstance, FastifyRequest } from 'fastify'
import { everything, scopes } from 'relay-access'
import type { Database, Logger } from 'relay-common'
import { DAY_MS, dayLevel, HOUR_MS, MINUTE_MS } from 'relay-rollups'

import type { Identifier, Principal } from './auth/principal.ts'

const SERIES_MAX = 8
/** Of all questions; the limit of time may end them before. */
const ROUNDS = 8

export interface WarmUp {
  /** Knows its caller until it has ended. */
  readonly identifier: Identifier
  /** Whether a request is one of its own. */
  isOwn (request: FastifyRequest): boolean
  /**
   * Asks, one question after the other, and never fails: the first request without an answer ends it.
   * @param limitMs longest time; 0: none is asked
   */
  run (app: FastifyInstance, database: Database, limitMs: number, log: Logger): Promise<void>
}

export function createWarmUp (): WarmUp {
  const principal: Principal = {
    kind: 'configured-token', id: 'token:warm-up', scopes: new Set(scopes), grants: everything
  }
  const credential = randomBytes(32).toString('base64url')
  const headers = { authorization: `Bearer ${credential}` }
  let hasEnded = false
  return {
    identifier: {
      identify: given => !hasEnded && given === credential ? { kind: 'known', principal } : undefined,
      isUnguessable: () => false
    },
    isOwn: request => request.principal === principal,
    async run (app, database, limitMs, log) {
      const startedMs = performance.now()
      let asked = 0
      const ask = async () => {
        const series = await readSeries(database)
        for (let round = 0; round < ROUNDS && series.length > 0; round++) {
          for (const url of questionsAbout(series[round % series.length])) {
            if (hasEnded) return
            const { statusCode } = await app.inject({ url, headers })
            if (statusCode !== 200) return log.debug({ url, statusCode }, 'a question of the warm-up has no answer')
            asked++
          }
        }
      }
      if (limitMs > 0) {
        const late = new AbortController()
        const asking = ask().catch(error => log.debug({ err: error }, 'the warm-up has failed'))
        await Promise.race([asking, delay(limitMs, undefined, { signal: late.signal }).catch(() => {})])
        late.abort()
      }
      hasEnded = true
      if (asked > 0) log.info({ questions: asked, ms: Math.round(performance.now() - startedMs) }, 'warmed up')
    }
  }
}

interface WarmSeries {
  readonly device_id: string
  readonly zone: string
  readonly device_type: string
  /** start of its newest stored day, ms since the epoch; null: none is stored yet */
  readonly day_ms: number | null
}

/** The newest series of devices. */
async function readSeries (database: Database): Promise<WarmSeries[]> {
  return await database.query<WarmSeries & Record<string, unknown>>(`
    select s.device_id, s.zone, s.device_type, (
      select date_part('epoch', max(r.bucket_start)) * 1000 from ${dayLevel.table} r where r.series_id = s.series_id
    ) as day_ms
    from (select * from series where device_id is not null order by series_id desc limit ${SERIES_MAX}) s`)
}

/**
 * Questions of the usual kinds. Their ranges are of whole minutes, so none reads a row per device; those of a type read
 * one per zone.
 */
function questionsAbout ({ device_id: device, zone, device_type: type, day_ms: dayMs }: WarmSeries): string[] {
  const nowMs = Math.floor(Date.now() / MINUTE_MS) * MINUTE_MS
  const endMs = dayMs === null ? nowMs : Math.min(dayMs + DAY_MS, nowMs)
  const path = (...parts: readonly string[]) => parts.map(encodeURIComponent).join('/')
  const range = (durationMs: number, names = ['start', 'end']) => new URLSearchParams([
    [names[0], new Date(endMs - durationMs).toISOString()], [names[1], new Date(endMs).toISOString()]
  ])
  const events = (...selection: readonly string[]) =>
    `/api/events/${path(...selection)}?${range(DAY_MS, ['startTime', 'endTime'])}`
  const v1 = (resource: string, durationMs: number, parameters: Record<string, string>) =>
    `/api/v1/${resource}?${new URLSearchParams([...range(durationMs), ...Object.entries(parameters)])}`
  const stats = 'count,avg,min,max,median'
  return [
    events('device', device), events('zone', zone), events('type', type), events('zone', zone, 'type', type),
    v1('aggregates', HOUR_MS, { device, stats }),
    v1('aggregates', HOUR_MS, { device, stats, interval: '1m' }),
    v1('aggregates', DAY_MS, { device, stats, interval: '1h' }),
    v1('aggregates', DAY_MS, { zone, stats, interval: '1h' }),
    v1('aggregates', DAY_MS, { zone, type, stats: 'avg,p95' }),
    v1('aggregates', HOUR_MS, { device, groupBy: 'device', stats: 'avg' }),
    v1('top', DAY_MS, { zone, groupBy: 'type', stat: 'avg' }),
    `/api/v1/devices?${new URLSearchParams({ zone, limit: '10' })}`
  ]
}
