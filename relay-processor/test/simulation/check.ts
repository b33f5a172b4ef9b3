/**
 * What must be true when a run is over: the rows of the database are, byte for byte, those of a plain computation from
 * the log, and so are the counts of what came late or again. What the log had lost before it was read is named in `gaps`; what is no event is in the dead letters.
 */
import {
  bucketStartMs, emptyRollup, encodeReadingsBody, encodeRollupBody, foldReading, HOUR_MS, levels, MINUTE_MS, roundSum,
  type DeviceEvent, type Readings, type Rollup
} from 'relay-common'

import type { ArrivalRow } from '../../src/store.ts'
import type { CopiedRow } from './copied-rows.ts'
import { arrivalKey, progressKey, type Database } from './database.ts'
import { readRecord } from './load.ts'
import type { Log } from './log.ts'
import { seriesName } from './store.ts'

export interface CountingRules {
  readonly readingsPerRowMax: number
  readonly keepDuplicates: boolean
}

/** @returns what is wrong, in words; nothing: all is well */
export function findFaults (log: Log, database: Database, rules: CountingRules): string[] {
  const faults: string[] = []
  const counted = new Map<number, DeviceEvent[]>()
  for (const { topicId, partitions } of log.topics) {
    const isGone = topicId !== log.topic.topicId
    for (const [partition, { records }] of partitions.entries()) {
      const where = `partition ${partition} of ${topicId}`
      const progress = database.progress.get(progressKey(topicId, partition))
      if (!progress) {
        if (!isGone && records.length > 0) faults.push(`${where} was never read`)
        continue
      }
      const nextOffset = Number(progress.nextOffset)
      if (!isGone && nextOffset !== records.length) faults.push(`${where} is read to ${nextOffset} of ${records.length}`)
      let events = counted.get(partition)
      if (!events) counted.set(partition, events = [])
      const missed = missedOffsets(database, topicId, partition)
      for (let offset = Number(progress.firstOffset); offset < nextOffset; offset++) {
        if (missed.has(offset)) continue
        const event = readRecord(records[offset]!)
        if (event) events.push(event)
        else if (!log.deadLetters.has(String(records[offset]))) faults.push(`no dead letter of ${offset} in ${where}`)
      }
    }
  }

  const expected = new Map([...counted].flatMap(([partition, events]) => expectedRows(partition, events, rules)))
  const names = new Map([...database.seriesIds].map(([name, id]) => [id, name]))
  const found = new Map([...database.rows.values()].map(row => [nameOf(row, names), textOf(row)]))
  for (const [name, text] of expected) {
    if (!found.has(name)) faults.push(`missing: ${readable(name)}`)
    else if (found.get(name) !== text) faults.push(`wrong: ${readable(name)} is ${found.get(name)}, not ${text}`)
  }
  for (const name of found.keys()) if (!expected.has(name)) faults.push(`made up: ${readable(name)}`)
  const counts = expectedArrivals(log, database, rules)
  for (const name of new Set([...counts.keys(), ...database.arrivals.keys()])) {
    const row = database.arrivals.get(name)
    const stored = row && countOf(row)
    if (stored !== counts.get(name)) faults.push(`late or again, ${name}: ${stored}, not ${counts.get(name)}`)
  }
  return faults
}

/**
 * What came late or again, by series, hour and partition: event by event, as the commits brought them. Late is what is of
 * a minute that the commits before its own had left behind.
 */
