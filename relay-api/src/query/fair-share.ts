/**
 * Fair share: who gets the connections of a pool. Whoever asks waits in a queue of its caller, and callers take turns.
 *
 *     a caller may hold more connections     while it holds fewer than SHARE times as many as then are free: 6 of 8 alone, 3
 *                                            each where two are greedy (dynamic thresholds, Choudhury and Hahne 1998). So there
 *                                            is one for whoever comes next
 *     long answers together                  a quarter, at least one: they wait for each other, and not others for them
 *     beside short ones                      half of that, at least one
 *
 * Beside other callers:
 *
 *     whoever takes the most of the          holds as many as its window: one more after each quick statement, half as many
 *     database's time, or nearly             after a slow one (additive increase, multiplicative decrease, Chiu and Jain
 *                                            1989). A statement that was not quick rests for as long as it worked before the
 *                                            same caller goes on
 *     a long answer                          rests like that, whoever asks, and the next long answer waits for it
 *
 * Nobody else is held up: the statements of whoever takes less are slow because of the others.
 *
 * Statements that are for nobody, such as the look-up of a key, go past this; connections are left for them.
 */
import { RelayError, type Database, type ForWhom } from 'relay-common'

import { createRotation } from './rotation.ts'

const SHARE = 3
/** left for what is for nobody, of pools that have so many */
const LEFT_FOR_OTHERS = 2
const LONG_PART = 1 / 4
const LONG_PART_BESIDE_SHORT = 1 / 8

/** A caller of whom nothing is known may have so many at once. */
const WINDOW_FIRST = 2
const QUICK_MAX_MS = 20
const SLOW_MIN_MS = 100
const REST_MAX_MS = 2_000
/** Whoever has asked within this time is there. */
const BESIDE_MS = 500
const LOOK_INTERVAL_MS = 50
/** of what another wants: from here on a caller is one of those that take the most */
const MOST_PART = 3 / 4
/** How long the time that statements took is remembered: after so many ms it counts a third, roughly. */
const LOAD_MS = 2_000
/** Callers whose windows are remembered. */
const CALLERS_MAX = 1_000

export interface ShareSettings {
  readonly DATABASE_POOL_MAX: number
  readonly DATABASE_CONNECT_TIMEOUT_MS: number
}

interface Waiting {
  readonly go: () => void
}

/** A connection that a caller has. */
export interface Share {
  /** @param isAway the database did not answer: that says nothing of the caller */
  giveBack (isAway?: boolean): void
}

/** @returns a database whose statements wait for their caller's share */
export function fairShare (database: Database, settings: ShareSettings, shares = createShares(settings)): Database {
  const within = async <T>(whom: ForWhom | undefined, run: () => Promise<T>): Promise<T> => {
    if (whom?.caller === undefined) return await run()
    const { caller, isLong = false, signal } = whom // as it is now: a short answer may become a long one meanwhile
    const share = await shares.take(caller, isLong, signal)
    let isAway = false
    try {
      return await run()
    } catch (error) {
      isAway = error instanceof RelayError && error.code === 'RELAY_DATABASE_UNREACHABLE'
      throw error
    } finally {
      share.giveBack(isAway)
    }
  }
  return {
    ...database,
    query: (sql, values, whom) => within(whom, () => database.query(sql, values, whom)),
    queryPrepared: (name, sql, values, whom) => within(whom, () => database.queryPrepared(name, sql, values, whom)),
    streamPrepared: (name, sql, values, visit, whom) =>
      within(whom, () => database.streamPrepared(name, sql, values, visit, whom))
  }
}

export interface Shares {
  /** how many statements wait for their caller's share now */
  readonly waiting: number
  /** Waits for a connection of a caller's share. @throws the reason of the signal; RelayError RELAY_DATABASE_UNREACHABLE */
  take (caller: string, isLong: boolean, signal?: AbortSignal): Promise<Share>
}

interface Caller {
  /** connections that it has */
  held: number
  /** time that its statements took; and the same with the time for which they rested, which it would have taken */
  readonly taken: Load
  readonly wanted: Load
  /** those that it had, and that rest */
  resting: number
  waiting: number
  window: number
  askedMs: number
  /** when one of its connections was given back last */
  servedMs: number
}

/** Time that statements took, ms, of which what is past counts less and less; and those under way. */
class Load {
  #ms = 0
  #atMs = 0
  #underWay = 0
  #startedSumMs = 0

  start (nowMs: number): void {
    this.#underWay++
    this.#startedSumMs += nowMs
  }

  /** @param counts whether the time it took says something of the caller */
  end (startedMs: number, nowMs: number, counts: boolean): void {
    this.#underWay--
    this.#startedSumMs -= startedMs
    this.#ms = this.#pastAt(nowMs) + (counts ? nowMs - startedMs : 0)
    this.#atMs = nowMs
  }

  at (nowMs: number): number {
    return this.#pastAt(nowMs) + this.#underWay * nowMs - this.#startedSumMs
  }

  #pastAt (nowMs: number): number {
    return this.#ms * Math.exp((this.#atMs - nowMs) / LOAD_MS)
  }
}

