/**
 * What people look at when an alarm calls them, and what they look at when none does.
 *
 *     is it well? ──▶ processor, API, event log, PostgreSQL ──▶ the runbook
 *
 * Each panel says which alarms are about it, and is red where they fire: both come from `alerts.ts`.
 */
import { graph, number, of, perSecond, quantiles, query, total, watched, within, worst, type Dashboard, type Panel, type Query } from './panels.ts'
import { pagingBurns, slos } from './slos.ts'

const burn = ({ name, objective }: typeof slos[keyof typeof slos]): Query =>
  query(`${of('relay:slo_bad:ratio1h', `slo="${name}"`)} / ${Number((1 - objective).toPrecision(6))}`, name)

const firing = (severity: string): Query =>
  query(`count(ALERTS{alertstate="firing",service="relay",severity="${severity}"}) or vector(0)`, severity)

/** What a Node.js process takes. */
const processOf = (program: string): Panel[] => {
  const ofIt = `program="${program}"`
  return [
    graph('CPU', 'percentunit', [query(`rate(${of('process_cpu_seconds_total', ofIt)}[$__rate_interval])`, '{{instance}}')]),
    graph('Memory', 'bytes', [query(of('process_resident_memory_bytes', ofIt), '{{instance}}')]),
    graph('Event loop: delay', 's', [query(of('nodejs_eventloop_lag_p99_seconds', ofIt), 'p99 {{instance}}')])
  ]
}

/** What a program has of its databases. */
const connectionsOf = (program: string): Panel => graph('Connections to databases', 'short', [
  query(of('relay_database_connections_in_use', `program="${program}"`), 'in use: {{server}} {{instance}}'),
  query(of('relay_database_connections_waiting', `program="${program}"`), 'work that waits: {{server}} {{instance}}'),
  query(of('relay_database_connections_max', `program="${program}"`), 'most: {{server}} {{instance}}')
], { alarms: ['RelayConnectionsExhausted'] })

const SHORT_ANSWERS = 'route=~"/api/.+",route!="/api/v1/events",status=~"2.."'

const lagSeconds = graph('Age of the oldest unread record', 's', [worst('relay_api_lag_seconds', 'seconds')], watched('RelayLagOld'))
const lagRecords = graph('Unread records', 'short', [total('relay_api_lag_records', 'partition {{partition}}', 'partition')])
const breaker = graph('Servers that are given up', 'bool', [worst('relay_api_breaker_open', '{{server}}', 'server')], watched('RelayServerAway'))
const questions = graph('Questions', 'reqps', [perSecond('relay_api_requests_total', '{{outcome}}', 'outcome', 'kind="query"')],
  { alarms: ['RelayAnswersFailing'] })
const ingestRequests = graph('Requests with events', 'reqps', [perSecond('relay_api_requests_total', '{{outcome}}', 'outcome', 'kind="ingest"')],
  { alarms: ['RelayEventsNotAccepted'] })
const freshness = graph('From append to rollup', 's', quantiles('relay_freshness_seconds'), { alarms: ['RelayRollupsLate'] })
const inFlight = graph('Events that wait for the event log', 'bytes', [query(of('relay_api_ingest_in_flight_bytes'), '{{instance}}')],
  watched('RelayIngestMemory'))

