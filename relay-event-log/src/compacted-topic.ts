/**
 * Topics must not be compacted: Kafka would keep only the newest event of each device, even if the others were not
 * read.
 */
import type { Logger } from 'relay-common'
import type { EventLog } from './port.ts'

/** Logs a warning if the event log may drop unread events. Logs nothing if its settings are unknown. */
export async function warnOfCompaction (eventLog: EventLog, topic: string, log: Logger): Promise<void> {
  try {
    if (!await eventLog.isCompacted(topic)) return
  } catch (error) {
    log.debug({ err: error, topic }, 'could not read the settings of the topic')
    return
  }
  log.warn(
    { topic },
    `topic ${topic} is compacted: Kafka deletes records before they are read. Set its cleanup.policy to delete`
  )
}
