import { Counter, createCounterBy, createWeightedHistogram, Gauge, Histogram, type Registry } from 'relay-common'
import { deadLetterReasons } from 'relay-dead-letters'
import { gapKinds } from 'relay-event-log'

export type ProcessorMetrics = ReturnType<typeof createProcessorMetrics>

/** The metrics of a processor for the person on call. */
export function createProcessorMetrics (registry: Registry) {
  const registers = [registry]
  const seconds = [0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10]
  return {
    readings: new Counter({ name: 'relay_readings_total', help: 'readings counted', registers }),
    late: new Counter({
      name: 'relay_late_readings_total', help: 'readings that arrived after their minute was over', registers
    }),
    duplicates: new Counter({ name: 'relay_duplicates_total', help: 'resent readings, not counted again', registers }),
    misplaced: new Counter({
      name: 'relay_misplaced_readings_total',
      help: 'readings forwarded because they arrived in another partition than their device\'s home',
      registers
    }),
    deadLetters: createCounterBy(
      registry, { name: 'relay_dead_letters_total', help: 'records refused as dead letters' }, 'reason',
      Object.keys(deadLetterReasons)
    ),
    readBackWindows: new Counter({
      name: 'relay_read_back_windows_total',
      help: 'windows read back from the database, for late readings or after a start',
      registers
    }),
    rowsWritten: new Counter({ name: 'relay_rows_written_total', help: 'rollup rows written', registers }),
    retries: new Counter({
      name: 'relay_retries_total', help: 'failed attempts to write to the database or the dead letters', registers
    }),
    fenced: new Counter({ name: 'relay_fenced_total', help: 'partitions lost to another processor', registers }),
    takeovers: new Counter({
      name: 'relay_takeovers_total', help: 'takeovers by other processors, of any number of partitions', registers
    }),
    historyChanges: new Counter({
      name: 'relay_history_changes_total',
      help: 'restores, restarts and failovers of the database after which memory was dropped',
      registers
    }),
    gaps: createCounterBy(registry, {
      name: 'relay_gaps_total', help: 'gaps: records gone from the log before they were read'
    }, 'kind', gapKinds),
    freshness: createWeightedHistogram(registry, {
      name: 'relay_freshness_seconds',
      help: 'time from the append of a reading to the event log to the commit of its rollups',
      buckets: [0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800, 3600]
    }),
    settleSeconds: new Histogram({
      name: 'relay_settle_seconds', help: 'time to plan a flush', buckets: seconds, registers
    }),
    writeSeconds: new Histogram({
      name: 'relay_write_seconds', help: 'time to write a flush, including retries', buckets: seconds, registers
    }),
    seriesInMemory: new Gauge({ name: 'relay_series_in_memory', help: 'device series in memory', registers }),
    lag: new Gauge({
      name: 'relay_lag_records',
      help: 'records in the log that are not in the rollups yet',
      labelNames: ['partition'],
      registers
    }),
    standby: new Gauge({
      name: 'relay_standby_partitions',
      help: 'assigned partitions that belong to another generation of processors',
      registers
    }),
    partitionFlushes: new Counter({
      name: 'relay_partition_flushes_total', help: 'partitions that were settled in flushes', registers
    }),
    foldSeconds: new Counter({ name: 'relay_fold_seconds_total', help: 'time spent decoding and folding', registers }),
    flushStalled: new Gauge({
      name: 'relay_flush_stalled',
      help: '1: the log has unread records and nothing was flushed for FLUSH_STALLED_MS',
      registers
    }),
    timeouts: new Counter({
      name: 'relay_statement_timeouts_total',
      help: 'statements cancelled by the statement timeout and retried',
      registers
    }),
    eventTime: new Gauge({
      name: 'relay_event_time_max_seconds', help: 'newest event time folded', labelNames: ['partition'], registers
    })
  }
}
