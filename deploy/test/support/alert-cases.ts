/**
 * For each alarm: metrics with which it fires and ends, and metrics that look alike and call nobody. Values are those
 * of promtool, one a minute (`0x5 1+1x9`: six times 0, then 1 to 10).
 */
import { slos, type Slo } from '../../monitoring/slos.ts'
import type { Severity } from '../../monitoring/alerts.ts'

/** Values by series. */
export type Series = Readonly<Record<string, string>>

export interface AlertCase {
  readonly alert: string
  readonly severity: Severity
  /** between two values, minutes; left out: 1 */
  readonly stepMinutes?: number
  readonly fires: { readonly series: Series, readonly atMinute: number, readonly endsAtMinute: number }
  readonly quiet: { readonly because: string, readonly series: Series, readonly untilMinute: number }
}

interface Traffic {
  /** for each stretch: steps, all events of a step, bad ones of a step */
  readonly stretches: ReadonlyArray<readonly [steps: number, all: number, bad: number]>
}

type Count = (stretches: Traffic['stretches'], of: (all: number, bad: number) => number) => string

/** A counter that grows by so much a step. */
const count: Count = (stretches, of) => {
  let total = 0
  return ['0', ...stretches.map(([steps, all, bad]) => {
    const each = of(all, bad)
    const text = `${total + each}+${each}x${steps - 1}`
    total += each * steps
    return text
  })].join(' ')
}

/** The series of an objective, with as many bad events. */
const seriesOf: Readonly<Record<keyof typeof slos, (traffic: Traffic['stretches']) => Series>> = {
  answersAvailable: stretches => requests('query', stretches),
  ingestAccepted: stretches => requests('ingest', stretches),
  answersFast: stretches => {
    const labels = 'method="GET",route="/api/v1/aggregates",status="200"'
    return {
      [`relay_api_request_duration_seconds_bucket{${labels},le="0.1"}`]: count(stretches, (all, bad) => all - bad),
      [`relay_api_request_duration_seconds_count{${labels}}`]: count(stretches, all => all),
      // what takes long and is no answer to a question
      'relay_api_request_duration_seconds_bucket{method="POST",route="/api/v1/events",status="202",le="0.1"}': '0x3000',
      'relay_api_request_duration_seconds_count{method="POST",route="/api/v1/events",status="202"}': '0+1000x3000'
    }
  },
  rollupsFresh: stretches => ({
    'relay_freshness_seconds_bucket{le="5"}': count(stretches, (all, bad) => all - bad),
    relay_freshness_seconds_count: count(stretches, all => all)
  })
}

function requests (kind: 'query' | 'ingest', stretches: Traffic['stretches']): Series {
  return {
    [`relay_api_requests_total{kind="${kind}",outcome="answered"}`]: count(stretches, (all, bad) => all - bad),
    [`relay_api_requests_total{kind="${kind}",outcome="failed"}`]: count(stretches, (_all, bad) => bad),
    // faults of clients are none of Relay's
    [`relay_api_requests_total{kind="${kind}",outcome="refused"}`]: count(stretches, () => 1)
  }
}

/**
 * An outage of an hour pages; four bad events among 40 do not. A small share for a day is a ticket; a tenth of that is
 * none.
 */
function budgetCases (alert: string, objective: keyof typeof slos): AlertCase[] {
  const series = seriesOf[objective]
  const budget = 1 - (slos[objective] as Slo).objective
  const slowly = (rate: number) => 1000 * rate * budget
  return [
    {
      alert,
      severity: 'page',
      fires: { series: series([[60, 100, 0], [60, 100, 40], [120, 100, 0]]), atMinute: 90, endsAtMinute: 155 },
      quiet: {
        because: 'there is hardly any traffic', series: series([[60, 1, 0], [4, 1, 1], [36, 1, 0]]), untilMinute: 100
      }
    },
    {
      alert,
      severity: 'ticket',
      stepMinutes: 10,
      fires: {
        series: series([[26 * 6, 1000, slowly(4)], [10 * 6, 1000, 0]]), atMinute: 26 * 60, endsAtMinute: 33 * 60
      },
      quiet: {
        because: 'the budget is spent as slowly as it may',
        series: series([[36 * 6, 1000, slowly(0.5)]]),
        untilMinute: 36 * 60
      }
    }
  ]
}

