/** Queries of the API benchmark: random devices, zones and days, the same in every run. */
import { DAY_MS, HOUR_MS } from 'relay-rollups'

import { createRandom } from 'relay-test-support/chance.ts'
import { createFleet, READINGS_PER_HOUR } from './history-fleet.ts'
import type { History } from './history.ts'

export interface ApiRequest {
  readonly path: string
  /** readings that the answer must count */
  readonly count: number
}

export interface Scenario {
  readonly name: string
  readonly requests: readonly ApiRequest[]
}

const REQUESTS = 400

/**
 * Whole UTC days anywhere in the history, and ranges with arbitrary ends in minutes: those lie where minutes are kept,
 * and have edges of both kinds.
 */
export function createScenarios (history: History): Scenario[] {
  const fleet = createFleet(history.devices, history.zones)
  const random = createRandom(20260101)
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)]
  const zones = [...new Set(fleet.map(it => it.zone))]
  const types = [...new Set(fleet.map(it => it.type))]
  const readingsPerDay = READINGS_PER_HOUR * DAY_MS / HOUR_MS

  const ask = (selection: string, devices: number, startMs: number, days: number): ApiRequest => ({
    path: `/api/events/${selection}?startTime=${toIso(startMs)}&endTime=${toIso(startMs + days * DAY_MS)}`,
    count: devices * days * readingsPerDay
  })
  /** the same with `/api/v1`, in rows of a day */
  const askRows = ({ path, count }: ApiRequest): ApiRequest => {
    const { pathname, searchParams } = new URL(path, 'http://localhost')
    const [, , , kind, name] = pathname.split('/')
    const query = new URLSearchParams({
      [kind]: decodeURIComponent(name), interval: '1d', stats: 'count,avg,min,max,median'
    })
    query.set('start', searchParams.get('startTime')!)
    query.set('end', searchParams.get('endTime')!)
    return { path: `/api/v1/aggregates?${query}`, count }
  }
  const device = () => ({ selection: `device/${pick(fleet).id}`, devices: 1 })
  const zone = () => {
    const zone = pick(zones)
    return { selection: `zone/${encodeURIComponent(zone)}`, devices: fleet.filter(it => it.zone === zone).length }
  }
  const type = () => {
    const type = pick(types)
    return { selection: `type/${type}`, devices: fleet.filter(it => it.type === type).length }
  }
  const zoneAndType = () => {
    const { zone, type } = pick(fleet)
    const devices = fleet.filter(it => it.zone === zone && it.type === type).length
    return { selection: `zone/${encodeURIComponent(zone)}/type/${type}`, devices }
  }
  const anyDays = (days: number) =>
    history.endMs - history.days * DAY_MS + Math.floor(random() * (history.days - days + 1)) * DAY_MS
  /** both ends within the newest days */
  const anyMs = (days: number) =>
    history.endMs - days * DAY_MS - Math.floor(random() * (history.minuteDays - days) * DAY_MS)

  const scenario = (name: string, selection: typeof device, days: number, start: (days: number) => number) => ({
    name,
    requests: Array.from({ length: REQUESTS }, () => {
      const { selection: path, devices } = selection()
      return ask(path, devices, start(days), days)
    })
  })
  const rows = (name: string, { requests }: Scenario): Scenario => ({ name, requests: requests.map(askRows) })
  return [
    scenario('a device, a day', device, 1, anyDays),
    scenario('a device, 24 h to the ms', device, 1, anyMs),
    scenario('a device, 365 days', device, 365, anyDays),
    scenario('a zone, a day', zone, 1, anyDays),
    scenario('a zone, 24 h to the ms', zone, 1, anyMs),
    scenario('a zone, 30 days', zone, 30, anyDays),
    scenario('a zone, 365 days', zone, 365, anyDays),
    scenario('a type, a day', type, 1, anyDays),
    scenario('a type, 30 days', type, 30, anyDays),
    scenario('a type, 365 days', type, 365, anyDays),
    scenario('a zone and type, a day', zoneAndType, 1, anyDays),
    scenario('a zone and type, 30 days', zoneAndType, 30, anyDays),
    scenario('a zone and type, 365 days', zoneAndType, 365, anyDays),
    rows('v1: a device, 7 rows of a day', scenario('', device, 7, anyDays)),
    rows('v1: a zone, 30 rows of a day', scenario('', zone, 30, anyDays)),
    rows('v1: a type, 30 rows of a day', scenario('', type, 30, anyDays))
  ]
}

function toIso (timeMs: number): string {
  return new Date(timeMs).toISOString()
}
