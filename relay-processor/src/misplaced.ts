/**
 * Misplaced readings: those that arrived in another partition than the home of their device. The home depends only on
 * the device id, so a reading that is sent twice, by any producers, meets itself there and counts once.
 *
 *     partition they came by ──flush: progress──▶ misplaced_readings ──flush: rows──▶ home
 *
 * Both flushes are transactions of the database that holds progress and rows, so no crash loses or doubles a reading.
 * Readings that arrive at their home cost nothing; if producers hash like Kafka's own clients, all do.
 */
import {
  ByteReader, ByteWriter, decodeReadings, encodeReadings, MINUTE_MS, READINGS_ENCODED_MAX, type Readings
} from 'relay-rollups'

import type { Arrivals } from './arrivals.ts'
import type { SeriesTable } from './series-table.ts'
import type { MisplacedRow, ReturnedReadings } from './store.ts'

/** The part of a partition that holds readings that reached their home. */
export interface ReturnTarget {
  readonly series: SeriesTable
  readonly arrivals: Arrivals
  readonly returning: Set<bigint>
  readonly taken: bigint[]
  readonly returnedSettledMs: Map<number, number>
  readonly settledTimeMaxMs: number
  eventTimeMaxMs: number
}

/** Encodes sorted readings of a series, in as many bodies as needed. */
function encodeMisplaced (
  timesMs: readonly number[] | Float64Array, values: readonly number[] | Float64Array
): Buffer[] {
  const bodies: Buffer[] = []
  for (let from = 0; from < timesMs.length; from += READINGS_ENCODED_MAX) {
    const readings = {
      timesMs: [...timesMs.slice(from, from + READINGS_ENCODED_MAX)],
      values: Array.from(values.slice(from, from + READINGS_ENCODED_MAX), it => it + 0) // -0 + 0 is 0
    }
    scratch.length = 0
    scratch.varint(readings.timesMs[0])
    encodeReadings(scratch, readings, readings.timesMs[0])
    bodies.push(Buffer.from(scratch.bytes.subarray(0, scratch.length)))
  }
  return bodies
}

const scratch = new ByteWriter()

/** Collects what a flush sends to the homes of devices. */
export class Misplaced {
  #rows: MisplacedRow[] = []

  /** Adds sorted readings of one series. */
  add (
    homePartition: number, seriesId: number, { timesMs, values }: Arrivals, start: number, end: number,
    settledMs: number
  ): void {
    const bodies = encodeMisplaced(timesMs.subarray(start, end), values.subarray(start, end))
    const seriesIds = bodies.map(() => seriesId)
    this.#rows.push({ homePartition, firstMs: timesMs[start], settledMs, readings: end - start, seriesIds, bodies })
  }

  take (): MisplacedRow[] {
    const rows = mergeMisplaced(this.#rows)
    this.#rows = []
    return rows
  }
}

/** One row per home, for any number of series and partitions. */
export function mergeMisplaced (rows: readonly MisplacedRow[]): MisplacedRow[] {
  return [...Map.groupBy(rows, it => it.homePartition)].map(([homePartition, ofHome]) => ({
    homePartition,
    firstMs: ofHome.reduce((least, it) => Math.min(least, it.firstMs), Infinity),
    settledMs: ofHome.reduce((least, it) => Math.min(least, it.settledMs), Infinity),
    readings: ofHome.reduce((sum, it) => sum + it.readings, 0),
    seriesIds: ofHome.flatMap(it => it.seriesIds),
    bodies: ofHome.flatMap(it => it.bodies)
  }))
}

/** @throws RelayError RELAY_ROLLUP_CORRUPT */
export function decodeMisplaced (body: Buffer): Readings {
  const reader = new ByteReader(body)
  return decodeReadings(reader, reader.varint())
}

/** The rest of a row of misplaced readings: those of some times. @returns a row, or none */
export function leftOf (
  seriesIds: readonly number[], bodies: readonly Buffer[], isLeft: (timeMs: number) => boolean
): Array<Omit<MisplacedRow, 'homePartition' | 'settledMs'>> {
  return seriesIds.flatMap((seriesId, n) => {
    const { timesMs, values } = decodeMisplaced(bodies[n])
    const left = [...timesMs.keys()].filter(it => isLeft(timesMs[it]))
    if (left.length === 0) return []
    const leftBodies = encodeMisplaced(left.map(it => timesMs[it]), left.map(it => values[it]))
    return [{
      firstMs: timesMs[left[0]], readings: left.length, seriesIds: leftBodies.map(() => seriesId), bodies: leftBodies
    }]
  })
}

/** Adds readings that reached their home to the arrivals of their partition, or forwards them to the current home. */
export function takeReturned (partition: ReturnTarget, { rowId, name, body, settledMs }: ReturnedReadings): void {
  takeReadings(partition, rowId, name, decodeMisplaced(body), settledMs)
}

/** The same for single readings. @param rowId row to remove after they are written */
export function takeReadings (
  partition: ReturnTarget, rowId: bigint, name: ReturnedReadings['name'], { timesMs, values }: Readings,
  settledMs: number
): void {
  if (!partition.returning.has(rowId)) partition.taken.push(rowId)
  partition.returning.add(rowId)
  const { index } = partition.series.findOrAdd(name)
  for (const [n, timeMs] of timesMs.entries()) {
    partition.arrivals.add(index, timeMs, values[n])
    const key = returnedKey(index, timeMs)
    partition.returnedSettledMs.set(key, Math.min(partition.returnedSettledMs.get(key) ?? Infinity, settledMs))
  }
  partition.eventTimeMaxMs = Math.max(partition.eventTimeMaxMs, timesMs.at(-1) ?? -Infinity)
}

/**
 * Event time before which a minute of a device counts as late. Readings that arrived in another partition use what that
 * one had settled, because this one progressed while they were on their way.
 */
export function lateBeforeMs (
  { settledTimeMaxMs, returnedSettledMs }: Pick<ReturnTarget, 'settledTimeMaxMs' | 'returnedSettledMs'>, index: number,
  timeMs: number
): number {
  if (returnedSettledMs.size === 0) return settledTimeMaxMs
  return Math.min(settledTimeMaxMs, returnedSettledMs.get(returnedKey(index, timeMs)) ?? Infinity)
}

const SERIES_INDEX_MAX = 2 ** 24

/** A series, by its index, and a minute: 24 bits and 29, exact in a double. */
function returnedKey (index: number, timeMs: number): number {
  return Math.floor(timeMs / MINUTE_MS) * SERIES_INDEX_MAX + index
}
