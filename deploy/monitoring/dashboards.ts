/**
 * The dashboards of Grafana: an overview, and one per program and server.
 *
 *     overview ──▶ processor, API, event log, PostgreSQL, Kafka, backups ──▶ runbook
 *
 * Each panel lists its alarms and is red where they fire; both come from `alerts.ts`.
 */
import {
  graph, number, of, perSecond, quantiles, query, total, watched, within, worst, type Dashboard, type Panel, type Query
} from './panels.ts'
import { pagingBurns, slos } from './slos.ts'

const burn = ({ name, objective }: typeof slos[keyof typeof slos]): Query =>
  query(`${of('relay:slo_bad:ratio1h', `slo="${name}"`)} / ${Number((1 - objective).toPrecision(6))}`, name)

const firing = (severity: string): Query =>
  query(`count(ALERTS{alertstate="firing",service="relay",severity="${severity}"}) or vector(0)`, severity)

/** Resources of a Node.js process. */
const processOf = (program: string): Panel[] => {
  const ofIt = `program="${program}"`
  return [
    graph('CPU', 'percentunit', [query(`rate(${of('process_cpu_seconds_total', ofIt)}[$__rate_interval])`, '{{instance}}')]),
    graph('Memory', 'bytes', [query(of('process_resident_memory_bytes', ofIt), '{{instance}}')]),
    graph('Event loop: delay', 's', [query(of('nodejs_eventloop_lag_p99_seconds', ofIt), 'p99 {{instance}}')])
  ]
}

/** Connections of a program to its databases. */
const connectionsOf = (program: string): Panel => graph('Connections to databases', 'short', [
  query(of('relay_database_connections_in_use', `program="${program}"`), 'in use: {{server}} {{instance}}'),
  query(of('relay_database_connections_waiting', `program="${program}"`), 'waiting requests: {{server}} {{instance}}'),
  query(of('relay_database_connections_max', `program="${program}"`), 'most: {{server}} {{instance}}')
], { alarms: ['RelayConnectionsExhausted'] })

const SHORT_ANSWERS = 'route=~"/api/.+",route!="/api/v1/events",status=~"2.."'

const lagSeconds = graph(
  'Age of the oldest unread record', 's', [worst('relay_api_lag_seconds', 'seconds')], watched('RelayLagOld')
)
const lagRecords = graph(
  'Unread records', 'short', [total('relay_api_lag_records', 'partition {{partition}}', 'partition')]
)
const breaker = graph(
  'Open circuit breakers', 'bool', [worst('relay_api_breaker_open', '{{server}}', 'server')], watched('RelayServerAway')
)
const questions = graph(
  'Questions', 'reqps', [perSecond('relay_api_requests_total', '{{outcome}}', 'outcome', 'kind="query"')],
  { alarms: ['RelayAnswersFailing'] }
)
const ingestRequests = graph(
  'Requests with events', 'reqps', [perSecond('relay_api_requests_total', '{{outcome}}', 'outcome', 'kind="ingest"')],
  { alarms: ['RelayEventsNotAccepted'] }
)
const freshness = graph(
  'From append to rollup', 's', quantiles('relay_freshness_seconds'), { alarms: ['RelayRollupsLate'] }
)
const inFlight = graph(
  'Events waiting for the event log', 'bytes', [query(of('relay_api_ingest_in_flight_bytes'), '{{instance}}')],
  watched('RelayIngestMemory')
)
/** The requests of Relay, as Kafka's exporter has them. */
const READ_OR_WRITE = 'quantile="0.99",request=~"Produce|Fetch"'

/** A counter of Kafka, per second, of all its topics. Without the label it is the sum of these. */
const ofTopics = (name: string, legend: string, by = ''): Query => query(
  `sum ${by === '' ? '' : `by (${by}) `}(rate(kafka_server_brokertopicmetrics_${name}_total` +
  `${by === '' ? '{topic=""}' : '{topic!=""}'}[$__rate_interval]))`, legend
)

