/**
 * A stream of changes, as a view follows it:
 *
 *     connecting ──open──▶ live ──the connection goes──▶ connecting, with the last id: nothing is missed
 *                           └──reset, or more changed than was sent──▶ history is read again ──▶ live
 */
import {
  createRelayClient,
  RelayProblem,
  type AggregatesQuery,
  type RollupMessage,
  type StreamQuery
} from '@relay-telemetry/client/src/index.ts'
import { useEffect, useState } from 'preact/hooks'

import { dataOf, failureOf, type Failure } from './failure.ts'
import { signOut, useSession, type Session } from './session.ts'
import type { GroupBy, ChartLine } from './series.ts'

export type Connection = 'connecting' | 'live' | 'again'

export interface Live {
  readonly connection: Connection
  readonly failure: Failure | undefined
  /** s since the epoch, ascending */
  readonly times: readonly number[]
  readonly lines: readonly ChartLine[]
  /** when the newest reading was made, ms */
  readonly newestMs: number | undefined
  /** messages so far */
  readonly messages: number
  /** number of reconnections */
  readonly reconnects: number
}

const KEPT_S = 15 * 60
/** Of all lines together: a page that is open for days must not grow. */
const POINTS_MAX = 3_000
const LINES_MAX = 12
/** Readings arrive in bursts; more frames per second than this are not visible. */
const DRAW_MS = 250
const WAIT_MAX_MS = 5_000
const CHANGED_REST_MS = 1_000

interface Points {
  readonly values: Map<number, number>
}

export function useLive (
  query: Omit<StreamQuery, 'interval' | 'groupBy'>,
  groupBy: GroupBy | undefined,
  isPaused: boolean
): Live {
  const { session } = useSession()
  const queryKey = JSON.stringify([query, groupBy])
  const [live, setLive] = useState<Live>(nothing)

  useEffect(() => {
    if (session === undefined || isPaused) return
    const gone = new AbortController()
    const groups = new Map<string, Points>()
    const state = {
      connection: 'connecting' as Connection,
      failure: undefined as Failure | undefined,
      newestMs: undefined as number | undefined,
      messages: 0,
      connects: 0
    }
    let isDrawn = true
    const draw = () => {
      isDrawn = false
    }
    const timer = setInterval(() => {
      if (isDrawn) return
      isDrawn = true
      setLive({ ...state, ...linesFrom(groups), reconnects: Math.max(0, state.connects - 1) })
    }, DRAW_MS)
    const put = (name: string, timeMs: number, value: number | null | undefined) => {
      if (typeof value !== 'number') return
      let points = groups.get(name)
      if (!points) {
        if (groups.size === LINES_MAX) return
        groups.set(name, (points = { values: new Map() }))
      }
      points.values.set(timeMs / 1_000, value)
      state.newestMs = Math.max(state.newestMs ?? 0, timeMs)
    }
    const fill = async () => {
      const asked: AggregatesQuery = {
        ...query,
        start: `-${KEPT_S / 60}m`,
        interval: '1m',
        stats: 'last',
        ...(groupBy ? { groupBy } : {})
      }
      const { rows } = dataOf(
        await session.relay.GET('/api/v1/aggregates', { params: { query: asked }, signal: gone.signal })
      )
      for (const row of rows) if (row.lastTime) put(nameOf(row, groupBy), Date.parse(row.lastTime), row.last)
      draw()
    }
    const run = async () => {
      const relay = watched(session, () => {
        state.connection = state.connects++ === 0 ? 'connecting' : 'again'
        draw()
      })
      await fill()
      let refilling: ReturnType<typeof setTimeout> | undefined
      for await (const message of relay.stream(
        { ...query, interval: '1m', ...(groupBy ? { groupBy } : {}) },
        { signal: gone.signal }
      )) {
        state.failure = undefined
        state.connection = 'live'
        if (message.event === 'rollup') {
          state.messages++
          put(nameOf(message.data, groupBy), Date.parse(message.data.lastTime), message.data.last)
        } else if (message.event === 'reset' || message.event === 'changed') {
          clearTimeout(refilling)
          // the next message tries again
          refilling = setTimeout(() => fill().catch(() => {}), CHANGED_REST_MS)
        }
        draw()
      }
    }
    const start = () => {
      run().catch(error => {
        if (gone.signal.aborted) return
        const failure = failureOf(error instanceof RelayProblem ? error : error)
        if (failure.isSignedOut) return signOut(failure.detail)
        state.failure = failure
        draw()
        if (failure.retryAfterMs !== undefined) {
          setTimeout(() => {
            if (!gone.signal.aborted) start()
          }, failure.retryAfterMs)
        }
      })
    }
    setLive(nothing)
    start()
    return () => {
      gone.abort()
      clearInterval(timer)
    }
  }, [queryKey, session, isPaused])
  return live
}

const nothing: Live = {
  connection: 'connecting',
  failure: undefined,
  times: [],
  lines: [],
  newestMs: undefined,
  messages: 0,
  reconnects: 0
}

/** A client that reports each of its connections. */
function watched ({ token, send }: Session, onConnect: () => void) {
  return createRelayClient({
    baseUrl: location.origin,
    token,
    waitMaxMs: WAIT_MAX_MS,
    retriesMax: 0,
    fetch: request => {
      onConnect()
      return send(request)
    }
  })
}

const nameOf = (row: Pick<RollupMessage, GroupBy>, groupBy: GroupBy | undefined) =>
  groupBy === undefined ? 'all' : String(row[groupBy])

function linesFrom (groups: ReadonlyMap<string, Points>): { readonly times: number[]; readonly lines: ChartLine[] } {
  const since = Date.now() / 1_000 - KEPT_S
  for (const { values } of groups.values()) {
    for (const time of values.keys()) if (time < since) values.delete(time)
    const pointsMax = Math.ceil(POINTS_MAX / groups.size)
    if (values.size > pointsMax) {
      const oldest = [...values.keys()].sort((a, b) => a - b).slice(0, values.size - pointsMax)
      for (const time of oldest) values.delete(time)
    }
  }
  const times = [...new Set([...groups.values()].flatMap(it => [...it.values.keys()]))].sort((a, b) => a - b)
  // undefined is no gap: another line has a reading there
  const lines = [...groups].map(([name, { values }]) => ({
    name,
    values: times.map(it => values.get(it)) as (number | null)[]
  }))
  return { times, lines }
}
