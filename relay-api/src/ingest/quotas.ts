/**
 * Quotas of lasting data: an event of a new series, a new zone or a past time without rollups creates rows and tables
 * that no retention removes soon. So a caller may only create so many per hour.
 *
 *     event ──series in memory, time recent or with rollups──▶ taken                     nearly all: 0.2 us
 *        └──else──▶ look-up by the unique key ──there──▶ taken, and in memory from now on
 *                          └──not there──▶ quota ──enough──▶ taken, and counts as there ──┐
 *                                            └──not enough──▶ refused: quota-exceeded     └─▶ sent again, it is free
 *
 * While the database is unreachable, series that are not in memory count as new.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'

import { within, type Database, type Logger } from 'relay-common'
import type { DeviceEvent } from 'relay-rollups'
import { LruMap } from 'toad-cache'

import type { Budgets } from '../budgets/budgets.ts'
import { budgets as declared, type SpentBudget } from '../budgets/declared.ts'
import type { MaybeNew, Known, Refused } from './accept.ts'
import { KnownSeries } from './known-series.ts'
import { createRollupTimes, type RollupTimes } from './rollup-times.ts'

export interface Quotas extends Known {
  /**
   * Spends the quotas for what some events create. Calls of one caller run in order, and waiting ones are combined.
   * @param caller id of a principal
   * @param maybeNew events that may create something
   * @returns those that are refused
   */
  spend (caller: string, maybeNew: readonly MaybeNew[], nowMs: number): Promise<ReadonlyMap<MaybeNew, Refused>>
  /** When to retry refused events. */
  retryAfterS (caller: string): number
}

/** Events per turn of the event loop, and so series per statement: a name of 384 bytes takes some us to hash. */
const TURN_EVENTS = 500
/** Zones in memory; the longest unused are evicted. */
const ZONES_MAX = 20_000
/** Longest wait of events for their look-ups. */
const LOOKUP_TIMEOUT_MS = 3_000
/** Time after a failed look-up in which nobody waits for another. */
const AWAY_MS = 5_000
/** Quotas for which an event may be refused. */
const quotaNames = ['newSeries', 'newZones', 'newPartitions', 'seriesLookups'] as const satisfies readonly SpentBudget[]

export function createQuotas (database: Database, budgets: Budgets, log: Logger): Quotas {
  const known = new KnownSeries()
  const knownZones = new LruMap<true>(ZONES_MAX)
  const times = createRollupTimes(database)
  let awayUntilMs = -Infinity

  /** @returns the result of the database; undefined: unreachable */
  const askUntil = (untilMs: number) => async <T>(lookUp: () => Promise<T>): Promise<T | undefined> => {
    const nowMs = performance.now()
    if (nowMs < awayUntilMs) return undefined
    try {
      return await within(Math.max(1, untilMs - nowMs), lookUp())
    } catch (error) {
      awayUntilMs = performance.now() + AWAY_MS
      log.warn({ err: error }, 'could not look up series in the database: until it answers, series that are not in ' +
        'memory count as new')
      return undefined
    }
  }

  const spendTogether = async (caller: string, maybeNew: readonly MaybeNew[], nowMs: number) => {
    const refused = new Refusals()
    const ask = askUntil(performance.now() + LOOKUP_TIMEOUT_MS)
    await spendPartitions(caller, maybeNew, nowMs, { times, budgets, ask, refused })
    const rest = refused.rest(maybeNew)
    for (let at = 0; at < rest.length; at += TURN_EVENTS) {
      if (at > 0) await nextTurn()
      const unknown = rest.slice(at, at + TURN_EVENTS).filter(it => !known.has(it.event))
      if (unknown.length > 0) await spendSeries(caller, unknown, { known, knownZones, budgets, ask, database, refused })
    }
    return refused.byEvent
  }

  /** by caller, calls that wait for the current one */
  const waiting = new Map<string, Spending[]>()
  const spendAll = async (caller: string, own: Spending[]) => {
    while (own.length > 0) {
      const together = own.splice(0)
      const nowMs = Math.max(...together.map(it => it.nowMs))
      try {
        const refused = await spendTogether(caller, together.flatMap(it => it.maybeNew), nowMs)
        for (const it of together) it.done(refused)
      } catch (error) {
        for (const it of together) it.failed(error)
      }
    }
    waiting.delete(caller)
  }

  return {
    isFree: (event, nowMs) => known.has(event) && times.isCovered(event.timestampMs, nowMs),
    isScannedFree: (event, nowMs) => known.hasScanned(event) && times.isCovered(event.timestampMs, nowMs),
    spend: (caller, maybeNew, nowMs) => new Promise((resolve, reject) => {
      const spending: Spending = { maybeNew, nowMs, done: resolve, failed: reject }
      const own = waiting.get(caller) ?? []
      own.push(spending)
      if (waiting.has(caller)) return
      waiting.set(caller, own)
      spendAll(caller, own)
    }),
    retryAfterS: caller => Math.max(...quotaNames.map(it => budgets.waitS(it, caller, 1)))
  }
}

interface Spending {
  readonly maybeNew: readonly MaybeNew[]
  readonly nowMs: number
  readonly done: (refused: ReadonlyMap<MaybeNew, Refused>) => void
  readonly failed: (error: unknown) => void
}

interface Asking {
  readonly budgets: Budgets
  readonly ask: <T>(lookUp: () => Promise<T>) => Promise<T | undefined>
  readonly refused: Refusals
}

