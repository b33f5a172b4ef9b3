/**
 * The conditions at the end of a run: the rows of the database equal, byte for byte, a simple computation from the log,
 * and so do the counts of late readings and duplicates. Records that the log lost before they were read are in `gaps`;
 * invalid ones are in the dead letters.
 */
import { partitionOf } from 'relay-event-log'
import {
  bucketStartMs, emptyRollup, encodeReadingsBody, encodeRollupBody, foldReading, HOUR_MS, levels, MINUTE_MS, roundSum,
  type DeviceEvent, type Readings, type Rollup
} from 'relay-rollups'

import type { ArrivalRow } from '../../src/store.ts'
import type { CopiedRow } from './copied-rows.ts'
import { withJournal } from './content.ts'
import { arrivalKey, progressKey, type Database } from './database.ts'
import { readRecord } from './load.ts'
import type { Log } from './log.ts'
import { seriesName } from './store.ts'

export interface CountingRules {
  readonly readingsPerRowMax: number
  readonly keepDuplicates: boolean
}

/** @returns what is wrong, in words; empty: nothing */
export function findFaults (log: Log, database: Database, rules: CountingRules): string[] {
  const faults: string[] = []
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
      if (!isGone && nextOffset !== records.length) {
        faults.push(`${where} is read to ${nextOffset} of ${records.length}`)
      }
      const missed = missedOffsets(database, topicId, partition)
      for (let offset = Number(progress.firstOffset); offset < nextOffset; offset++) {
        if (missed.has(offset)) continue
        const isEvent = readRecord(records[offset]!) !== undefined
        if (!isEvent && !log.deadLetters.has(String(records[offset]))) {
          faults.push(`no dead letter of ${offset} in ${where}`)
        }
      }
    }
  }

  const commits = settledCommits(log, database, rules)
  const expected = expectedRows(commits, rules)
  const names = new Map([...database.seriesIds].map(([name, id]) => [id, name]))
  const found = new Map(withJournal(
    [...database.rows.values()], [...database.journal.values()], rules.readingsPerRowMax
  )
    .map(row => [nameOf(row, names), textOf(row)]))
  for (const [name, text] of expected) {
    if (!found.has(name)) faults.push(`missing: ${readable(name)}`)
    else if (found.get(name) !== text) faults.push(`wrong: ${readable(name)} is ${found.get(name)}, not ${text}`)
  }
  for (const name of found.keys()) if (!expected.has(name)) faults.push(`made up: ${readable(name)}`)
  const counts = expectedArrivals(commits, database)
  for (const name of new Set([...counts.keys(), ...database.arrivals.keys()])) {
    const row = database.arrivals.get(name)
    const stored = row && countOf(row)
    if (stored !== counts.get(name)) faults.push(`late or again, ${name}: ${stored}, not ${counts.get(name)}`)
  }
  return faults
}

/** What a commit added to the rows of its partition. */
interface SettledCommit {
  readonly partition: number
  readonly events: ReadonlyArray<{
    readonly event: DeviceEvent
    /** it was there before, in any partition */
    readonly isResent: boolean
    /** event time before which its minute was late */
    readonly lateBeforeMs: number
  }>
}

/** An event on its way home. */
interface Handed {
  readonly event: DeviceEvent
  readonly settledMs: number
}

/**
 * What every commit has counted, in order: the events of its records whose home is its partition, and those that
 * reached their home. All others are forwarded.
 */
