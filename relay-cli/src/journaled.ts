/** The journal of windows, which counts like rows, and is not in them. */
import type { PoolClient } from 'relay-common'
import {
  bucketStartMs, DAY_MS, emptyReadings, emptyRollup, foldReadings, levels, mergeReadings, mergeRollup, readingsByBucket,
  decodeJournal, type Readings, type Rollup
} from 'relay-rollups'

/** The journal of a window in one source partition. */
export interface JournaledPart {
  readonly rollup: Rollup
  /** of a device */
  readonly readings: Readings | undefined
}

interface JournaledWindow {
  readonly seriesId: number
  readonly bucketMs: number
  readonly parts: Map<number, JournaledPart>
}

export class Journaled {
  /** by index of the level, and by day */
  readonly #windows: ReadonlyArray<Map<number, JournaledWindow[]>>

  private constructor (windows: ReadonlyArray<Map<string, JournaledWindow>>) {
    this.#windows = windows.map(it => Map.groupBy(it.values(), ({ bucketMs }) => bucketStartMs(DAY_MS, bucketMs)))
  }

  /** Reads the whole journal, which is small: readings of the last minutes. */
  static async read (client: PoolClient): Promise<Journaled> {
    const windows = levels.map(() => new Map<string, JournaledWindow>())
    const partOf = (levelIndex: number, seriesId: number, timeMs: number, partition: number, isDevice: boolean) => {
      const bucketMs = bucketStartMs(levels[levelIndex].sizeMs, timeMs)
      const key = windowKey(seriesId, bucketMs)
      let window = windows[levelIndex].get(key)
      if (!window) windows[levelIndex].set(key, window = { seriesId, bucketMs, parts: new Map() })
      let part = window.parts.get(partition)
      if (!part) {
        window.parts.set(partition, part = { rollup: emptyRollup(), readings: isDevice ? emptyReadings() : undefined })
      }
      return part
    }
    const { rows } = await client.query<{ source_partition: number, body: Buffer }>(
      'select source_partition, body from journal'
    )
    for (const { source_partition: partition, body } of rows) {
      decodeJournal(body, {
        readings: (seriesId, readings) => {
          for (const [index, { sizeMs }] of levels.entries()) {
            for (const [bucketMs, ofBucket] of readingsByBucket(readings, sizeMs)) {
              const part = partOf(index, seriesId, bucketMs, partition, true)
              foldReadings(part.rollup, ofBucket)
              mergeReadings(part.readings!, ofBucket, true)
            }
          }
        },
        rollup: (seriesId, minuteMs, rollup) => {
          for (const index of levels.keys()) {
            mergeRollup(partOf(index, seriesId, minuteMs, partition, false).rollup, rollup)
          }
        }
      })
    }
    return new Journaled(windows)
  }

  /** The journal of some series in a range of one day. */
  find (levelIndex: number, seriesIds: ReadonlySet<number>, fromMs: number, toMs: number): JournaledWindow[] {
    return (this.#windows[levelIndex].get(bucketStartMs(DAY_MS, fromMs)) ?? [])
      .filter(it => seriesIds.has(it.seriesId) && it.bucketMs >= fromMs && it.bucketMs < toMs)
  }

  /** Days of a range with readings in it. */
  daysMs (fromMs: number, toMs: number): number[] {
    return [...this.#windows[0]].filter(([, windows]) =>
      windows.some(it => it.bucketMs >= fromMs && it.bucketMs < toMs))
      .map(([dayMs]) => dayMs)
  }
}

export function windowKey (seriesId: number, bucketMs: number): string {
  return `${seriesId} ${bucketMs}`
}
