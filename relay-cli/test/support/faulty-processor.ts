/**
 * A processor of a faulty version: the real one, with a fault in its fold. No code of Relay has a hook for it.
 *
 *     node faulty-processor.ts        RELAY_TEST_FAULT: one of the faults
 */
import { bucketStartMs, MINUTE_MS } from 'relay-rollups'

import { Folder } from '../../../relay-processor/src/fold.ts'

const { fold } = Folder.prototype

const faults: Record<string, typeof fold> = {
  'wrong-sum' (partition, records, nowMs) {
    const { length } = partition.arrivals
    fold.call(this, partition, records, nowMs)
    const { timesMs, values } = partition.arrivals
    for (let n = length; n < partition.arrivals.length; n++) {
      if (bucketStartMs(MINUTE_MS, timesMs[n]) % (2 * MINUTE_MS) === 0 || values[n] > 0) values[n] += 1
    }
  },
  slow (partition, records, nowMs) {
    const startedMs = performance.now()
    const { length } = partition.arrivals
    fold.call(this, partition, records, nowMs)
    // settling costs several times as much as folding: together three times
    const tookMs = performance.now() - startedMs
    const untilMs = performance.now() + 2 * tookMs + 0.03 * (partition.arrivals.length - length)
    while (performance.now() < untilMs);
  },
  'lost-readings' (partition, records, nowMs) {
    fold.call(this, partition, records, nowMs)
    if (partition.arrivals.length > 0) partition.arrivals.length--
  },
  'refuses-valid' (partition, records, nowMs) {
    fold.call(this, partition, records, nowMs)
    if (partition.arrivals.length === 0) return
    partition.arrivals.length--
    partition.deadLetters.add({
      key: null,
      value: null,
      reason: 'timestamp-future',
      field: 'timestamp',
      detail: 'a bug',
      offset: records.nextOffset - 1n
    })
  },
  crash () {
    process.exit(70)
  }
}

const fault = faults[process.env.RELAY_TEST_FAULT ?? '']
if (!fault) throw new Error(`RELAY_TEST_FAULT is one of ${Object.keys(faults).join(', ')}`)
Folder.prototype.fold = fault
await import('../../../relay-processor/src/main.ts')
