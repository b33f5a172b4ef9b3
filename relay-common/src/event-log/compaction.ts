/** Topics must not be compacted: of a device's events Kafka then keeps the newest alone, whether the others were read or not. */
import type { Logger } from '../log.ts'
import type { EventLog } from './port.ts'

/** Logs a warning where the event log may drop events that nobody has read. Where it does not tell its settings, nothing. */
export async function warnOfCompaction (eventLog: EventLog, topic: string, log: Logger): Promise<void> {
  try {
    if (!await eventLog.isCompacted(topic)) return
  } catch (error) {
    log.debug({ err: error, topic }, 'could not read the settings of the topic')
    return
  }
  log.warn({ topic }, `topic ${topic} is compacted: Kafka deletes records before they are read. Set its cleanup.policy to delete`)
}
