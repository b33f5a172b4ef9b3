/** Queries to all databases: of random devices, zones and types, the same in every run. */
import { DAY_MS, HOUR_MS } from 'relay-rollups'

import { createRandom } from 'relay-test-support/chance.ts'
import type { Stored } from './readings.ts'

export interface Selection {
  readonly device?: string
  readonly zone?: string
  readonly type?: string
}

export type BenchmarkQuery =
  | {
    readonly kind: 'total' | 'p99' | 'top'
    readonly selection: Selection
    readonly startMs: number
    readonly endMs: number
  }
  | {
    readonly kind: 'rows'
    readonly selection: Selection
    readonly startMs: number
    readonly endMs: number
    readonly interval: 'hour' | 'day'
    /** IANA name; hours and days are those of its clock */
    readonly timeZone: string
  }
  /** the newest reading of each device */
  | { readonly kind: 'latest', readonly selection: Selection }

export type RangeQuery = Exclude<BenchmarkQuery, { kind: 'latest' }>

/** Rows in order of time (`rows`), of the number (`top`) or of the device (`latest`); else there is one. */
export type Answer = readonly AnswerRow[]

export interface AnswerRow {
  readonly device?: string
  readonly timeMs?: number
  readonly value?: number
  readonly count?: number
  readonly min?: number
  readonly max?: number
  readonly avg?: number
  readonly p99?: number
}

export interface QueryGroup {
  readonly name: string
  readonly queries: readonly BenchmarkQuery[]
}

/** The history ends two days after its clocks were set back. */
export const TIME_ZONE = 'Europe/Berlin'
export const END_MS = Date.UTC(2026, 9, 27)
export const TOP = 10

/**
 * Ranges end at any second of the last hour, so they begin and end within minutes, as those of a dashboard. Queries
 * whose range is longer than the history are left out.
 */
export function createQueries (stored: Stored, each: number): QueryGroup[] {
  const { fleet, days, endMs } = stored
  const random = createRandom(20261027)
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)]
  const zones = [...new Set(fleet.map(it => it.zone))]
  const types = [...new Set(fleet.map(it => it.type))]
  const device = () => ({ device: pick(fleet).id })
  const zone = () => ({ zone: pick(zones) })
  const type = () => ({ type: pick(types) })
  const all = () => ({})
  const range = (sizeMs: number) => {
    const end = endMs - Math.floor(random() * HOUR_MS / 1000) * 1000
    return { startMs: end - sizeMs, endMs: end }
  }
  const month = 30 * DAY_MS
  const group = (name: string, sizeMs: number, query: () => BenchmarkQuery) =>
    ({ name, sizeMs, queries: Array.from({ length: each }, query) })
  const ranges = (kind: 'total' | 'p99' | 'top', name: string, selection: () => Selection, sizeMs: number) =>
    group(name, sizeMs, () => ({ kind, selection: selection(), ...range(sizeMs) }))
  /** from midnight to midnight, or from hour to hour, of UTC */
  const rows = (name: string, sizeMs: number, interval: 'hour' | 'day', timeZone: string) => group(name, sizeMs, () =>
    ({ kind: 'rows', selection: zone(), startMs: endMs - sizeMs, endMs, interval, timeZone }))
  const rowDays = Math.min(30, Math.max(days - 1, 1))
  return [
    ranges('total', 'a device, an hour', device, HOUR_MS),
    ranges('total', 'a device, a day', device, DAY_MS),
    ranges('total', 'a device, 30 days', device, month),
    ranges('total', 'a zone, an hour', zone, HOUR_MS),
    ranges('total', 'a zone, a day', zone, DAY_MS),
    ranges('total', 'a zone, 30 days', zone, month),
    rows('a zone, a day by hour', DAY_MS, 'hour', 'UTC'),
    rows(`a zone, ${rowDays} days by day, ${TIME_ZONE}`, rowDays * DAY_MS, 'day', TIME_ZONE),
    ranges('total', 'a type, a day', type, DAY_MS),
    ranges('total', 'a type, 30 days', type, month),
    ranges('p99', 'p99 of a device, a day', device, DAY_MS),
    ranges('p99', 'p99 of a zone, a day', zone, DAY_MS),
    ranges('p99', 'p99 of a zone, 30 days', zone, month),
    ranges('top', 'top ten devices, a day', all, DAY_MS),
    group('latest of all devices', 0, () => ({ kind: 'latest', selection: {} }))
  ].filter(it => it.sizeMs <= (days - 1) * DAY_MS || it.sizeMs <= HOUR_MS)
}
