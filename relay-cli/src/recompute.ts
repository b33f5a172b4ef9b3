/**
 * The expected rollups of a day's events, computed in the simplest way: readings of a series sorted, without
 * duplicates, each folded into each of its rows. No deltas, no order of arrival, no code of the processor.
 */
import {
  bucketStartMs, DAY_MS, emptyReadings, emptyRollup, encodeReadingsBody, encodeRollupBody, foldReading, foldReadings,
  HOUR_MS, levels, mergeReadings, MINUTE_MS, type DeviceEvent, type Level, type Readings, type Rollup
} from 'relay-rollups'

export interface RowName {
  readonly level: Level['name']
  readonly bucketMs: number
  /** null: the group of all devices of this type and zone */
  readonly deviceId: string | null
  readonly deviceType: string
  readonly zone: string
}

export interface ExpectedRow extends RowName {
  readonly count: number
  readonly min: number
  readonly max: number
  readonly body: Buffer
  /** a minute that no longer stores its readings had duplicates: the order of arrival decided which counted */
  readonly isUncertain: boolean
}

export interface RecomputeRules {
  readonly readingsPerRowMax: number
  readonly keepDuplicates: boolean
}

interface OpenRow extends RowName {
  readonly rollup: Rollup
  isUncertain: boolean
}

export function rowKey ({ level, bucketMs, deviceId, deviceType, zone }: RowName): string {
  // ids are not empty and contain no control characters
  return [level, bucketMs, deviceId ?? '', deviceType, zone].join('\n')
}

/** @param events of one source partition and one day */
export function recomputeDay (events: readonly DeviceEvent[], rules: RecomputeRules): Map<string, ExpectedRow> {
  const rows = new Map<string, ExpectedRow>()
  const openRows = new Map<string, OpenRow>()
  const openRowOf = (name: RowName) => {
    const key = rowKey(name)
    let openRow = openRows.get(key)
    if (!openRow) openRows.set(key, openRow = { ...name, rollup: emptyRollup(), isUncertain: false })
    return openRow
  }

  const byMinute = Map.groupBy(events, it =>
    [it.deviceId, it.deviceType, it.zone, bucketStartMs(MINUTE_MS, it.timestampMs)].join('\n'))
  for (const ofMinute of byMinute.values()) {
    const [{ deviceId, deviceType, zone, timestampMs }] = ofMinute
    const bucketMs = bucketStartMs(MINUTE_MS, timestampMs)
    const arrived: Readings = { timesMs: ofMinute.map(it => it.timestampMs), values: ofMinute.map(it => it.value) }
    const { merged, duplicates } = mergeReadings(emptyReadings(), arrived, rules.keepDuplicates)
    const isFull = merged.timesMs.length > rules.readingsPerRowMax
    const isUncertain = isFull && duplicates > 0

    const rollup = emptyRollup()
    foldReadings(rollup, merged)
    const body = isFull ? encodeRollupBody(rollup, bucketMs) : encodeReadingsBody(merged, bucketMs)
    const name: RowName = { level: 'minute', bucketMs, deviceId, deviceType, zone }
    rows.set(rowKey(name), { ...name, count: rollup.count, min: rollup.min, max: rollup.max, body, isUncertain })

    const others: RowName[] = [
      { ...name, level: 'hour', bucketMs: bucketStartMs(HOUR_MS, timestampMs) },
      { ...name, level: 'day', bucketMs: bucketStartMs(DAY_MS, timestampMs) },
      ...levels.map(({ name: level, sizeMs }): RowName =>
        ({ ...name, level, bucketMs: bucketStartMs(sizeMs, timestampMs), deviceId: null }))
    ]
    for (const openRow of others.map(openRowOf)) {
      openRow.isUncertain ||= isUncertain
      for (const [n, timeMs] of merged.timesMs.entries()) foldReading(openRow.rollup, timeMs, merged.values[n])
    }
  }
  for (const [key, { rollup, ...rest }] of openRows) {
    rows.set(key, {
      ...rest, count: rollup.count, min: rollup.min, max: rollup.max, body: encodeRollupBody(rollup, rest.bucketMs)
    })
  }
  return rows
}