function settledCommits (log: Log, database: Database, { keepDuplicates }: CountingRules): SettledCommit[] {
  const records = new Map(log.topics.flatMap(({ topicId, partitions }) =>
    partitions.map((it, partition) => [progressKey(topicId, partition), it.records])))
  const throughMs = new Map<number, number>()
  const seen = new Set<string>()
  const handed = new Map<bigint, Handed[]>()
  const commits: SettledCommit[] = []
  for (const move of database.moves) {
    const { topicId, partition, fromOffset, toOffset, homePartitions, added } = move
    const settledMs = throughMs.get(partition) ?? -Infinity
    const own: Handed[] = []
    for (let offset = Number(fromOffset); offset < Number(toOffset); offset++) {
      const event = readRecord(records.get(progressKey(topicId, partition))![offset]!)
      if (event) own.push({ event, settledMs: Infinity })
    }
    const arrived = [...own, ...move.taken.flatMap(it => settledTogether(handed.get(it) ?? []))]
    for (const it of move.taken) handed.delete(it)
    throughMs.set(partition, Math.max(settledMs, ...arrived.map(it => it.event.timestampMs)))

    const lateBefore = new Map<string, number>()
    for (const { event, settledMs: ofOrigin } of arrived) {
      const minute = minuteOf(event)
      lateBefore.set(minute, Math.min(lateBefore.get(minute) ?? settledMs, ofOrigin))
    }
    const events: Array<SettledCommit['events'][number]> = []
    for (const { event } of arrived) {
      const home = partitionOf(Buffer.from(event.deviceId), homePartitions)
      if (home !== partition) {
        const id = added.get(home)
        if (id === undefined) continue // it is reported as missing below
        handed.set(id, [...handed.get(id) ?? [], { event, settledMs }])
        continue
      }
      const reading = JSON.stringify(event)
      const isResent = seen.has(reading) && !keepDuplicates
      seen.add(reading)
      events.push({ event, isResent, lateBeforeMs: lateBefore.get(minuteOf(event))! })
    }
    commits.push({ partition, events })
  }
  return commits
}

/** A row from several partitions treats all its readings like those of the partition with the least progress. */
function settledTogether (row: readonly Handed[]): Handed[] {
  const settledMs = Math.min(...row.map(it => it.settledMs))
  return row.map(({ event }) => ({ event, settledMs }))
}

function minuteOf ({ deviceId, deviceType, zone, timestampMs }: DeviceEvent): string {
  return [deviceId, deviceType, zone, bucketStartMs(MINUTE_MS, timestampMs)].join()
}

/**
 * Expected late readings and duplicates, by series, hour and partition: event by event, as committed. A reading is late
 * if earlier commits had passed its minute.
 */
function expectedArrivals (commits: readonly SettledCommit[], database: Database): Map<string, string> {
  const rows = new Map<string, Omit<ArrivalRow, 'seriesId' | 'hourMs'>>()
  for (const { partition, events } of commits) {
    for (const { event, isResent, lateBeforeMs } of events) {
      const { timestampMs } = event
      const isLate = !isResent && bucketStartMs(MINUTE_MS, timestampMs) + MINUTE_MS <= lateBeforeMs
      if (!isResent && !isLate) continue
      for (const deviceId of [event.deviceId, null]) {
        const seriesId = database.seriesIds.get(seriesName({ ...event, deviceId }))!
        const hourMs = bucketStartMs(HOUR_MS, timestampMs)
        const key = arrivalKey(seriesId, hourMs, partition)
        const row = rows.get(key) ?? { late: 0, duplicates: 0, lateMinutes: 0n, lateThroughMs: -Infinity }
        rows.set(key, isResent
          ? { ...row, duplicates: row.duplicates + 1 }
          : {
              ...row,
              late: row.late + 1,
              lateMinutes: row.lateMinutes | 1n << BigInt(Math.floor((timestampMs - hourMs) / MINUTE_MS)),
              lateThroughMs: Math.max(row.lateThroughMs, lateBeforeMs)
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

function expectedRows (commits: readonly SettledCommit[], rules: CountingRules): Map<string, string> {
  const rows = new Map<string, Row>()
  for (const { partition, events } of commits) {
    for (const { event, isResent } of events) {
      if (isResent) continue
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
  }
  return new Map([...rows].map(([name, { rollup, readings, bucketMs }]) => {
    const keepsReadings = readings && readings.length <= rules.readingsPerRowMax
    const body = keepsReadings ? encodeReadingsBody(sort(readings), bucketMs) : encodeRollupBody(rollup, bucketMs)
    return [name, textOf({ ...rollup, sum: roundSum(rollup.sum), body })]
  }))
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
