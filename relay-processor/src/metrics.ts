import { Counter, createCounterBy, createWeightedHistogram, deadLetterReasons, gapKinds, Gauge, Histogram, type Registry } from 'relay-common'

export type ProcessorMetrics = ReturnType<typeof createProcessorMetrics>

/** What the person on call sees of a processor. */
export function createProcessorMetrics (registry: Registry) {
  const registers = [registry]
  const seconds = [0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10]
  return {
    readings: new Counter({ name: 'relay_readings_total', help: 'readings that were counted', registers }),
    late: new Counter({ name: 'relay_late_readings_total', help: 'readings whose minute was over when they came', registers }),
    duplicates: new Counter({ name: 'relay_duplicates_total', help: 'resent readings that were not counted again', registers }),
    misplaced: new Counter({ name: 'relay_misplaced_readings_total', help: 'readings that came by another partition than their device\'s home, and were passed on to it', registers }),
    deadLetters: createCounterBy(registry, { name: 'relay_dead_letters_total', help: 'records that could not be taken' }, 'reason', Object.keys(deadLetterReasons)),
    readBackWindows: new Counter({ name: 'relay_read_back_windows_total', help: 'windows that were read back from the database, for late readings or after a start', registers }),
    rowsWritten: new Counter({ name: 'relay_rows_written_total', help: 'rollup rows written', registers }),
    retries: new Counter({ name: 'relay_retries_total', help: 'attempts at the database or the dead letters that failed', registers }),
    fenced: new Counter({ name: 'relay_fenced_total', help: 'partitions that another processor had taken over', registers }),
    takeovers: new Counter({ name: 'relay_takeovers_total', help: 'times that other processors took partitions over, however many at once', registers }),
    historyChanges: new Counter({ name: 'relay_history_changes_total', help: 'restores, restarts and failovers of the database after which what was in memory was dropped', registers }),
    gaps: createCounterBy(registry, { name: 'relay_gaps_total', help: 'stretches of the log that were gone before they were read' }, 'kind', gapKinds),
    freshness: createWeightedHistogram(registry, {
      name: 'relay_freshness_seconds',
      help: 'time from the append of readings to the event log to the commit of their rollups, counted in readings',
      buckets: [0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800, 3600]
    }),
    settleSeconds: new Histogram({ name: 'relay_settle_seconds', help: 'time to work out what a flush has to write', buckets: seconds, registers }),
    writeSeconds: new Histogram({ name: 'relay_write_seconds', help: 'time to write a flush, retries included', buckets: seconds, registers }),
    seriesInMemory: new Gauge({ name: 'relay_series_in_memory', help: 'device series held in memory', registers }),
    lag: new Gauge({ name: 'relay_lag_records', help: 'records in the log that are not in the rollups yet', labelNames: ['partition'], registers }),
    flushStalled: new Gauge({ name: 'relay_flush_stalled', help: '1: the log has news, and nothing was flushed for FLUSH_STALLED_MS', registers }),
    timeouts: new Counter({ name: 'relay_statement_timeouts_total', help: 'statements that PostgreSQL ended as they took too long, and that are tried again', registers }),
    eventTime: new Gauge({ name: 'relay_event_time_max_seconds', help: 'newest event time that was folded', labelNames: ['partition'], registers })
  }
}
