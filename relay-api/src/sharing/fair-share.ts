/**
 * Fair share: which caller gets the next connection of a pool. A statement waits in the queue of its caller, and
 * callers take turns.
 *
 *     of             limit of connections
 *     any caller     SHARE times the free ones: 6 of 8 for one caller, 3 each for two, so one is left for the next
 *                    (dynamic thresholds, Choudhury and Hahne 1998)
 *     a new caller   one, and one more after each of its statements (slow start)
 *     heavy callers  together a window (heavy-callers.ts decides who is heavy). It starts with one, grows while the
 *                    statements of the others take as long as usual, and is halved when they take longer (additive
 *                    increase, multiplicative decrease, Chiu and Jain 1989)
 *     long answers   together a quarter, at least one; half of that while there are short ones
 *
 * Statements without a caller, such as the look-up of a key, do not wait here; connections are reserved for them.
 */
import { RelayError, type Database, type ForWhom } from 'relay-common'

import { STATEMENT_MS, type AttainedService } from './heavy-callers.ts'
import { createRotation } from './rotation.ts'
import { HEAVY, type ComputeTurns } from './compute-turns.ts'

const SHARE = 3
/** connections reserved for statements without a caller, in pools of more than twice as many */
const LEFT_FOR_OTHERS = 2
const LONG_PART = 1 / 4
const LONG_PART_BESIDE_SHORT = 1 / 8
/** Short answers count as present for this time after the last request for one. */
const BESIDE_MS = 500

const WINDOW_FIRST = 1
/** A caller that holds nothing and waits for nothing is forgotten after this time; after that it is a new one. */
const CALLER_MAX_MS = 10_000

/**
 * The window of heavy callers changes at most once per interval, so that the statements in progress can end first. It
 * grows by one in half a second.
 */
const CHANGE_INTERVAL_MS = 100
const GROWTH = 0.2
/** The window starts again with one after no heavy caller had a connection for this time. */
const HEAVY_MAX_MS = 1_000
/** The others are slowed down if the mean time of their statements is this many times the usual one, and at least: */
const FELT_RATIO = 1.5
const FELT_MIN_MS = 2
const RECENT_WEIGHT = 1 / 8
/** Time constants of the usual time. It rises slowly, because an attack or a busy minute is not usual. */
const USUAL_RISE_MS = 60_000
const USUAL_FALL_MS = 3_000
/** A single statement counts as at most this many times the usual time. */
const USUAL_RATIO_MAX = 4

export interface ShareSettings {
  readonly DATABASE_POOL_MAX: number
  readonly DATABASE_CONNECT_TIMEOUT_MS: number
}

interface Waiting {
  readonly go: () => void
}

/** A connection that a caller has. */
export interface HeldConnection {
  /** @param isAway whether the database did not answer: then the time says nothing about the caller */
  giveBack (isAway?: boolean): void
}

/** @returns a database whose statements wait for their caller's share, and count as its service */
export function fairShare (
  database: Database, shares: Shares, service: AttainedService, turns: Pick<ComputeTurns, 'take'>
): Database {
  const within = async <T>(
    whom: ForWhom | undefined, run: (count: (rows: number) => void) => Promise<T>
  ): Promise<T> => {
    if (whom?.caller === undefined) return await run(() => {})
    const { caller, isLong = false, signal } = whom // copied: a short answer may become a long one later
    // sending a statement and receiving its rows take time of the event loop too
    if (service.isHeavy(caller)) await turns.take(caller, HEAVY, signal, STATEMENT_MS)
    const share = await shares.take(caller, isLong, signal)
    const statement = service.begin(caller)
    let rows = 0
    let isAway = false
    try {
      return await run(some => { rows += some })
    } catch (error) {
      isAway = error instanceof RelayError && error.code === 'RELAY_DATABASE_UNREACHABLE'
      throw error
    } finally {
      statement.end(rows)
      share.giveBack(isAway)
    }
  }
  const counted = async <R>(rows: Promise<R[]>, count: (rows: number) => void): Promise<R[]> => {
    const found = await rows
    count(found.length)
    return found
  }
  return {
    ...database,
    query: (sql, values, whom) => within(whom, count => counted(database.query(sql, values, whom), count)),
    queryPrepared: (name, sql, values, whom) =>
      within(whom, count => counted(database.queryPrepared(name, sql, values, whom), count)),
    streamPrepared: (name, sql, values, visit, whom) => within(whom, count =>
      database.streamPrepared(name, sql, values, columns => {
        count(1)
        visit(columns)
      }, whom))
  }
}

export interface Shares {
  /** number of statements that wait for their caller's share */
  readonly waiting: number
  /**
   * Waits for a connection of a caller's share. @throws the reason of the signal; RelayError RELAY_DATABASE_UNREACHABLE
   */
  take (caller: string, isLong: boolean, signal?: AbortSignal): Promise<HeldConnection>
}

interface Caller {
  /** connections that it has */
  held: number
  waiting: number
  /** most that it may have: grows with each statement */
  window: number
  /** last time that it asked, or that one of its connections was given back */
  seenMs: number
  servedMs: number
}