const gauge = (name: string): AlertCase['fires'] & { readonly series: Series } =>
  ({ series: { [name]: '0x5 1x10 0x20' }, atMinute: 12, endsAtMinute: 20 })

export const alertCases: readonly AlertCase[] = [
  ...budgetCases('RelayAnswersFailing', 'answersAvailable'),
  ...budgetCases('RelayAnswersSlow', 'answersFast'),
  ...budgetCases('RelayEventsNotAccepted', 'ingestAccepted'),
  ...budgetCases('RelayRollupsLate', 'rollupsFresh'),
  {
    alert: 'RelayEventsLost',
    severity: 'page',
    fires: { series: { 'relay_api_gaps_total{kind="topic-recreated"}': '3x10 4x60' }, atMinute: 12, endsAtMinute: 30 },
    quiet: {
      because: 'the gap is from before, and a processor was started again',
      series: {
        'relay_api_gaps_total{kind="topic-recreated"}': '3x60', 'relay_gaps_total{kind="topic-recreated"}': '1x10 0x50'
      },
      untilMinute: 60
    }
  },
  {
    alert: 'RelayAnswersWrong',
    severity: 'page',
    fires: { series: { 'relay_probe_rounds_total{result="different"}': '0x5 1x40' }, atMinute: 8, endsAtMinute: 20 },
    quiet: {
      because: 'readings come late and the API is away for a while',
      series: {
        'relay_probe_rounds_total{result="different"}': '0x60',
        'relay_probe_rounds_total{result="missing"}': '0+6x60',
        'relay_probe_rounds_total{result="failed"}': '0+6x60'
      },
      untilMinute: 60
    }
  },
  {
    alert: 'RelayProbeFailing',
    severity: 'page',
    fires: {
      series: {
        'relay_probe_rounds_total{result="ok"}': '0+10x10 100x9 110+10x20',
        'relay_probe_rounds_total{result="failed"}': '0x10 2+2x9 20x20'
      },
      atMinute: 19,
      endsAtMinute: 24
    },
    quiet: {
      because: 'every other round fails',
      series: {
        'relay_probe_rounds_total{result="ok"}': '0+5x60', 'relay_probe_rounds_total{result="missing"}': '0+5x60'
      },
      untilMinute: 60
    }
  },
  ...(['api', 'processor'] as const).map((program): AlertCase => ({
    alert: program === 'api' ? 'RelayApiAbsent' : 'RelayProcessorAbsent',
    severity: 'page',
    fires: {
      series: { [`relay_build_info{program="relay-${program}",version="0.1.0"}`]: '1x10 stale _x10 1x20' }, atMinute: 15, endsAtMinute: 25
    },
    quiet: {
      because: 'all but one of them are away, and that one is restarted within a minute',
      series: {
        [`relay_build_info{program="relay-${program}",instance="a"}`]: '1x10 stale _x40',
        [`relay_build_info{program="relay-${program}",instance="b"}`]: '1x20 stale 1x20'
      },
      untilMinute: 41
    }
  })),
  {
    alert: 'RelayLagOld',
    severity: 'page',
    fires: { series: { 'relay_api_lag_seconds{partition="0"}': '0x5 90x15 0x20' }, atMinute: 12, endsAtMinute: 24 },
    quiet: {
      because: 'it was an outage of three minutes',
      series: {
        'relay_api_lag_seconds{partition="0"}': '0x5 90x3 0x20', 'relay_api_lag_seconds{partition="1"}': '30x30'
      },
      untilMinute: 28
    }
  },
  {
    alert: 'RelayFlushStalled',
    severity: 'page',
    fires: gauge('relay_flush_stalled'),
    quiet: { because: 'it went on after a minute', series: { relay_flush_stalled: '0x5 1 0x20' }, untilMinute: 25 }
  },
  {
    alert: 'RelayLagGrowing',
    severity: 'ticket',
    fires: {
      series: { 'relay_lag_records{partition="0"}': '0x5 500+500x39 20000x40' }, atMinute: 30, endsAtMinute: 60
    },
    quiet: {
      because: 'a backlog is worked off',
      series: { 'relay_lag_records{partition="0"}': '20000-400x49 400x20' },
      untilMinute: 70
    }
  },
  {
    alert: 'RelayTargetDown',
    severity: 'ticket',
    fires: { series: { 'up{job="relay-api",instance="a"}': '1x5 0x10 1x20' }, atMinute: 12, endsAtMinute: 20 },
    quiet: {
      because: 'it is restarted within a minute, and another job is none of Relay\'s',
      series: { 'up{job="relay-api",instance="a"}': '1x5 0 1x40', 'up{job="node",instance="a"}': '0x40' },
      untilMinute: 40
    }
  },
  {
    alert: 'RelayDegraded',
    severity: 'ticket',
    fires: gauge('relay_degraded{program="relay-processor",part="database"}'),
    quiet: {
      because: 'the database was restarted',
      series: { 'relay_degraded{program="relay-processor",part="database"}': '0x5 1x2 0x20' },
      untilMinute: 25
    }
  },
  {
    alert: 'RelayServerAway',
    severity: 'ticket',
    fires: gauge('relay_api_breaker_open{server="database"}'),
    quiet: {
      because: 'it answered again within a minute',
      series: { 'relay_api_breaker_open{server="database"}': '0x5 1 0x20' },
      untilMinute: 25
    }
  },
  {
    alert: 'RelayStaleAnswers',
    severity: 'ticket',
    fires: { series: { relay_api_stale_answers_total: '0x5 10+10x14 150x20' }, atMinute: 12, endsAtMinute: 30 },
    quiet: { because: 'it was a moment', series: { relay_api_stale_answers_total: '0x5 3x40' }, untilMinute: 45 }
  },
  {
    alert: 'RelayConnectionsExhausted',
    severity: 'ticket',
    fires: {
      series: {
        'relay_database_connections_in_use{server="database"}': '2x5 8x10 2x20',
        'relay_database_connections_max{server="database"}': '8x40',
        'relay_database_connections_waiting{server="database"}': '0x5 3x10 0x20'
      },
      atMinute: 12,
      endsAtMinute: 20
    },
    quiet: {
      because: 'all of them work, and nothing waits',
      series: {
        'relay_database_connections_in_use{server="database"}': '8x40',
        'relay_database_connections_max{server="database"}': '8x40',
        'relay_database_connections_waiting{server="database"}': '0x40'
      },
      untilMinute: 40
    }
  },
  {
    alert: 'RelayStatementTimeouts',
    severity: 'ticket',
    fires: { series: { relay_statement_timeouts_total: '0x5 1x60' }, atMinute: 9, endsAtMinute: 25 },
    quiet: {
      because: 'a processor was started again', series: { relay_statement_timeouts_total: '4x5 0x40' }, untilMinute: 45
    }
  },
  {
    alert: 'RelayDatabaseRefuses',
    severity: 'ticket',
    fires: { series: { relay_retries_total: '0x5 2+2x14 30x20' }, atMinute: 12, endsAtMinute: 30 },
    quiet: { because: 'the database was restarted', series: { relay_retries_total: '0x5 3x40' }, untilMinute: 45 }
  },
  {
    alert: 'RelayWritesSlow',
    severity: 'ticket',
    fires: {
      series: {
        'relay_write_seconds_bucket{le="5"}': '0x80',
        'relay_write_seconds_bucket{le="10"}': '0+6x30 180x50',
        'relay_write_seconds_bucket{le="+Inf"}': '0+6x30 180x50'
      },
      atMinute: 15,
      endsAtMinute: 45
    },
    quiet: {
      because: 'one flush in 200 is slow',
      series: {
        'relay_write_seconds_bucket{le="5"}': '0+199x60',
        'relay_write_seconds_bucket{le="10"}': '0+200x60',
        'relay_write_seconds_bucket{le="+Inf"}': '0+200x60'
      },
      untilMinute: 60
    }
  },
  {
    alert: 'RelayNoFreshEvents',
    severity: 'ticket',
    fires: {
      series: { 'relay_event_time_max_seconds{partition="0"}': '0+60x10 600x14 1560+60x30' },
      atMinute: 23,
      endsAtMinute: 28
    },
    quiet: {
      because: 'devices report every two minutes, and one partition has none',
      series: {
        'relay_event_time_max_seconds{partition="0"}': '0+60x60', 'relay_event_time_max_seconds{partition="1"}': '0x60'
      },
      untilMinute: 60
    }
  },
  {
    alert: 'RelayTakeovers',
    severity: 'ticket',
    fires: { series: { relay_takeovers_total: '0x5 1 2 3 4x60' }, atMinute: 13, endsAtMinute: 28 },
    quiet: {
      because: 'one processor was killed, and its partitions were taken over',
      series: { relay_takeovers_total: '0x5 1x60', relay_fenced_total: '0x5 12x60' },
      untilMinute: 60
    }
  },
  {
    alert: 'RelayCanaryUnfinished',
    severity: 'ticket',
    fires: { series: { relay_canary_age_seconds: '0x5 60+60x380 0x60' }, atMinute: 371, endsAtMinute: 390 },
    quiet: {
      because: 'it was promoted after three hours',
      series: { relay_canary_age_seconds: '0x5 60+60x180 0x300' },
      untilMinute: 480
    }
  },
  {
    alert: 'RelayDeadLetters',
    severity: 'ticket',
    fires: {
      series: { 'relay_dead_letters_total{reason="not-json"}': '0x5 5+5x19 100x40', relay_readings_total: '0+100x65' },
      atMinute: 18,
      endsAtMinute: 45
    },
    quiet: {
      because: 'half a percent',
      series: { 'relay_dead_letters_total{reason="not-json"}': '0+1x65', relay_readings_total: '0+200x65' },
      untilMinute: 65
    }
  },
  {
    alert: 'RelayApiDeadLetters',
    severity: 'ticket',
    fires: {
      series: { 'relay_api_dead_letters_total{reason="not-json"}': '0x5 5+5x29 150x30' }, atMinute: 22, endsAtMinute: 48
    },
    quiet: {
      because: 'two letters in an hour',
      series: { 'relay_api_dead_letters_total{reason="not-json"}': '0x5 1x20 2x40' },
      untilMinute: 60
    }
  },
  {
    alert: 'RelayMisplacedReadings',
    severity: 'ticket',
    fires: {
      series: { relay_misplaced_readings_total: '0+20x150 3000x150', relay_readings_total: '0+100x300' },
      atMinute: 75,
      endsAtMinute: 215
    },
    quiet: {
      because: 'one in twenty',
      series: { relay_misplaced_readings_total: '0+5x200', relay_readings_total: '0+100x200' },
      untilMinute: 200
    }
  },
  {
    alert: 'RelayReadBack',
    severity: 'ticket',
    fires: {
      series: { relay_read_back_windows_total: '0+100x40 4000x40', relay_rows_written_total: '0+50x80' },
      atMinute: 20,
      endsAtMinute: 60
    },
    quiet: {
      because: 'less is read back than written',
      series: { relay_read_back_windows_total: '0+40x80', relay_rows_written_total: '0+50x80' },
      untilMinute: 80
    }
  },
  {
    alert: 'RelayIngestMemory',
    severity: 'ticket',
    fires: { series: { relay_api_ingest_in_flight_bytes: '0x5 50000000x5 0x20' }, atMinute: 9, endsAtMinute: 13 },
    quiet: {
      because: 'a burst, and a quarter of the limit all the time',
      series: { relay_api_ingest_in_flight_bytes: '16000000x5 50000000 16000000x20' },
      untilMinute: 25
    }
  },
  {
    alert: 'RelayMqttRefused',
    severity: 'ticket',
    fires: {
      series: { 'relay_api_mqtt_refused_connects_total{reason="timeout"}': '0+120x40 4800x40' },
      atMinute: 16,
      endsAtMinute: 50
    },
    quiet: {
      because: 'one client in ten seconds has a wrong token, and old clients speak another version',
      series: {
        'relay_api_mqtt_refused_connects_total{reason="not-authorized"}': '0+6x60',
        'relay_api_mqtt_refused_connects_total{reason="version"}': '0+120x60'
      },
      untilMinute: 60
    }
  },
  {
    alert: 'RelayMqttFault',
    severity: 'ticket',
    fires: { series: { 'relay_api_mqtt_ended_total{reason="fault"}': '0x5 1x60' }, atMinute: 9, endsAtMinute: 25 },
    quiet: {
      because: 'clients come back under their name',
      series: {
        'relay_api_mqtt_ended_total{reason="fault"}': '0x60',
        'relay_api_mqtt_ended_total{reason="takenOver"}': '0+10x60'
      },
      untilMinute: 60
    }
  },
  {
    alert: 'RelayReplicaBehind',
    severity: 'ticket',
    fires: { series: { relay_api_replica_lag_seconds: '0x5 1000000x10 0x20' }, atMinute: 9, endsAtMinute: 20 },
    quiet: {
      because: 'it is as far behind as it may be', series: { relay_api_replica_lag_seconds: '9x40' }, untilMinute: 40
    }
  },
  {
    alert: 'RelayStreamsDropped',
    severity: 'ticket',
    fires: {
      series: { 'relay_api_stream_dropped_total{reason="slow"}': '0x5 4+4x9 40x60' }, atMinute: 16, endsAtMinute: 35
    },
    quiet: {
      because: 'three clients', series: { 'relay_api_stream_dropped_total{reason="slow"}': '0x5 3x60' }, untilMinute: 60
    }
  },
  {
    alert: 'RelayAnswersEnded',
    severity: 'ticket',
    fires: {
      series: { 'relay_api_answers_ended_total{reason="deadline"}': '0x5 4+4x9 40x60' }, atMinute: 16, endsAtMinute: 35
    },
    quiet: {
      because: 'clients go',
      series: { 'relay_api_answers_ended_total{reason="client-gone"}': '0+10x60' },
      untilMinute: 60
    }
  },
  {
    alert: 'RelayLongAnswersFull',
    severity: 'ticket',
    fires: { series: { 'relay_api_answers{length="long"}': '10x5 64x20 10x20' }, atMinute: 18, endsAtMinute: 28 },
    quiet: {
      because: 'there is room for one more, and short ones have no limit',
      series: { 'relay_api_answers{length="long"}': '63x60', 'relay_api_answers{length="short"}': '500x60' },
      untilMinute: 60
    }
  },
  {
    alert: 'RelayBudgetExceeded',
    severity: 'ticket',
    fires: {
      series: { 'relay_api_budget_exceeded_total{budget="answers",caller="key:a"}': '0x5 4+4x9 40x60' },
      atMinute: 16,
      endsAtMinute: 35
    },
    quiet: {
      because: 'two callers, each a little',
      series: {
        'relay_api_budget_exceeded_total{budget="answers",caller="key:a"}': '0x5 6x60',
        'relay_api_budget_exceeded_total{budget="answers",caller="key:b"}': '0x5 6x60'
      },
      untilMinute: 60
    }
  },
  {
    alert: 'RelayArchiveFailing',
    severity: 'ticket',
    fires: {
      series: {
        pg_archive_failures_total: '0x5 3+3x29 90x30', pg_archive_files_total: '0+1x5 5x30 5+1x30'
      },
      atMinute: 26,
      endsAtMinute: 40
    },
    quiet: {
      because: 'every other attempt fails, and then nothing is left to archive',
      series: { pg_archive_failures_total: '0+1x30 30x30', pg_archive_files_total: '0+1x30 30x30' },
      untilMinute: 60
    }
  },
  {
    alert: 'RelayArchiveBehind',
    severity: 'ticket',
    fires: { series: { pg_archive_ready_files: '1x5 17+1x30 0x10' }, atMinute: 24, endsAtMinute: 40 },
    quiet: {
      because: 'a checkpoint wrote a lot at once',
      series: { pg_archive_ready_files: '1x5 60-6x9 1x60' },
      untilMinute: 60
    }
  },
  {
    alert: 'RelayBackupOld',
    severity: 'ticket',
    stepMinutes: 10,
    fires: {
      series: { pg_base_backup_finish_time_seconds: '0x225 135000x20' }, atMinute: 36 * 60 + 20, endsAtMinute: 2_290
    },
    quiet: {
      because: 'there is one a day, and a replica has none of its own',
      series: {
        'pg_base_backup_finish_time_seconds{instance="primary"}': '0x143 86400x143 172800x60',
        'pg_base_backup_finish_time_seconds{instance="promoted"}': '0x360'
      },
      untilMinute: 3_400
    }
  },
  {
    alert: 'RelayKafkaOffline',
    severity: 'page',
    fires: gauge('kafka_controller_kafkacontroller_offlinepartitionscount'),
    quiet: {
      because: 'a leader moves to another broker',
      series: { kafka_controller_kafkacontroller_offlinepartitionscount: '0x5 8 0x60' },
      untilMinute: 60
    }
  },
  {
    alert: 'RelayKafkaUnderReplicated',
    severity: 'ticket',
    fires: {
      series: { kafka_server_replicamanager_underreplicatedpartitions: '0x5 12x30 0x20' },
      atMinute: 18,
      endsAtMinute: 40
    },
    quiet: {
      because: 'brokers are restarted one after the other',
      series: {
        'kafka_server_replicamanager_underreplicatedpartitions{instance="1"}': '0x5 12x3 0x5 12x3 0x40',
        'kafka_server_replicamanager_underreplicatedpartitions{instance="2"}': '0x5 9x3 0x60'
      },
      untilMinute: 50
    }
  },
  {
    alert: 'RelayKafkaDiskFailed',
    severity: 'ticket',
    fires: gauge('kafka_log_logmanager_offlinelogdirectorycount'),
    quiet: {
      because: 'all brokers use their folders',
      series: { 'kafka_log_logmanager_offlinelogdirectorycount{instance="1"}': '0x60' },
      untilMinute: 60
    }
  },
  {
    alert: 'RelayEventsSlow',
    severity: 'ticket',
    fires: {
      series: {
        'relay_api_request_duration_seconds_bucket{route="/api/v1/events",le="1"}': '0+60x30 1800x29 1800+60x60',
        'relay_api_request_duration_seconds_bucket{route="/api/v1/events",le="2.5"}': '0+60x120',
        'relay_api_request_duration_seconds_bucket{route="/api/v1/events",le="+Inf"}': '0+60x120'
      },
      atMinute: 50,
      endsAtMinute: 75
    },
    quiet: {
      because: 'questions take long, and events for two minutes',
      series: {
        'relay_api_request_duration_seconds_bucket{route="/api/v1/aggregates",le="1"}': '0x120',
        'relay_api_request_duration_seconds_bucket{route="/api/v1/aggregates",le="+Inf"}': '0+60x120',
        'relay_api_request_duration_seconds_bucket{route="/api/v1/events",le="1"}': '0+60x30 1800x2 1860+60x60',
        'relay_api_request_duration_seconds_bucket{route="/api/v1/events",le="2.5"}': '0+60x90',
        'relay_api_request_duration_seconds_bucket{route="/api/v1/events",le="+Inf"}': '0+60x90'
      },
      untilMinute: 90
    }
  },
  {
    alert: 'RelayTraceSpansDropped',
    severity: 'ticket',
    fires: {
      series: { 'relay_trace_spans_total{outcome="dropped",program="relay-api"}': '0x5 1+1x19 20x20' },
      atMinute: 18,
      endsAtMinute: 32
    },
    quiet: {
      because: 'the collector was restarted, and a program too',
      series: {
        'relay_trace_spans_total{outcome="dropped",program="relay-api"}': '0x5 100 200x20 0x40',
        'relay_trace_spans_total{outcome="exported",program="relay-api"}': '0+50x60'
      },
      untilMinute: 60
    }
  },
  {
    alert: 'RelayEventsSkipped',
    severity: 'ticket',
    fires: { series: { relay_skipped_events_total: '0x5 7x60' }, atMinute: 9, endsAtMinute: 25 },
    quiet: {
      because: 'a simulator was started again', series: { relay_skipped_events_total: '7x5 0x60' }, untilMinute: 60
    }
  }
]