export const dashboards: readonly Dashboard[] = [
  {
    uid: 'relay-overview',
    title: 'Relay: is it well?',
    about: 'What users see, and whether anybody is called. Causes are on the other dashboards.',
    rows: [
      {
        title: 'Now',
        panels: [
          number('Pages', 'short', [firing('page')], { limits: [{ from: 1, color: 'red' }] }),
          number('Tickets', 'short', [firing('ticket')], { limits: [{ from: 1, color: 'yellow' }] }),
          number('Programs that answer', 'short', [query('sum by (job) (up{job=~"relay-.+"})', '{{job}}')],
            { alarms: ['RelayApiAbsent', 'RelayProcessorAbsent', 'RelayTargetDown'] }),
          number('Parts that do not work', 'short', [total('relay_degraded', 'parts')], watched('RelayDegraded')),
          number('Oldest unread record', 's', [worst('relay_api_lag_seconds', 'seconds')], watched('RelayLagOld')),
          number('Gaps in 24 h', 'short', [within('relay_api_gaps_total', '24h', 'gaps')],
            { alarms: ['RelayEventsLost'], limits: [{ from: 1, color: 'red' }] })
        ]
      },
      {
        title: 'Promises',
        panels: [
          graph('How fast budgets burn (1: all of it in 30 days)', 'short', Object.values(slos).map(burn), {
            alarms: ['RelayAnswersFailing', 'RelayAnswersSlow', 'RelayEventsNotAccepted', 'RelayRollupsLate'],
            limits: pagingBurns.map((from, n): Panel['limits'][number] => ({ from, color: n === 0 ? 'yellow' : 'red' }))
          }),
          graph('Rounds of the probe', 'ops', [perSecond('relay_probe_rounds_total', '{{result}}', 'result')],
            { alarms: ['RelayAnswersWrong', 'RelayProbeFailing'] }),
          graph('The probe: from sending to the answer that has it', 's', quantiles('relay_probe_latency_seconds'))
        ]
      },
      {
        title: 'Traffic',
        panels: [
          questions,
          ingestRequests,
          graph('Readings that are counted', 'ops', [perSecond('relay_readings_total', 'readings')]),
          graph('Answers: how long', 's', quantiles('relay_api_request_duration_seconds', '', '', SHORT_ANSWERS),
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
        title: 'How far',
        panels: [
          lagSeconds,
          lagRecords,
          graph('Unread records, as processors see them', 'short', [total('relay_lag_records', 'partition {{partition}}', 'partition')],
            { alarms: ['RelayLagGrowing'] }),
          graph('Age of the newest event', 's', [query(`time() - max(${of('relay_event_time_max_seconds')})`, 'seconds')],
            watched('RelayNoFreshEvents')),
          freshness,
          graph('Nothing is flushed', 'bool', [worst('relay_flush_stalled', '{{instance}}', 'instance')], watched('RelayFlushStalled'))
        ]
      },
      {
        title: 'Readings',
        panels: [
          graph('Readings', 'ops', [
            perSecond('relay_readings_total', 'counted'),
            perSecond('relay_late_readings_total', 'late'),
            perSecond('relay_duplicates_total', 'sent again'),
            perSecond('relay_misplaced_readings_total', 'by another partition than home')
          ], { alarms: ['RelayMisplacedReadings'] }),
          graph('Dead letters', 'ops', [perSecond('relay_dead_letters_total', '{{reason}}', 'reason')], { alarms: ['RelayDeadLetters'] }),
          graph('Gaps', 'short', [within('relay_gaps_total', '15m', '{{kind}}', 'kind')], { alarms: ['RelayEventsLost'] })
        ]
      },
      {
        title: 'Writing',
        panels: [
          graph('A flush: how long', 's', quantiles('relay_write_seconds'), watched('RelayWritesSlow')),
          graph('What a flush has to write: how long to work it out', 's', quantiles('relay_settle_seconds')),
          graph('Rows and windows', 'ops', [
            perSecond('relay_rows_written_total', 'rows written'), perSecond('relay_read_back_windows_total', 'windows read back')
          ], { alarms: ['RelayReadBack'] }),
          graph('What the database did not take', 'ops', [
            perSecond('relay_retries_total', 'tried again'), perSecond('relay_statement_timeouts_total', 'took too long')
          ], { alarms: ['RelayDatabaseRefuses', 'RelayStatementTimeouts'] }),
          graph('Partitions that change hands', 'short', [
            within('relay_takeovers_total', '15m', 'takeovers'), within('relay_fenced_total', '15m', 'partitions')
          ], { alarms: ['RelayTakeovers'] }),
          connectionsOf('relay-processor')
        ]
      },
      {
        title: 'Process',
        panels: [graph('Series in memory', 'short', [query(of('relay_series_in_memory'), '{{instance}}')]), ...processOf('relay-processor')]
      }
    ]
  },
  {
    uid: 'relay-api',
    title: 'Relay: API',
    about: 'What clients ask and send, what they get, and what is in the way.',
    rows: [
      {
        title: 'Questions',
        panels: [
          questions,
          graph('Answers that say no', 'reqps', [query(
            `sum by (status) (rate(${of('relay_api_request_duration_seconds_count', 'status=~"[45].."')}[$__rate_interval]))`, '{{status}}',
            'nobody asks what can\'t be answered')]),
          graph('Answers: how long, by route', 's', quantiles('relay_api_request_duration_seconds', ' {{route}}', 'route', 'route=~"/api/.+"'),
            { alarms: ['RelayAnswersSlow'] }),
          graph('Answers under way', 'short', [total('relay_api_answers', '{{length}}', 'length')], watched('RelayLongAnswersFull')),
          graph('Statements that wait for their turn', 'short', [total('relay_api_statements_waiting', '{{server}}', 'server')]),
          graph('Answers that ended before they were whole', 'short', [within('relay_api_answers_ended_total', '15m', '{{reason}}', 'reason')],
            { alarms: ['RelayAnswersEnded'] }),
          graph('Budgets that were exceeded', 'short', [query(
            `sum by (budget, caller) (increase(${of('relay_api_budget_exceeded_total')}[15m]))`, '{{budget}} {{caller}}')],
          { alarms: ['RelayBudgetExceeded'] })
        ]
      },
      {
        title: 'Events',
        panels: [
          ingestRequests,
          graph('Events', 'ops', [
            perSecond('relay_api_ingest_accepted_total', 'accepted'), perSecond('relay_api_ingest_refused_total', 'refused: {{reason}}', 'reason')
          ]),
          inFlight,
          graph('MQTT: connections', 'short', [
            total('relay_api_mqtt_connections', 'let in'), total('relay_api_mqtt_pending_connections', 'not let in yet')
          ]),
          graph('MQTT: not let in, ended', 'ops', [
            perSecond('relay_api_mqtt_refused_connects_total', 'not let in: {{reason}}', 'reason'),
            perSecond('relay_api_mqtt_ended_total', 'ended: {{reason}}', 'reason'),
            perSecond('relay_api_mqtt_ignored_total', 'ignored: {{reason}}', 'reason')
          ], { alarms: ['RelayMqttRefused', 'RelayMqttFault'] }),
          graph('MQTT: dead letters', 'ops', [perSecond('relay_api_dead_letters_total', '{{reason}}', 'reason')], { alarms: ['RelayApiDeadLetters'] })
        ]
      },
      {
        title: 'Streams',
        panels: [
          graph('Clients', 'short', [total('relay_api_stream_clients', 'clients')]),
          graph('From commits to the last client', 's', quantiles('relay_api_stream_round_seconds').map(it => ({ ...it, emptyAsLong: 'nobody has a stream open' }))),
          graph('Streams that were ended', 'short', [within('relay_api_stream_dropped_total', '15m', '{{reason}}', 'reason')],
            { alarms: ['RelayStreamsDropped'] })
        ]
      },
      {
        title: 'What it depends on',
        panels: [
          breaker,
          graph('Parts that do not work', 'bool', [worst('relay_degraded', '{{part}}', 'part', 'program="relay-api"')], watched('RelayDegraded')),
          graph('Answers from memory', 'ops', [perSecond('relay_api_stale_answers_total', 'stale'), perSecond('relay_api_retries_total', 'reads asked again')],
            { alarms: ['RelayStaleAnswers'] }),
          graph('Replica: how far behind', 's', [query(of('relay_api_replica_lag_seconds'), '{{instance}}', 'there is no replica')],
            watched('RelayReplicaBehind')),
          connectionsOf('relay-api')
        ]
      },
      { title: 'Process', panels: processOf('relay-api') }
    ]
  },
  {
    uid: 'relay-event-log',
    title: 'Relay: event log',
    about: 'Kafka, or PostgreSQL in its place, as producers and readers meet it.',
    rows: [
      {
        title: 'Writing',
        panels: [
          graph('Events', 'ops', [
            perSecond('relay_api_ingest_accepted_total', 'accepted by the API'), perSecond('relay_sent_records_total', 'sent by the simulator: {{kind}}', 'kind')
          ]),
          inFlight,
          breaker,
          graph('The simulator: until a batch is acknowledged', 's', quantiles('relay_send_seconds')),
          graph('The simulator: how far behind the clock', 's', [worst('relay_live_behind_seconds', 'seconds')]),
          graph('The simulator: what failed', 'short', [
            within('relay_send_retries_total', '15m', 'tried again'), within('relay_skipped_events_total', '15m', 'given up')
          ], { alarms: ['RelayEventsSkipped'] })
        ]
      },
      {
        title: 'Reading',
        panels: [
          lagRecords,
          lagSeconds,
          graph('Gaps', 'short', [within('relay_api_gaps_total', '15m', '{{kind}}', 'kind')], { alarms: ['RelayEventsLost'] })
        ]
      }
    ]
  },
  {
    uid: 'relay-postgres',
    title: 'Relay: PostgreSQL',
    about: 'The database by its exporter (job `postgres`), and what programs have of it.',
    rows: [
      {
        title: 'The server',
        panels: [
          graph('It answers', 'bool', [query('min(pg_up)', 'up')]),
          graph('Connections by state', 'short', [query('sum by (state) (pg_stat_activity_count)', '{{state}}'), query('max(pg_settings_max_connections)', 'most')]),
          graph('Longest transaction', 's', [query('max by (datname) (pg_stat_activity_max_tx_duration)', '{{datname}}')]),
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
          graph('Blocks that were in memory', 'percentunit', [query(
            'sum(rate(pg_stat_database_blks_hit[$__rate_interval])) / ' +
            '(sum(rate(pg_stat_database_blks_hit[$__rate_interval])) + sum(rate(pg_stat_database_blks_read[$__rate_interval])))', 'share')]),
          graph('Size', 'bytes', [query('max by (datname) (pg_database_size_bytes)', '{{datname}}')]),
          graph('Locks', 'short', [query('sum by (mode) (pg_locks_count)', '{{mode}}')]),
          graph('Temporary files', 'bytes', [query('sum(rate(pg_stat_database_temp_bytes[$__rate_interval]))', 'per second')]),
          graph('Deadlocks', 'short', [query('sum(increase(pg_stat_database_deadlocks[15m]))', 'deadlocks')])
        ]
      },
      {
        title: 'What programs have of it',
        panels: [
          connectionsOf('relay-api'),
          connectionsOf('relay-processor'),
          graph('A flush: how long', 's', quantiles('relay_write_seconds'), watched('RelayWritesSlow')),
          graph('Restores, restarts and failovers that were noticed', 'short', [
            within('relay_api_history_changes_total', '1h', 'API'), within('relay_history_changes_total', '1h', 'processor')
          ])
        ]
      }
    ]
  },
  {
    uid: 'relay-rollout',
    title: 'Relay: rollout',
    about: 'Which versions run, and whether a rolling restart costs anybody anything.',
    rows: [
      {
        title: 'Versions',
        panels: [
          graph('Programs by version', 'short', [query(
            `count by (program, version, node_version) (${of('relay_build_info')})`, '{{program}} {{version}}, Node {{node_version}}')]),
          graph('Time since the start', 's', [query(`time() - ${of('process_start_time_seconds', 'program=~"relay-.+"')}`, '{{program}} {{instance}}')]),
          graph('Programs that answer', 'short', [query('sum by (job) (up{job=~"relay-.+"})', '{{job}}')], { alarms: ['RelayTargetDown'] })
        ]
      },
      {
        title: 'What it costs',
        panels: [
          graph('Requests that failed', 'reqps', [perSecond('relay_api_requests_total', '{{kind}}', 'kind', 'outcome="failed"')],
            { alarms: ['RelayAnswersFailing', 'RelayEventsNotAccepted'] }),
          graph('Parts that do not work', 'bool', [worst('relay_degraded', '{{program}} {{part}}', 'program, part')], watched('RelayDegraded')),
          graph('Partitions that change hands', 'short', [within('relay_takeovers_total', '15m', 'takeovers')], { alarms: ['RelayTakeovers'] }),
          lagSeconds,
          graph('Answers: how long', 's', quantiles('relay_api_request_duration_seconds', '', '', SHORT_ANSWERS), { alarms: ['RelayAnswersSlow'] })
        ]
      }
    ]
  }
]