function expectedArrivals (log: Log, database: Database, { keepDuplicates }: CountingRules): Map<string, string> {
  const records = new Map(log.topics.flatMap(({ topicId, partitions }) =>
    partitions.map((it, partition) => [progressKey(topicId, partition), it.records])))
  const throughMs = new Map<number, number>()
  const seen = new Set<string>()
  const rows = new Map<string, Omit<ArrivalRow, 'seriesId' | 'hourMs'>>()
  for (const { topicId, partition, fromOffset, toOffset } of database.moves) {
    const beforeMs = throughMs.get(partition) ?? -Infinity
    for (let offset = Number(fromOffset); offset < Number(toOffset); offset++) {
      const event = readRecord(records.get(progressKey(topicId, partition))![offset]!)
      if (!event) continue
      const { timestampMs } = event
      throughMs.set(partition, Math.max(throughMs.get(partition) ?? -Infinity, timestampMs))
      const reading = `${partition} ${JSON.stringify(event)}`
      const isDuplicate = seen.has(reading) && !keepDuplicates
      const isLate = !isDuplicate && bucketStartMs(MINUTE_MS, timestampMs) + MINUTE_MS <= beforeMs
      seen.add(reading)
      if (!isDuplicate && !isLate) continue
      for (const deviceId of [event.deviceId, null]) {
        const seriesId = database.seriesIds.get(seriesName({ ...event, deviceId }))!
        const hourMs = bucketStartMs(HOUR_MS, timestampMs)
        const key = arrivalKey(seriesId, hourMs, partition)
        const row = rows.get(key) ?? { late: 0, duplicates: 0, lateMinutes: 0n, lateThroughMs: -Infinity }
        rows.set(key, isDuplicate
          ? { ...row, duplicates: row.duplicates + 1 }
          : {
              ...row,
              late: row.late + 1,
              lateMinutes: row.lateMinutes | 1n << BigInt(Math.floor((timestampMs - hourMs) / MINUTE_MS)),
              lateThroughMs: Math.max(row.lateThroughMs, beforeMs)
            })
      }
    }
  }
  return new Map([...rows].map(([key, row]) => [key, countOf(row)]))
}

function countOf ({ late, duplicates, lateMinutes, lateThroughMs }: Omit<ArrivalRow, 'seriesId' | 'hourMs'>): string {
  return `${late} late in ${lateMinutes.toString(2)} up to ${lateThroughMs}, ${duplicates} again`
}

function missedOffsets (database: Database, topicId: string, partition: number): Set<number> {
  const missed = new Set<number>()
  for (const gap of database.gaps.values()) {
    if (gap.topicId !== topicId || gap.partition !== partition || gap.kind !== 'offset-out-of-range') continue
    for (let offset = Number(gap.expectedOffset); offset < Number(gap.availableOffset); offset++) missed.add(offset)
  }
  return missed
}

interface Row {
  readonly rollup: Rollup
  /** of a device's minute */
  readonly readings: Array<[timeMs: number, value: number]> | undefined
  readonly bucketMs: number
}

function expectedRows (partition: number, events: readonly DeviceEvent[], rules: CountingRules): Array<[string, string]> {
  const rows = new Map<string, Row>()
  const seen = new Set<string>()
  for (const event of events) {
    const reading = JSON.stringify(event)
    if (seen.has(reading) && !rules.keepDuplicates) continue
    seen.add(reading)
    for (const level of levels) {
      const bucketMs = bucketStartMs(level.sizeMs, event.timestampMs)
      for (const deviceId of [event.deviceId, null]) {
        const name = rowName(level.name, bucketMs, seriesName({ ...event, deviceId }), partition)
        let row = rows.get(name)
        if (!row) {
          const readings: Row['readings'] = level === levels[0] && deviceId !== null ? [] : undefined
          rows.set(name, row = { rollup: emptyRollup(), readings, bucketMs })
        }
        foldReading(row.rollup, event.timestampMs, event.value)
        row.readings?.push([event.timestampMs, event.value])
      }
    }
  }
  return [...rows].map(([name, { rollup, readings, bucketMs }]) => {
    const keepsReadings = readings && readings.length <= rules.readingsPerRowMax
    const body = keepsReadings ? encodeReadingsBody(sort(readings), bucketMs) : encodeRollupBody(rollup, bucketMs)
    return [name, textOf({ ...rollup, sum: roundSum(rollup.sum), body })]
  })
}

function sort (readings: Array<[timeMs: number, value: number]>): Readings {
  readings.sort(([aMs, a], [bMs, b]) => aMs - bMs || a - b)
  return { timesMs: readings.map(([timeMs]) => timeMs), values: readings.map(([, value]) => value) }
}

function nameOf (row: CopiedRow, names: ReadonlyMap<number, string>): string {
  return rowName(levels[row.levelIndex].name, row.bucketMs, names.get(row.seriesId) ?? 'nobody', row.sourcePartition)
}

function rowName (level: string, bucketMs: number, series: string, partition: number): string {
  return `${bucketMs} ${level} of ${series} from ${partition}`
}

function readable (name: string): string {
  return name.replace(/^\d+/, ms => new Date(Number(ms)).toISOString())
}

function textOf ({ count, sum, min, max, body }: Pick<CopiedRow, 'count' | 'sum' | 'min' | 'max' | 'body'>): string {
  return `${count} ${sum} ${min} ${max} ${body.toString('hex')}`
}
