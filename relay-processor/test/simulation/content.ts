/** The content of rows and journal together, as rows: the simple way. */
import {
  bucketStartMs, decodeBody, emptyRollup, encodeReadingsBody, encodeRollupBody, foldReadings, levels, mergeReadings,
  mergeRollup, decodeJournal, roundSum, type Readings, type Rollup
} from 'relay-rollups'

import type { CopiedFragment, CopiedRow } from './copied-rows.ts'

interface Content {
  readonly key: Pick<CopiedRow, 'levelIndex' | 'seriesId' | 'bucketMs' | 'sourcePartition'>
  rollup: Rollup
  /** of a device's minute that stores them */
  readings: Readings | undefined
}

/** @param readingsMax a minute of a device with more no longer stores them */
export function withJournal (
  rows: readonly CopiedRow[], journal: readonly CopiedFragment[], readingsMax: number
): CopiedRow[] {
  const contents = new Map<string, Content>()
  const contentOf =
    (levelIndex: number, seriesId: number, timeMs: number, sourcePartition: number, keepsReadings: boolean) => {
      const bucketMs = bucketStartMs(levels[levelIndex].sizeMs, timeMs)
      const key = [levelIndex, seriesId, bucketMs, sourcePartition].join()
      let content = contents.get(key)
      if (!content) {
        const readings = keepsReadings && levelIndex === 0 ? { timesMs: [], values: [] } : undefined
        contents.set(
          key, content = { key: { levelIndex, seriesId, bucketMs, sourcePartition }, rollup: emptyRollup(), readings }
        )
      }
      return content
    }
  for (const { levelIndex, seriesId, bucketMs, sourcePartition, ...row } of rows) {
    const { rollup, readings } = decodeBody({ ...row, bucketStartMs: bucketMs })
    Object.assign(
      contentOf(levelIndex, seriesId, bucketMs, sourcePartition, readings !== undefined), { rollup, readings }
    )
  }
  for (const { body, sourcePartition } of journal) {
    decodeJournal(body, {
      readings: (seriesId, { timesMs, values }) => {
        for (const [n, timeMs] of timesMs.entries()) {
          for (const index of levels.keys()) {
            const content = contentOf(index, seriesId, timeMs, sourcePartition, true)
            foldReadings(content.rollup, { timesMs: [timeMs], values: [values[n]] })
            if (content.readings) mergeReadings(content.readings, { timesMs: [timeMs], values: [values[n]] }, true)
          }
        }
      },
      rollup: (seriesId, minuteMs, rollup) => {
        for (const index of levels.keys()) {
          mergeRollup(contentOf(index, seriesId, minuteMs, sourcePartition, false).rollup, rollup)
        }
      }
    })
  }
  return contents.values().map(({ key, rollup, readings }) => {
    const { count, sum, min, max } = rollup
    const keeps = readings !== undefined && readings.timesMs.length <= readingsMax
    const body = keeps ? encodeReadingsBody(readings, key.bucketMs) : encodeRollupBody(rollup, key.bucketMs)
    return { ...key, count, sum: roundSum(sum), min, max, body }
  }).toArray()
}
