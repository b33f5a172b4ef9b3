/** Lag of the processor. */
import type { Database } from 'relay-common'
import type { EventLog } from 'relay-event-log'

export const EVENTS_TOPIC = 'iot-events'

/** Events of the fleet and the honest client during a check. */
export const LIVE_EVENTS = 200

/** Events that are in the log and not in the rollups. */
export async function unreadEvents (
  { database, eventLog }: { readonly database: Database, readonly eventLog: EventLog }
): Promise<number> {
  const ends = await eventLog.readOffsets(EVENTS_TOPIC)
  const rows = await database.query<{ source_partition: number, next_offset: bigint }>(
    'select source_partition, next_offset from progress where topic = $1', [EVENTS_TOPIC])
  const next = new Map(rows.map(it => [it.source_partition, it.next_offset]))
  return ends.reduce((sum, it) => sum + Number(it.endOffset - (next.get(it.partition) ?? 0n)), 0)
}