/** @param now monotonic clock, ms */
export function createShares (
  { DATABASE_POOL_MAX: poolMax, DATABASE_CONNECT_TIMEOUT_MS: waitMaxMs }: ShareSettings,
  service: Pick<AttainedService, 'ask' | 'isHeavy'>,
  now = () => performance.now()
): Shares {
  const max = poolMax > 2 * LEFT_FOR_OTHERS ? poolMax - LEFT_FOR_OTHERS : poolMax
  const partOf = (part: number) => Math.max(Math.floor(max * part), 1)
  const callers = new Map<string, Caller>()
  const short = createRotation<Waiting>()
  const long = createRotation<Waiting>()
  const heavy = createHeavyWindow(max, now)
  let free = max
  let longHeld = 0
  let latestShortMs = -Infinity

  const seen = (name: string): Caller => {
    const nowMs = now()
    for (const [other, it] of callers) { // in the order in which they were seen last
      if (nowMs - it.seenMs < CALLER_MAX_MS) break
      callers.delete(other)
      if (it.held + it.waiting === 0) continue
      it.seenMs = nowMs
      callers.set(other, it)
    }
    const caller = callers.get(name) ?? { held: 0, waiting: 0, window: WINDOW_FIRST, seenMs: nowMs, servedMs: 0 }
    caller.seenMs = nowMs
    callers.delete(name)
    callers.set(name, caller)
    return caller
  }
  const mayBeLong = () => longHeld < partOf(now() - latestShortMs < BESIDE_MS ? LONG_PART_BESIDE_SHORT : LONG_PART)
  const mayHoldMore = (name: string) => {
    const { held, window } = callers.get(name)!
    if (service.isHeavy(name) ? heavy.isFull : held >= window && callers.size > 1) return false
    return held === 0 || held < SHARE * (free - 1) // the last one is for a caller without any
  }
  const handOut = () => {
    for (;;) {
      if (free === 0) return
      const next = short.next(mayHoldMore) ?? (mayBeLong() ? long.next(mayHoldMore) : undefined)
      if (next === undefined) return
      next.go()
    }
  }

  const hold = (name: string, isLong: boolean, askedMs: number): HeldConnection => {
    const isHeavy = service.isHeavy(name)
    const caller = callers.get(name)!
    free--
    caller.held++
    if (isLong) longHeld++
    if (isHeavy) heavy.take()
    return {
      giveBack (isAway = false) {
        free++
        caller.held--
        caller.servedMs = now()
        caller.window = Math.min(caller.window + 1, max)
        if (isLong) longHeld--
        if (isHeavy) heavy.giveBack()
        else if (!isLong && !isAway) heavy.noteOther(now() - askedMs)
        handOut()
      }
    }
  }

  return {
    get waiting () { return short.size + long.size },
    async take (name, isLong, signal) {
      signal?.throwIfAborted()
      service.ask(name)
      const caller = seen(name)
      const askedMs = now()
      if (!isLong) latestShortMs = askedMs
      const queue = isLong ? long : short
      if (queue.size === 0 && free > 0 && mayHoldMore(name) && (!isLong || mayBeLong())) {
        return hold(name, isLong, askedMs)
      }
      let timer: NodeJS.Timeout | undefined
      let onAbort: (() => void) | undefined
      caller.waiting++
      try {
        return await new Promise<HeldConnection>((resolve, reject) => {
          const waiting = { go: () => resolve(hold(name, isLong, askedMs)) }
          queue.add(name, waiting)
          handOut()
          onAbort = () => {
            queue.remove(name, waiting)
            reject(signal!.reason)
          }
          signal?.addEventListener('abort', onAbort, { once: true })
          if (isLong) return // its deadline ends it
          const look = () => {
            const servedMs = now() - caller.servedMs
            if (servedMs < waitMaxMs) { // other statements of the caller were served, so this one will be too
              timer = setTimeout(look, waitMaxMs - servedMs)
              return
            }
            queue.remove(name, waiting)
            reject(new RelayError('RELAY_DATABASE_UNREACHABLE', `no database connection was free within ${waitMaxMs} ms`))
          }
          timer = setTimeout(look, waitMaxMs)
        })
      } finally {
        caller.waiting--
        clearTimeout(timer)
        if (onAbort) signal?.removeEventListener('abort', onAbort)
      }
    }
  }
}

/** The number of connections that heavy callers may have together without slowing others down. */
function createHeavyWindow (max: number, now: () => number) {
  let held = 0
  let window = WINDOW_FIRST
  let changedMs = -Infinity
  let heldMs = -Infinity
  let usualMs: number | undefined
  let usualAtMs = 0
  let recentMs = 0
  const learn = (nowMs: number, tookMs: number) => {
    usualMs ??= tookMs
    const weight = 1 - Math.exp((usualAtMs - nowMs) / (tookMs > usualMs ? USUAL_RISE_MS : USUAL_FALL_MS))
    usualMs += (Math.min(tookMs, USUAL_RATIO_MAX * usualMs) - usualMs) * weight
    usualAtMs = nowMs
    recentMs += (tookMs - recentMs) * RECENT_WEIGHT
    return recentMs > Math.max(FELT_RATIO * usualMs, FELT_MIN_MS)
  }
  return {
    get isFull () { return held >= Math.floor(window) },
    take () {
      const nowMs = now()
      if (held === 0 && nowMs - heldMs > HEAVY_MAX_MS) window = WINDOW_FIRST
      held++
    },
    giveBack () {
      held--
      heldMs = now()
    },
    /** Learns from the time of a statement of another caller, including its wait. */
    noteOther (tookMs: number) {
      const nowMs = now()
      const isFelt = learn(nowMs, tookMs)
      if (held === 0 || nowMs - changedMs < CHANGE_INTERVAL_MS) return
      changedMs = nowMs
      window = isFelt ? Math.max(window / 2, 1) : Math.min(window + GROWTH, max)
    }
  }
}
