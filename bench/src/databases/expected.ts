/**
 * The right answers, by a plain computation over all readings, each counted once: no index, no rollup, no code of
 * Relay. And whether an answer is right.
 */
import { HOUR_MS } from 'relay-rollups'

import type { Answer, AnswerRow, BenchmarkQuery, RangeQuery, Selection } from './queries.ts'
import { TOP } from './queries.ts'
import { readingsPerHour, storedHours, tailReadings, type Stored } from './readings.ts'
import { readingTimeMs, type FleetDevice } from '../history-fleet.ts'

/** Neumaier's sum: its error is far below the tolerance of the comparison. */
class ExpectedTotal {
  count = 0
  min = Infinity
  max = -Infinity
  #sum = 0
  #rest = 0
  /** how many there are of each value, in tenths, which all values are whole numbers of */
  readonly tenths?: Uint32Array

  constructor (hasTenths: boolean) {
    if (hasTenths) this.tenths = new Uint32Array(10_000)
  }

  add (value: number): void {
    this.count++
    this.min = Math.min(this.min, value)
    this.max = Math.max(this.max, value)
    if (this.tenths) this.tenths[Math.round(value * 10)]++
    this.#addSum(value)
  }

  merge (other: ExpectedTotal): void {
    this.count += other.count
    this.min = Math.min(this.min, other.min)
    this.max = Math.max(this.max, other.max)
    this.#addSum(other.#sum)
    this.#addSum(other.#rest)
  }

  #addSum (value: number): void {
    const sum = this.#sum + value
    this.#rest += Math.abs(this.#sum) >= Math.abs(value) ? this.#sum - sum + value : value - sum + this.#sum
    this.#sum = sum
  }

  get avg (): number {
    return (this.#sum + this.#rest) / this.count
  }

  /** interpolated between the two values around its place */
  percentile (share: number): number {
    const place = (this.count - 1) * share
    const below = this.#valueAt(Math.floor(place))
    return below + (this.#valueAt(Math.ceil(place)) - below) * (place % 1)
  }

  #valueAt (place: number): number {
    let tenth = 0
    for (let seen = this.tenths![0]; seen <= place; seen += this.tenths![tenth]) tenth++
    return tenth / 10
  }
}

/** Tallies of one query, by the row that a reading belongs to. */
interface Asked {
  readonly query: RangeQuery
  readonly rows: Map<string | number, ExpectedTotal>
}

/** Answers to all queries. */
export function computeAnswers (stored: Stored, queries: readonly BenchmarkQuery[]): Map<BenchmarkQuery, Answer> {
  const asked = queries.filter(it => it.kind !== 'latest').map((query): Asked => ({ query, rows: new Map() }))
  const newest = stored.fleet.map(() => ({ timeMs: -Infinity, value: NaN }))
  const see = (n: number, timeMs: number, value: number) => {
    if (timeMs > newest[n].timeMs) newest[n] = { timeMs, value }
  }
  const perHour = readingsPerHour(stored)
  for (const { hourMs, values } of storedHours(stored)) {
    for (const [n, device] of stored.fleet.entries()) {
      const hour = new ExpectedTotal(false)
      for (const value of values[n]) hour.add(value)
      see(n, readingTimeMs(n, hourMs, perHour - 1, stored.readingMs), values[n][perHour - 1])
      for (const it of asked) {
        const { startMs, endMs, kind } = it.query
        if (!isSelected(it.query.selection, device) || hourMs + HOUR_MS <= startMs || hourMs >= endMs) continue
        if (kind !== 'p99' && hourMs >= startMs && hourMs + HOUR_MS <= endMs) {
          totalOf(it, device, hourMs).merge(hour)
          continue
        }
        for (let at = 0; at < perHour; at++) {
          addTo(it, device, readingTimeMs(n, hourMs, at, stored.readingMs), values[n][at])
        }
      }
    }
  }
  for (const { n, timeMs, value, isResent } of tailReadings(stored)) {
    if (isResent) continue
    see(n, timeMs, value)
    for (const it of asked) {
      if (isSelected(it.query.selection, stored.fleet[n])) addTo(it, stored.fleet[n], timeMs, value)
    }
  }
  const latest = stored.fleet.map(({ id }, n) => ({ device: id, ...newest[n] }))
  return new Map(queries.map(it =>
    [it, it.kind === 'latest' ? latest : render(asked.find(({ query }) => query === it)!)]))
}

function isSelected ({ device, zone, type }: Selection, it: FleetDevice): boolean {
  return (device ?? it.id) === it.id && (zone ?? it.zone) === it.zone && (type ?? it.type) === it.type
}

function addTo (asked: Asked, device: FleetDevice, timeMs: number, value: number): void {
  const { startMs, endMs } = asked.query
  if (timeMs >= startMs && timeMs < endMs) totalOf(asked, device, timeMs).add(value)
}

function totalOf ({ query, rows }: Asked, device: FleetDevice, timeMs: number): ExpectedTotal {
  const key = query.kind === 'top' ? device.id : query.kind === 'rows' ? rowOf(query, timeMs) : ''
  let tally = rows.get(key)
  if (!tally) rows.set(key, tally = new ExpectedTotal(query.kind === 'p99'))
  return tally
}

const clocks = new Map<string, Intl.DateTimeFormat>()
const days = new Map<string, string>()

/** In a zone with whole hours of offset, hours are hours of UTC, and days those of its clock. */
function rowOf ({ interval, timeZone }: RangeQuery & { kind: 'rows' }, timeMs: number): string | number {
  const hourMs = Math.floor(timeMs / HOUR_MS) * HOUR_MS
  if (interval === 'hour') return hourMs
  const key = `${timeZone} ${hourMs}`
  let day = days.get(key)
  if (day === undefined) {
    let clock = clocks.get(timeZone)
    if (!clock) clocks.set(timeZone, clock = new Intl.DateTimeFormat('sv', { timeZone, dateStyle: 'short' }))
    days.set(key, day = clock.format(hourMs))
  }
  return day
}

function render ({ query, rows }: Asked): Answer {
  const tallies = [...rows]
  if (query.kind === 'top') {
    return tallies.map(([, it]) => ({ avg: it.avg })).sort((a, b) => b.avg - a.avg).slice(0, TOP)
  }
  if (query.kind === 'p99') return tallies.map(([, it]) => ({ p99: it.percentile(0.99) }))
  return tallies.sort(([a], [b]) => a < b ? -1 : 1).map(([, { count, min, max, avg }]) => ({ count, min, max, avg }))
}

const AVG_ERROR = 1e-9
/** Sketches are allowed to be off by as much; Relay states 0.5 %. */
const PERCENTILE_ERROR = 0.01

/** @returns what is wrong with an answer; undefined: it is right */
export function findFault (answer: Answer, expected: Answer): string | undefined {
  if (answer.length !== expected.length) return `${answer.length} rows for ${expected.length}`
  for (const [n, row] of expected.entries()) {
    for (const [name, right] of Object.entries(row) as Array<[keyof AnswerRow, string | number]>) {
      const said = answer[n][name]
      const error = name === 'avg' ? AVG_ERROR : name === 'p99' ? PERCENTILE_ERROR : 0
      const isRight = error > 0
        ? Math.abs(Number(said) - Number(right)) <= error * Math.abs(Number(right))
        : said === right
      if (!isRight) return `${name} ${said} for ${right}`
    }
  }
  return undefined
}
