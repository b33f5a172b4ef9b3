/** The table `traced_devices`: devices that are traced for a while, on demand. */
import { setTimeout as delay } from 'node:timers/promises'

import type { Database } from '../database/database.ts'
import type { Logger } from '../log.ts'
import { within } from '../within.ts'
import type { Sampling, TracedDevice } from './sampling.ts'

/** More at once would be a ratio. */
export const TRACED_DEVICES_MAX = 1_000
export const TRACED_FOR_MAX_MS = 24 * 3_600_000
const READ_INTERVAL_MS = 2_000
/** Closing waits no longer for a read under way. */
const CLOSE_MAX_MS = 500

/** The devices that are traced now, the newest request first. */
export async function readTracedDevices (database: Database, signal?: AbortSignal): Promise<TracedDevice[]> {
  const rows = await database.query<{ device_id: string, until: number }>(`
    select device_id, until from traced_devices where until > now()
    order by requested_at desc limit ${TRACED_DEVICES_MAX}`, [], { signal })
  return rows.map(it => ({ deviceId: it.device_id, untilMs: it.until }))
}

/** Traces a device for a while from now on; all programs do so within seconds. 0 ms: ends it. */
export async function traceDevice (
  database: Database, deviceId: string, forMs: number, requestedBy: string
): Promise<void> {
  await database.query(`
    with gone as (delete from traced_devices where until <= now() and device_id <> $1)
    insert into traced_devices (device_id, until, requested_by)
    values ($1, now() + $2 * interval '1 millisecond', $3)
    on conflict (device_id) do update
      set until = excluded.until, requested_by = excluded.requested_by, requested_at = now()`,
  [deviceId, Math.min(forMs, TRACED_FOR_MAX_MS), requestedBy])
}

/** Keeps a sampling up to date until it is closed. While the database is unreachable, it keeps what it knows. */
export function watchTracedDevices (
  database: Database, sampling: Sampling, log: Logger
): { close (): Promise<void> } {
  const closing = new AbortController()
  const watch = async () => {
    while (!closing.signal.aborted) {
      try {
        sampling.name(await readTracedDevices(database, closing.signal))
      } catch (error) {
        if (!closing.signal.aborted) log.debug({ err: error }, 'could not read which devices to trace')
      }
      await delay(READ_INTERVAL_MS, undefined, { signal: closing.signal, ref: false }).catch(() => {})
    }
  }
  const watching = watch()
  return {
    async close () {
      closing.abort()
      await within(CLOSE_MAX_MS, watching).catch(() => {})
    }
  }
}
