/**
 * Misplaced readings: those that came by another partition than their device's home. Where a device is at home depends
 * on its id alone, so a reading that is sent twice, by whatever producers, meets itself there and counts once.
 *
 *     partition they came by ──flush: progress──▶ misplaced_readings ──flush: rows──▶ home
 *
 * Both flushes are transactions of the database that holds progress and rows, so no crash loses or doubles a reading.
 * Readings that came by their home, which are all where producers hash as Kafka's own clients do, cost nothing.
 */
import {
  ByteReader, ByteWriter, decodeReadings, encodeReadings, MINUTE_MS, partitionOf, READINGS_ENCODED_MAX, type Readings
} from 'relay-common'

import type { Arrivals } from './arrivals.ts'
import type { Partition } from './partition.ts'
import type { ReturnedReadings } from './store.ts'

/** Where devices are at home. */
export interface Homes {
  /** devices are shared out among so many partitions */
  readonly partitions: number
  /**
   * Newest event time when that was decided, ms; -Infinity: there was none. Readings of buckets that begin later are at
   * home, all of them.
   */
  readonly horizonMs: number
}

/** The partition that a device's readings count in. @param deviceId UTF-8 */
export function homeOf (deviceId: Uint8Array, { partitions }: Homes): number {
  return partitionOf(deviceId, partitions)
}

/** Readings on their way to one home. */
export interface MisplacedRow {
  readonly homePartition: number
  readonly firstMs: number
  /** event time that the partition they came by had settled before, ms: readings of minutes before that came late */
  readonly settledMs: number
  readonly readings: number
  readonly seriesIds: readonly number[]
  /** by series */
  readonly bodies: readonly Buffer[]
}

/** Gathers what a flush sends to the homes of devices. */
export class Misplaced {
  #rows: MisplacedRow[] = []
  readonly #body = new ByteWriter()

  /** Adds readings of one series, which are sorted. */
  add (
    homePartition: number, seriesId: number, { timesMs, values }: Arrivals, start: number, end: number, settledMs: number
  ): void {
    const bodies: Buffer[] = []
    for (let from = start; from < end; from += READINGS_ENCODED_MAX) {
      const to = Math.min(end, from + READINGS_ENCODED_MAX)
      const readings = { timesMs: [...timesMs.subarray(from, to)], values: Array.from(values.subarray(from, to), it => it + 0) }
      this.#body.length = 0
      this.#body.varint(readings.timesMs[0])
      encodeReadings(this.#body, readings, readings.timesMs[0])
      bodies.push(Buffer.from(this.#body.bytes.subarray(0, this.#body.length)))
    }
    const seriesIds = bodies.map(() => seriesId)
    this.#rows.push({ homePartition, firstMs: timesMs[start], settledMs, readings: end - start, seriesIds, bodies })
  }

  take (): MisplacedRow[] {
    const rows = mergeMisplaced(this.#rows)
    this.#rows = []
    return rows
  }
}

/** One row per home, however many series and partitions its readings are of. */
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

/** Adds readings that have come home to what has arrived in their partition, or is to go on to where it is at home now. */
export function takeReturned (partition: Partition, { rowId, name, body, settledMs }: ReturnedReadings): void {
  if (!partition.returning.has(rowId)) partition.taken.push(rowId)
  partition.returning.add(rowId)
  const { index } = partition.series.findOrAdd(name)
  const { timesMs, values } = decodeMisplaced(body)
  for (const [n, timeMs] of timesMs.entries()) {
    partition.arrivals.add(index, timeMs, values[n])
    const key = returnedKey(index, timeMs)
    partition.returnedSettledMs.set(key, Math.min(partition.returnedSettledMs.get(key) ?? Infinity, settledMs))
  }
  partition.eventTimeMaxMs = Math.max(partition.eventTimeMaxMs, timesMs.at(-1) ?? -Infinity)
}

/**
 * Event time before which a minute of a device counts as late. For readings that came by another partition it is what
 * that one had settled: this one has gone on while they were on their way.
 */
export function lateBeforeMs ({ settledTimeMaxMs, returnedSettledMs }: Partition, index: number, timeMs: number): number {
  if (returnedSettledMs.size === 0) return settledTimeMaxMs
  return Math.min(settledTimeMaxMs, returnedSettledMs.get(returnedKey(index, timeMs)) ?? Infinity)
}

const SERIES_INDEX_MAX = 2 ** 24

/** A series, by its index, and a minute: 24 bits and 29, exact in a double. */
function returnedKey (index: number, timeMs: number): number {
  return Math.floor(timeMs / MINUTE_MS) * SERIES_INDEX_MAX + index
}
