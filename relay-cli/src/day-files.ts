/**
 * Sorts events of a long part of the log by partition and day, in constant memory: one temporary file each, one event
 * per line.
 */
import { appendFile, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { bucketStartMs, DAY_MS, type DeviceEvent } from 'relay-rollups'

const WAITING_LINES_MAX = 200_000

export interface DayFiles extends AsyncDisposable {
  add (partition: number, event: DeviceEvent): void
  /** Writes waiting events if there are many. */
  relieve (): Promise<void>
  /** Days with events of any partition, ascending, ms since the epoch. */
  daysMs (): number[]
  read (partition: number, dayMs: number): Promise<DeviceEvent[]>
}

export async function openDayFiles (): Promise<DayFiles> {
  const folder = await mkdtemp(join(tmpdir(), 'relay-verify-'))
  const waiting = new Map<string, string[]>()
  const days = new Set<number>()
  let lines = 0
  const nameOf = (partition: number, dayMs: number) => `${partition}-${dayMs}.jsonl`
  const write = async () => {
    for (const [name, of] of waiting) await appendFile(join(folder, name), of.join(''))
    waiting.clear()
    lines = 0
  }
  return {
    add (partition, { deviceId, deviceType, zone, timestampMs, value }) {
      const dayMs = bucketStartMs(DAY_MS, timestampMs)
      days.add(dayMs)
      const name = nameOf(partition, dayMs)
      let of = waiting.get(name)
      if (!of) waiting.set(name, of = [])
      of.push(`${JSON.stringify([deviceId, deviceType, zone, timestampMs, value])}\n`)
      lines++
    },
    async relieve () {
      if (lines >= WAITING_LINES_MAX) await write()
    },
    daysMs: () => [...days].sort((a, b) => a - b),
    async read (partition, dayMs) {
      await write()
      const text =
        await readFile(join(folder, nameOf(partition, dayMs)), 'utf8').catch((error: NodeJS.ErrnoException) => {
          if (error.code === 'ENOENT') return '' // nothing of that partition on that day
          throw error
        })
      return text.split('\n').filter(it => it !== '').map(line => {
        const [deviceId, deviceType, zone, timestampMs, value] = JSON.parse(line)
        return { deviceId, deviceType, zone, timestampMs, value }
      })
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true })
  }
}
