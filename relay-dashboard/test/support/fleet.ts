/** A small fleet that sends up to now. */
import type { TestApi } from '../../../relay-api/test/support/ask.ts'
import { writeEvents } from '../../../relay-api/test/support/write-events.ts'
import { readingsOf } from './browser.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS

/**
 * Writes four devices that send up to now, the first of which was in another place before, and one that has been
 * silent for two hours.
 * @returns the minute of now
 */
export async function writeFleet ({ database }: Pick<TestApi, 'database'>): Promise<{ readonly nowMs: number }> {
  const nowMs = Math.floor(Date.now() / MINUTE_MS) * MINUTE_MS
  const silent = readingsOf({ devices: 1, startMs: nowMs - 3 * HOUR_MS, minutes: 60 })
  const before = readingsOf({ devices: 1, startMs: nowMs - 2 * HOUR_MS, minutes: 10 })
  await writeEvents(database, [
    ...readingsOf({ devices: 4, startMs: nowMs - HOUR_MS, minutes: 60 }),
    ...silent.map(it => ({ ...it, deviceId: 'silent-one', zone: 'Attic' })),
    ...before.map(it => ({ ...it, zone: 'Old place' }))
  ])
  return { nowMs }
}