const spans = graph(
  'Spans of traces', 'ops', [perSecond('relay_trace_spans_total', '{{program}}: {{outcome}}', 'program, outcome')],
  { alarms: ['RelayTraceSpansDropped'] }
)

export const dashboards: readonly Dashboard[] = [
  {
    uid: 'relay-overview',
    title: 'Relay: overview',
    about: 'What users see, and the firing alerts. The other dashboards show causes.',
    rows: [
      {
        title: 'Now',
        panels: [
          number('Pages', 'short', [firing('page')], { limits: [{ from: 1, color: 'red' }] }),
          number('Tickets', 'short', [firing('ticket')], { limits: [{ from: 1, color: 'yellow' }] }),
          number('Running programs', 'short', [query('sum by (job) (up{job=~"relay-.+"})', '{{job}}')],
            { alarms: ['RelayApiAbsent', 'RelayProcessorAbsent', 'RelayTargetDown'] }),
          number('Degraded parts', 'short', [total('relay_degraded', 'parts')], watched('RelayDegraded')),
          number('Oldest unread record', 's', [worst('relay_api_lag_seconds', 'seconds')], watched('RelayLagOld')),
          number('Gaps in 24 h', 'short', [within('relay_api_gaps_total', '24h', 'gaps')],
            { alarms: ['RelayEventsLost'], limits: [{ from: 1, color: 'red' }] })
        ]
      },
      {
        title: 'Promises',
        panels: [
          graph('Burn rate of the error budgets (1: all of it in 30 days)', 'short', Object.values(slos).map(burn), {
            alarms: ['RelayAnswersFailing', 'RelayAnswersSlow', 'RelayEventsNotAccepted', 'RelayRollupsLate'],
            limits: pagingBurns.map((from, n): Panel['limits'][number] => ({ from, color: n === 0 ? 'yellow' : 'red' }))
          }),
          graph('Probe rounds', 'ops', [perSecond('relay_probe_rounds_total', '{{result}}', 'result')],
            { alarms: ['RelayAnswersWrong', 'RelayProbeFailing'] }),
          graph('Probe: time until a reading is in answers', 's', quantiles('relay_probe_latency_seconds'))
        ]
      },
      {
        title: 'Traffic',
        panels: [
          questions,
          ingestRequests,
          graph('Readings counted', 'ops', [perSecond('relay_readings_total', 'readings')]),
          graph('Answer time', 's', quantiles('relay_api_request_duration_seconds', '', '', SHORT_ANSWERS),
            { alarms: ['RelayAnswersSlow'] }),
          freshness,
          lagSeconds
        ]
      }
    ]
  },
  {
    uid: 'relay-processor',
    title: 'Relay: processor',
    about: 'From the event log to rows: how much, how old, and what is in the way.',
    rows: [
      {
        title: 'Progress',
        panels: [
          lagSeconds,
          lagRecords,
          graph(
            'Unread records, as reported by processors', 'short',
            [total('relay_lag_records', 'partition {{partition}}', 'partition')], { alarms: ['RelayLagGrowing'] }
          ),
          graph('Age of the newest event', 's', [query(`time() - max(${of('relay_event_time_max_seconds')})`, 'seconds')],
            watched('RelayNoFreshEvents')),
          freshness,
          graph(
            'Flushes stalled', 'bool', [worst('relay_flush_stalled', '{{instance}}', 'instance')],
            watched('RelayFlushStalled')
          )
        ]
      },
      {
        title: 'Readings',
        panels: [
          graph('Readings', 'ops', [
            perSecond('relay_readings_total', 'counted'),
            perSecond('relay_late_readings_total', 'late'),
            perSecond('relay_duplicates_total', 'resent'),
            perSecond('relay_misplaced_readings_total', 'outside of their home partition')
          ], { alarms: ['RelayMisplacedReadings'] }),
          graph(
            'Dead letters', 'ops', [perSecond('relay_dead_letters_total', '{{reason}}', 'reason')],
            { alarms: ['RelayDeadLetters'] }
          ),
          graph(
            'Gaps', 'short', [within('relay_gaps_total', '15m', '{{kind}}', 'kind')], { alarms: ['RelayEventsLost'] }
          )
        ]
      },
      {
        title: 'Writing',
        panels: [
          graph('Flush time', 's', quantiles('relay_write_seconds'), watched('RelayWritesSlow')),
          graph('Flush planning time', 's', quantiles('relay_settle_seconds')),
          graph('Rows and windows', 'ops', [
            perSecond('relay_rows_written_total', 'rows written'),
            perSecond('relay_read_back_windows_total', 'windows read back')
          ], { alarms: ['RelayReadBack'] }),
          graph('Failed writes', 'ops', [
            perSecond('relay_retries_total', 'retried'), perSecond('relay_statement_timeouts_total', 'timed out')
          ], { alarms: ['RelayDatabaseRefuses', 'RelayStatementTimeouts'] }),
          graph('Partition takeovers', 'short', [
            within('relay_takeovers_total', '15m', 'takeovers'), within('relay_fenced_total', '15m', 'partitions')
          ], { alarms: ['RelayTakeovers'] }),
          connectionsOf('relay-processor'),
          spans
        ]
      },
      {
        title: 'Process',
        panels: [
          graph('Series in memory', 'short', [query(of('relay_series_in_memory'), '{{instance}}')]),
          ...processOf('relay-processor')
        ]
      }
    ]
  },
  {
    uid: 'relay-api',
    title: 'Relay: API',
    about: 'Requests and events of clients, their outcome, and the bottlenecks.',
    rows: [
      {
        title: 'Questions',
        panels: [
          questions,
          graph('Error responses', 'reqps', [query(
            `sum by (status) (rate(${of('relay_api_request_duration_seconds_count', 'status=~"[45].."')}[$__rate_interval]))`, '{{status}}',
            'no error responses')]),
          graph(
            'Answer time by route', 's',
            quantiles('relay_api_request_duration_seconds', ' {{route}}', 'route', 'route=~"/api/.+"'),
            { alarms: ['RelayAnswersSlow', 'RelayEventsSlow'] }
          ),
          graph(
            'Answers in progress', 'short', [total('relay_api_answers', '{{length}}', 'length')],
            watched('RelayLongAnswersFull')
          ),
          graph(
            'Statements waiting for a connection', 'short',
            [total('relay_api_statements_waiting', '{{server}}', 'server')]
          ),
          graph('Incomplete answers', 'short', [within('relay_api_answers_ended_total', '15m', '{{reason}}', 'reason')],
            { alarms: ['RelayAnswersEnded'] }),
          graph('Exceeded budgets', 'short', [query(
            `sum by (budget, caller) (increase(${of('relay_api_budget_exceeded_total')}[15m]))`, '{{budget}} {{caller}}')],
          { alarms: ['RelayBudgetExceeded'] })
        ]
      },
      {
        title: 'Events',
        panels: [
          ingestRequests,
          graph('Events', 'ops', [
            perSecond('relay_api_ingest_accepted_total', 'accepted'),
            perSecond('relay_api_ingest_refused_total', 'refused: {{reason}}', 'reason')
          ]),
          inFlight,
          graph('MQTT: connections', 'short', [
            total('relay_api_mqtt_connections', 'logged in'),
            total('relay_api_mqtt_pending_connections', 'before login')
          ]),
          graph('MQTT: failed logins, closed connections', 'ops', [
            perSecond('relay_api_mqtt_refused_connects_total', 'failed login: {{reason}}', 'reason'),
            perSecond('relay_api_mqtt_ended_total', 'ended: {{reason}}', 'reason'),
            perSecond('relay_api_mqtt_ignored_total', 'ignored: {{reason}}', 'reason')
          ], { alarms: ['RelayMqttRefused', 'RelayMqttFault'] }),
          graph(
            'MQTT: dead letters', 'ops', [perSecond('relay_api_dead_letters_total', '{{reason}}', 'reason')],
            { alarms: ['RelayApiDeadLetters'] }
          )
        ]
      },
      {
        title: 'Streams',
        panels: [
          graph('Clients', 'short', [total('relay_api_stream_clients', 'clients')]),
          graph(
            'From commits to the last client', 's',
            quantiles('relay_api_stream_round_seconds').map(it => ({ ...it, emptyAsLong: 'no open streams' }))
          ),
          graph('Closed streams', 'short', [within('relay_api_stream_dropped_total', '15m', '{{reason}}', 'reason')],
            { alarms: ['RelayStreamsDropped'] })
        ]
      },
      {
        title: 'Dependencies',
        panels: [
          breaker,
          graph(
            'Degraded parts', 'bool', [worst('relay_degraded', '{{part}}', 'part', 'program="relay-api"')],
            watched('RelayDegraded')
          ),
          graph('Stale answers from memory', 'ops', [
            perSecond('relay_api_stale_answers_total', 'stale'), perSecond('relay_api_retries_total', 'repeated reads')
          ], { alarms: ['RelayStaleAnswers'] }),
          graph('Replica lag', 's', [query(of('relay_api_replica_lag_seconds'), '{{instance}}', 'no replica')],
            watched('RelayReplicaBehind')),
          connectionsOf('relay-api'),
          spans
        ]
      },
      { title: 'Process', panels: processOf('relay-api') }
    ]
  },
  {
    uid: 'relay-event-log',
    title: 'Relay: event log',
    about: 'Kafka, or PostgreSQL in its place, as seen by producers and readers.',
    rows: [
      {
        title: 'Writing',
        panels: [
          graph('Events', 'ops', [
            perSecond('relay_api_ingest_accepted_total', 'accepted by the API'),
            perSecond('relay_sent_records_total', 'sent by the simulator: {{kind}}', 'kind')
          ]),
          inFlight,
          breaker,
          graph('Simulator: time until a batch is acknowledged', 's', quantiles('relay_send_seconds')),
          graph('Simulator: lag behind the clock', 's', [worst('relay_live_behind_seconds', 'seconds')]),
          graph('Simulator: failures', 'short', [
            within('relay_send_retries_total', '15m', 'retried'), within('relay_skipped_events_total', '15m', 'skipped')
          ], { alarms: ['RelayEventsSkipped'] })
        ]
      },
      {
        title: 'Reading',
        panels: [
          lagRecords,
          lagSeconds,
          graph(
            'Gaps', 'short', [within('relay_api_gaps_total', '15m', '{{kind}}', 'kind')],
            { alarms: ['RelayEventsLost'] }
          )
        ]
      }
    ]
  },
  {
    uid: 'relay-postgres',
    title: 'Relay: PostgreSQL',
    about: 'The database, from its exporter (job `postgres`), and how programs use it.',
    rows: [
      {
        title: 'The server',
        panels: [
          graph('Up', 'bool', [query('min(pg_up)', 'up')]),
          graph(
            'Connections by state', 'short',
            [
              query('sum by (state) (pg_stat_activity_count)', '{{state}}'),
              query('max(pg_settings_max_connections)', 'most')
            ]
          ),
          graph(
            'Longest transaction', 's', [query('max by (datname) (pg_stat_activity_max_tx_duration)', '{{datname}}')]
          ),
          graph('Transactions', 'ops', [
            query('sum(rate(pg_stat_database_xact_commit[$__rate_interval]))', 'committed'),
            query('sum(rate(pg_stat_database_xact_rollback[$__rate_interval]))', 'rolled back')
          ]),
          graph('Rows', 'ops', [
            query('sum(rate(pg_stat_database_tup_inserted[$__rate_interval]))', 'inserted'),
            query('sum(rate(pg_stat_database_tup_updated[$__rate_interval]))', 'updated'),
            query('sum(rate(pg_stat_database_tup_deleted[$__rate_interval]))', 'deleted'),
            query('sum(rate(pg_stat_database_tup_fetched[$__rate_interval]))', 'fetched')
          ]),
          graph('Cache hit ratio', 'percentunit', [query(
            'sum(rate(pg_stat_database_blks_hit[$__rate_interval])) / ' +
            '(sum(rate(pg_stat_database_blks_hit[$__rate_interval])) + ' +
              'sum(rate(pg_stat_database_blks_read[$__rate_interval])))', 'share')]),
          graph('Size', 'bytes', [query('max by (datname) (pg_database_size_bytes)', '{{datname}}')]),
          graph('Locks', 'short', [query('sum by (mode) (pg_locks_count)', '{{mode}}')]),
          graph(
            'Temporary files', 'bytes',
            [query('sum(rate(pg_stat_database_temp_bytes[$__rate_interval]))', 'per second')]
          ),
          graph('Deadlocks', 'short', [query('sum(increase(pg_stat_database_deadlocks[15m]))', 'deadlocks')])
        ]
      },
      {
        title: 'Use by programs',
        panels: [
          connectionsOf('relay-api'),
          connectionsOf('relay-processor'),
          graph('Flush time', 's', quantiles('relay_write_seconds'), watched('RelayWritesSlow')),
          graph('Restores, restarts and failovers detected', 'short', [
            within('relay_api_history_changes_total', '1h', 'API'),
            within('relay_history_changes_total', '1h', 'processor')
          ])
        ]
      }
    ]
  },
  {
    uid: 'relay-kafka',
    title: 'Relay: Kafka',
    about: 'The brokers, from their own metrics (JMX, job `kafka`).',
    rows: [
      {
        title: 'Replicas',
        panels: [
          graph('Partitions without a leader', 'short', [
            query('max(kafka_controller_kafkacontroller_offlinepartitionscount)', 'partitions')
          ], watched('RelayKafkaOffline')),
          graph('Under-replicated partitions', 'short', [query(
            'max by (instance) (kafka_server_replicamanager_underreplicatedpartitions)', '{{instance}}')],
          watched('RelayKafkaUnderReplicated')),
          graph('Partitions below min.insync.replicas', 'short', [query(
            'max by (instance) (kafka_server_replicamanager_underminisrpartitioncount)', '{{instance}}')]),
          graph('Brokers', 'short', [
            query('max(kafka_controller_kafkacontroller_activebrokercount)', 'active'),
            query('max(kafka_controller_kafkacontroller_fencedbrokercount)', 'fenced'),
            query('sum(kafka_controller_kafkacontroller_activecontrollercount)', 'controllers that lead')
          ]),
          graph('Replicas that fell behind', 'short', [query(
            'sum by (instance) (increase(kafka_server_replicamanager_isrshrinks_total[15m]))', '{{instance}}')])
        ]
      },
      {
        title: 'Requests',
        panels: [
          graph('Request time', 's', [query(
            `max by (request) (kafka_network_requestmetrics_totaltimems{${READ_OR_WRITE}}) / 1000`, 'p99 {{request}}'
          )]),
          graph('Time of requests in the queue', 's', [query(
            `max by (request) (kafka_network_requestmetrics_requestqueuetimems{${READ_OR_WRITE}}) / 1000`,
            'p99 {{request}}'
          )]),
          graph('Idle request handlers', 'percentunit', [
            query(
              'min by (instance) (kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent)', '{{instance}}'
            )
          ]),
          graph('Failed requests', 'ops', [
            ofTopics('failedproducerequests', 'Produce'), ofTopics('failedfetchrequests', 'Fetch')
          ])
        ]
      },
      {
        title: 'Data',
        panels: [
          graph('Records in', 'ops', [ofTopics('messagesin', '{{topic}}', 'topic')]),
          graph('Bytes', 'bytes', [ofTopics('bytesin', 'in per second'), ofTopics('bytesout', 'out per second')]),
          graph('Disk used by topic', 'bytes', [
            query('sum by (instance, topic) (kafka_log_log_size)', '{{instance}} {{topic}}')
          ]),
          graph('Data folders that failed', 'short', [query(
            'max by (instance) (kafka_log_logmanager_offlinelogdirectorycount)', '{{instance}}')],
          watched('RelayKafkaDiskFailed')),
          graph('Memory', 'bytes', [query('sum by (instance) (jvm_memory_used_bytes{job="kafka"})', '{{instance}}')])
        ]
      }
    ]
  },
  {
    uid: 'relay-backups',
    title: 'Relay: backups',
    about: 'What a restore could use: base backup, archived WAL, replicas. From the exporter of PostgreSQL.',
    rows: [
      {
        title: 'Backups',
        panels: [
          number('Age of the last base backup', 's', [query('time() - max(pg_base_backup_finish_time_seconds)', 'age')],
            watched('RelayBackupOld')),
          number('Age of the last archived WAL file', 's', [query('max(pg_archive_last_age_seconds)', 'age')]),
          graph('Archived WAL files', 'short', [
            query('sum(increase(pg_archive_files_total[15m]))', 'archived'),
            query('sum(increase(pg_archive_failures_total[15m]))', 'failed attempts')
          ], { alarms: ['RelayArchiveFailing'] }),
          graph('WAL files that wait for the archive', 'short', [query('max(pg_archive_ready_files)', 'files')],
            watched('RelayArchiveBehind')),
          graph('WAL on the disk of the server', 'bytes', [query('max(pg_archive_wal_bytes)', 'bytes')])
        ]
      },
      {
        title: 'Replicas',
        panels: [
          graph('Lag of replicas', 'bytes', [query(
            'max by (application_name, client) (pg_replica_lag_bytes)', '{{application_name}} {{client}}'
          )]),
          graph('Lag of the replica that APIs read', 's', [query(
            of('relay_api_replica_lag_seconds'), '{{instance}}', 'no replica')], watched('RelayReplicaBehind')),
          graph('Restores, restarts and failovers detected', 'short', [
            within('relay_api_history_changes_total', '24h', 'API')
          ])
        ]
      }
    ]
  },
  {
    uid: 'relay-rollout',
    title: 'Relay: rollout',
    about: 'Running versions, and whether a rolling restart affects anybody.',
    rows: [
      {
        title: 'Versions',
        panels: [
          graph('Programs by version', 'short', [query(
            `count by (program, version, node_version) (${of('relay_build_info')})`, '{{program}} {{version}}, Node {{node_version}}')]),
          graph('Uptime', 's', [query(`time() - ${of('process_start_time_seconds', 'program=~"relay-.+"')}`, '{{program}} {{instance}}')]),
          graph(
            'Running programs', 'short', [query('sum by (job) (up{job=~"relay-.+"})', '{{job}}')],
            { alarms: ['RelayTargetDown'] }
          )
        ]
      },
      {
        title: 'Effect',
        panels: [
          graph(
            'Failed requests', 'reqps', [perSecond('relay_api_requests_total', '{{kind}}', 'kind', 'outcome="failed"')],
            { alarms: ['RelayAnswersFailing', 'RelayEventsNotAccepted'] }
          ),
          graph(
            'Degraded parts', 'bool', [worst('relay_degraded', '{{program}} {{part}}', 'program, part')],
            watched('RelayDegraded')
          ),
          graph(
            'Partition takeovers', 'short', [within('relay_takeovers_total', '15m', 'takeovers')],
            { alarms: ['RelayTakeovers'] }
          ),
          graph(
            'Age of the canary', 's', [worst('relay_canary_age_seconds', 'seconds')], watched('RelayCanaryUnfinished')
          ),
          lagSeconds,
          graph(
            'Answer time', 's', quantiles('relay_api_request_duration_seconds', '', '', SHORT_ANSWERS),
            { alarms: ['RelayAnswersSlow'] }
          )
        ]
      }
    ]
  }
]