/** @param now ms of a clock that only goes on */
export function createShares (
  { DATABASE_POOL_MAX: poolMax, DATABASE_CONNECT_TIMEOUT_MS: waitMaxMs }: ShareSettings, now = () => performance.now()
): Shares {
  const max = poolMax > 2 * LEFT_FOR_OTHERS ? poolMax - LEFT_FOR_OTHERS : poolMax
  const partOf = (part: number) => Math.max(Math.floor(max * part), 1)
  const callers = new Map<string, Caller>()
  const short = createRotation<Waiting>()
  const long = createRotation<Waiting>()
  let free = max
  /** those of long answers, and those of them that rest */
  let longHeld = 0
  /** who asked last, and who of the others did */
  let latest: Caller | undefined
  let latestOther: Caller | undefined
  let latestShortMs = -Infinity
  /** the two that want most */
  let greediest: readonly Caller[] = []
  let lookedAtMs = -Infinity

  const ask = (name: string): Caller => {
    let caller = callers.get(name)
    if (caller === undefined) {
      if (callers.size >= CALLERS_MAX) forgetIdle(callers)
      callers.set(name, caller = {
        held: 0, taken: new Load(), wanted: new Load(), resting: 0, waiting: 0, window: WINDOW_FIRST, askedMs: 0, servedMs: 0
      })
    }
    if (latest !== caller) [latest, latestOther] = [caller, latest]
    caller.askedMs = now()
    return caller
  }
  const isBesideOthers = (caller: Caller) => {
    const other = latest === caller ? latestOther : latest
    return other !== undefined && now() - other.askedMs < BESIDE_MS
  }
  const mostWantedByOthers = (caller: Caller, nowMs: number) => {
    if (nowMs - lookedAtMs >= LOOK_INTERVAL_MS) {
      lookedAtMs = nowMs
      const wanted = [...callers.values()].map(it => ({ it, ms: it.wanted.at(nowMs) }))
      greediest = wanted.sort((a, b) => b.ms - a.ms).slice(0, 2).map(({ it }) => it)
    }
    return greediest.find(it => it !== caller)?.wanted.at(nowMs) ?? 0
  }
  const takesMost = (caller: Caller) => {
    const nowMs = now()
    return caller.taken.at(nowMs) >= MOST_PART * mostWantedByOthers(caller, nowMs)
  }
  const isHeldUp = (caller: Caller) => isBesideOthers(caller) && takesMost(caller)
  const mayBeLong = () => longHeld < partOf(now() - latestShortMs < BESIDE_MS ? LONG_PART_BESIDE_SHORT : LONG_PART)
  const mayHoldMore = (name: string) => {
    const caller = callers.get(name)!
    if (caller.held + caller.resting >= caller.window && isHeldUp(caller)) return false
    return caller.held === 0 || caller.held < SHARE * (free - 1) // the last one is for somebody who has none
  }
  const handOut = () => {
    for (;;) {
      if (free === 0) return
      const next = short.next(mayHoldMore) ?? (mayBeLong() ? long.next(mayHoldMore) : undefined)
      if (next === undefined) return
      next.go()
    }
  }

  const hold = (caller: Caller, isLong: boolean): Share => {
    const startedMs = now()
    for (const load of [caller.taken, caller.wanted]) load.start(startedMs)
    free--
    if (isLong) longHeld++
    caller.held++
    const end = () => {
      if (isLong) longHeld--
      handOut()
    }
    return {
      giveBack (isAway = false) {
        const endedMs = now()
        const tookMs = endedMs - startedMs
        free++
        caller.held--
        caller.servedMs = endedMs
        for (const load of [caller.taken, caller.wanted]) load.end(startedMs, endedMs, !isAway)
        if (isAway) return end()
        if (tookMs <= QUICK_MAX_MS) caller.window = Math.min(caller.window + 1, max)
        else if (tookMs >= SLOW_MIN_MS) caller.window = Math.max(Math.floor(caller.window / 2), 1)
        if (isLong ? !isBesideOthers(caller) : tookMs <= QUICK_MAX_MS || !isHeldUp(caller)) return end()
        caller.resting++
        caller.wanted.start(endedMs)
        handOut() // to others
        setTimeout(() => {
          caller.resting--
          caller.wanted.end(endedMs, now(), true)
          end()
        }, Math.min(tookMs, REST_MAX_MS))
      }
    }
  }

  return {
    get waiting () { return short.size + long.size },
    async take (name, isLong, signal) {
      signal?.throwIfAborted()
      const caller = ask(name)
      if (!isLong) latestShortMs = caller.askedMs
      const queue = isLong ? long : short
      if (queue.size === 0 && free > 0 && mayHoldMore(name) && (!isLong || mayBeLong())) return hold(caller, isLong)
      let timer: NodeJS.Timeout | undefined
      let onAbort: (() => void) | undefined
      caller.waiting++
      try {
        return await new Promise<Share>((resolve, reject) => {
          const waiting = { go: () => resolve(hold(caller, isLong)) }
          queue.add(name, waiting)
          handOut()
          onAbort = () => {
            queue.remove(name, waiting)
            reject(signal!.reason)
          }
          signal?.addEventListener('abort', onAbort, { once: true })
          if (isLong) return // it is its deadline that ends it
          const look = () => {
            const servedMs = now() - caller.servedMs
            if (caller.resting > 0 || servedMs < waitMaxMs) { // its others have their turns, and so will it
              timer = setTimeout(look, caller.resting > 0 ? waitMaxMs : waitMaxMs - servedMs)
              return
            }
            queue.remove(name, waiting)
            reject(new RelayError('RELAY_DATABASE_UNREACHABLE', `no connection was free for ${waitMaxMs} ms: others of this caller, or of many, hold them`))
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

/** Forgets one of whom there is nothing to remember but its window. */
function forgetIdle (callers: Map<string, Caller>): void {
  for (const [name, { held, resting, waiting }] of callers) {
    if (held + resting + waiting > 0) continue
    callers.delete(name)
    return
  }
}
