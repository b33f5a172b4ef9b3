/**
 * Medians and percentiles of a year of ten million readings, compared with those of the sorted readings: is the true
 * value within the stated bound?
 */
import { DAY_MS, HOUR_MS } from 'relay-rollups'

import { headers, startApi } from './api-server.ts'
import { openHistory } from './history-database.ts'
import { fillHour, READINGS_PER_HOUR } from './history-fleet.ts'
import type { History } from './history.ts'
import { readCircumstances, writeResults } from './results.ts'

/** One zone with devices of all types; 20 of them send 10.5 million readings in a year. */
const history: History = { devices: 20, zones: 1, partitions: 8, endMs: Date.UTC(2026, 0, 1), days: 365, minuteDays: 1 }
const PERCENTILES = [1, 5, 25, 50, 75, 95, 99, 99.9]

export interface AccuracyResult {
  readonly readings: number
  readonly found: ReadonlyArray<ReturnType<typeof compare>>
}

/** Runs the check, prints a table and stores it in `bench/results/accuracy.json`; fails if a bound does not hold. */
export async function benchAccuracy ({ quick = false }: { quick?: boolean }): Promise<void> {
  const circumstances = await readCircumstances(quick)
  await using opened = new AsyncDisposableStack()
  const postgres = opened.adopt(await openHistory('accuracy', history), it => it.close())
  const api = opened.use(await startApi(postgres.database))
  const startMs = history.endMs - history.days * DAY_MS

  const [start, end] = [startMs, history.endMs].map(it => new Date(it).toISOString())
  const answer = await ask(`${api.url}/api/events/zone/Zone%20A?startTime=${start}&endTime=${end}`)
  const readings = readingsOf(startMs)
  if (answer.count !== readings.length) {
    throw new Error(`${readings.length} readings are there; the answer counts ${answer.count}`)
  }
  const found = [compare('median', answer.medianValue, answer.medianError, quantileOf(readings, 0.5))]
  for (const percentile of PERCENTILES) {
    const query = new URLSearchParams({ start, end, zone: 'Zone A', groupBy: 'zone', stat: `p${percentile}` })
    const [{ value, error }] = (await ask(`${api.url}/api/v1/top?${query}`)).rows
    found.push(compare(`p${percentile}`, value, error, quantileOf(readings, percentile / 100)))
  }
  console.table(found)
  const result: AccuracyResult = { readings: readings.length, found }
  await writeResults('accuracy', circumstances, result, {})
  const wrong = found.filter(it => !it.isWithin)
  if (wrong.length > 0) throw new Error(`${wrong.map(it => it.name).join(', ')}: not within the bound`)
}

async function ask (url: string): Promise<any> {
  const response = await fetch(url, { headers })
  if (!response.ok) throw new Error(`${url}: ${await response.text()}`)
  return await response.json()
}

/** All of them, sorted. */
function readingsOf (startMs: number): Float64Array {
  const readings = new Float64Array(history.devices * history.days * DAY_MS / HOUR_MS * READINGS_PER_HOUR)
  let at = 0
  for (let device = 0; device < history.devices; device++) {
    for (let hourMs = startMs; hourMs < history.endMs; hourMs += HOUR_MS, at += READINGS_PER_HOUR) {
      fillHour(device, hourMs, readings.subarray(at, at + READINGS_PER_HOUR))
    }
  }
  return readings.sort()
}

/** Like numpy's `linear`. */
function quantileOf (sorted: Float64Array, q: number): number {
  const place = (sorted.length - 1) * q
  const below = Math.floor(place)
  const a = sorted[below]
  return a + (sorted[Math.min(below + 1, sorted.length - 1)] - a) * (place - below)
}

function compare (name: string, value: number, error: number, exact: number) {
  const offBy = Math.abs(value - exact)
  return { name, value, bound: error, exact, offBy, isWithin: offBy <= error }
}
