/**
 * A processor of a faulty version: the real one, with a fault in its fold. No code of Relay has a hook for it.
 *
 *     node faulty-processor.ts        RELAY_TEST_FAULT: one of the faults
 *
 * Each flush waits, after its dead letters, while the test holds the lock FLUSH_LOCK (deploy-site.ts).
 */
import { createLogger, openDatabase } from 'relay-common'
import { bucketStartMs, MINUTE_MS } from 'relay-rollups'

import { readProcessorConfig } from '../../../relay-processor/src/config.ts'
import { Folder } from '../../../relay-processor/src/fold.ts'
import { FlushWriter } from '../../../relay-processor/src/write-flush.ts'
import { FLUSH_LOCK } from './deploy-site.ts'

const { fold } = Folder.prototype
const { write } = FlushWriter.prototype
const gate = await openDatabase(readProcessorConfig(process.env), 'gate', createLogger('gate', 'silent'))

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
FlushWriter.prototype.write = async function (...args) {
  await gate.query('select pg_advisory_lock($1), pg_advisory_unlock($1)', [FLUSH_LOCK])
  return await write.apply(this, args)
}
await import('../../../relay-processor/src/main.ts')