interface Memory {
  readonly known: KnownSeries
  readonly knownZones: LruMap<true>
}

async function spendPartitions (
  caller: string, maybeNew: readonly MaybeNew[], nowMs: number,
  { times, budgets, ask, refused }: Asking & { times: RollupTimes }
): Promise<void> {
  const isOld = ({ event }: MaybeNew) => !times.isCovered(event.timestampMs, nowMs)
  if (!maybeNew.some(isOld)) return
  await ask(() => times.refresh())
  const old = maybeNew.filter(isOld)
  const partitions = new Map(old.map(it => [it, times.partitionOf(it.event.timestampMs, nowMs)]))
  const paid = new Set(paidOf(budgets, 'newPartitions', caller, [...new Set(partitions.values())]))
  for (const partition of paid) times.add(partition)
  for (const [it, partition] of partitions) if (!paid.has(partition)) refused.add(it, 'newPartitions', 'timestamp')
}

/** @param unknown events of series that are not in memory, few enough for a statement */
async function spendSeries (
  caller: string, unknown: readonly MaybeNew[],
  { known, knownZones, budgets, ask, database, refused }: Asking & Memory & { database: Database }
): Promise<void> {
  const series = new Map<string, DeviceEvent>()
  for (const { event } of unknown) series.set(nameOf(event), event)
  const names = [...series.keys()]
  const lookedUp = paidOf(budgets, 'seriesLookups', caller, names)
  await ask(async () => {
    const asked = lookedUp.map(it => series.get(it)!)
    for (const place of await findSeries(database, asked)) known.add(asked[place])
  })
  const fresh = lookedUp.filter(it => !known.has(series.get(it)!))
  const freshZones = [...new Set(fresh.map(it => series.get(it)!.zone))].filter(it => !knownZones.get(it))
  if (freshZones.length > 0) {
    await ask(async () => {
      for (const zone of await findZones(database, freshZones)) knownZones.set(zone, true)
    })
  }
  // no await from here on, so that nothing is paid twice that another request of the caller has paid meanwhile
  const newZones = freshZones.filter(it => !knownZones.get(it))
  const paidZones = paidOf(budgets, 'newZones', caller, newZones)
  for (const it of paidZones) knownZones.set(it, true)
  const refusedZones = new Set(newZones.slice(paidZones.length))

  const wanted = fresh.filter(it => !refusedZones.has(series.get(it)!.zone) && !known.has(series.get(it)!))
  for (const it of paidOf(budgets, 'newSeries', caller, wanted)) known.add(series.get(it)!)

  const isLookedUp = new Set(lookedUp)
  for (const it of unknown) {
    if (known.has(it.event)) continue
    if (!isLookedUp.has(nameOf(it.event))) refused.add(it, 'seriesLookups', 'deviceId')
    else if (refusedZones.has(it.event.zone)) refused.add(it, 'newZones', 'zone')
    else refused.add(it, 'newSeries', 'deviceId')
  }
}

/** The first items, as many as the caller may create. */
function paidOf<T> (budgets: Budgets, name: SpentBudget, caller: string, things: readonly T[]): readonly T[] {
  return things.length === 0 ? things : things.slice(0, budgets.spendUpTo(name, caller, things.length))
}

class Refusals {
  readonly byEvent = new Map<MaybeNew, Refused>()

  add (event: MaybeNew, name: SpentBudget, field: Refused['field']): void {
    const detail = `quota of ${declared[name].what} used up (${declared[name].setting}); try again later`
    this.byEvent.set(event, { index: event.index, reason: 'quota-exceeded', field, detail })
  }

  rest (events: readonly MaybeNew[]): readonly MaybeNew[] {
    return this.byEvent.size === 0 ? events : events.filter(it => !this.byEvent.has(it))
  }
}

/** Ids contain no control characters. */
const nameOf = ({ deviceId, zone, deviceType }: DeviceEvent) => `${deviceId}\n${zone}\n${deviceType}`

/**
 * Each name by the unique key, for any size of zones and any statistics: a row comparison can use no other index, and
 * only its order makes the first row cheap.
 * @returns the indexes of existing series
 */
export async function findSeries (database: Database, series: readonly DeviceEvent[]): Promise<number[]> {
  const rows = await database.queryPrepared<{ place: number }>('find series of events', `
    select n.place::integer - 1 as place
    from unnest($1::text[], $2::text[], $3::text[]) with ordinality as n (device_id, zone, device_type, place)
    cross join lateral (
      select from series s
      where (s.device_id, s.zone, s.device_type) >= (n.device_id, n.zone, n.device_type)
        and (s.device_id, s.zone, s.device_type) <= (n.device_id, n.zone, n.device_type)
      order by s.device_id, s.zone, s.device_type limit 1
    ) s`, [series.map(it => it.deviceId), series.map(it => it.zone), series.map(it => it.deviceType)])
  return rows.map(it => it.place)
}

/** Each zone by one of its groups, which are adjacent in the unique index; a zone with devices has one. */
export async function findZones (database: Database, zones: readonly string[]): Promise<string[]> {
  const rows = await database.queryPrepared<{ zone: string }>('find zones of events', `
    select n.zone from unnest($1::text[]) as n (zone)
    cross join lateral (
      select from series s where s.device_id is null and s.zone >= n.zone and s.zone <= n.zone
      order by s.device_id, s.zone, s.device_type limit 1
    ) s`, [zones])
  return rows.map(it => it.zone)
}
