/**
 * The alarms: when each fires, and what to do then. The rules for Prometheus and the alarms of the runbook are
 * generated from this table.
 *
 *     page    users notice it, or data are at risk: act now, at any hour
 *     ticket  a cause that may lead to a page, or a budget that burns slowly: act within working hours
 *
 * A page is about what users notice. Its causes are tickets, so that one fault does not page five times.
 */
import { apiSettings } from '../../relay-api/src/config.ts'
import { burnsTooFast, slos, type Slo } from './slos.ts'
import { HOUR, MINUTE, type Time } from './time.ts'

export type Severity = 'page' | 'ticket'

export interface Alert {
  /** also its heading in the runbook */
  readonly name: string
  /** by severity; with both, it pages while it is urgent */
  readonly rules: Readonly<Partial<Record<Severity, AlertRule>>>
  /** for the table and the notification; completes "fires when" */
  readonly when: string
  readonly meaning: string
  readonly impact: string
  readonly diagnosis: string
  readonly action: string
}

export interface AlertRule {
  expr (time: Time): string
  /** how long it must hold before it fires, s; 0 needs `atOnce` */
  readonly forS: number
  /** why it may fire at once: a restart of a program must not fire it */
  readonly atOnce?: string
}

const BY_WINDOWS = 'the burn-rate windows decide when it fires'

function budgetRules (slo: Slo): Alert['rules'] {
  return {
    page: { expr: () => burnsTooFast(slo, 'page'), forS: 0, atOnce: BY_WINDOWS },
    ticket: { expr: () => burnsTooFast(slo, 'ticket'), forS: 0, atOnce: BY_WINDOWS }
  }
}

const ticket = (forS: number, expr: AlertRule['expr']): Alert['rules'] => ({ ticket: { expr, forS } })
const page = (forS: number, expr: AlertRule['expr']): Alert['rules'] => ({ page: { expr, forS } })

const defaultOf = (setting: keyof typeof apiSettings.properties) =>
  (apiSettings.properties[setting] as { readonly default?: number }).default!

const INGEST_BYTES_HALF = defaultOf('INGEST_IN_FLIGHT_MAX_BYTES') / 2
const REPLICA_LAG_MAX_S = defaultOf('DATABASE_REPLICA_LAG_MAX_MS') / 1000
const LONG_ANSWERS_MAX = defaultOf('LONG_ANSWERS_MAX')
/** a daily backup may take half a day longer once */
const BACKUP_AGE_MAX_S = 36 * HOUR
const ARCHIVE_FILES_MAX = 16
/** of PostgreSQL's default */
const WAL_FILE_MB = 16

const percentOf = ({ objective }: Slo) => `${Number((objective * 100).toPrecision(6))} %`
const burnWords = (slo: Slo) => `too many are outside the objective: ${slo.what} (${percentOf(slo)}, over 30 days)`

export const alerts: readonly Alert[] = [
  {
    name: 'RelayAnswersFailing',
    rules: budgetRules(slos.answersAvailable),
    when: burnWords(slos.answersAvailable),
    meaning: 'Queries fail with a 5xx, faster than the 30-day error budget allows.',
    impact: 'Clients get no answer, or a stale one from memory.',
    diagnosis: '`code` in the [log](#commands) of the API. `relay_api_breaker_open` is 1 if the database does not ' +
      'answer; `RELAY_ANSWER_TOO_SLOW` and `RELAY_ANSWERS_BUSY` mean load.',
    action: 'See the code in [Codes](#codes); for the database see [Database away](#database-away).'
  },
  {
    name: 'RelayAnswersSlow',
    rules: budgetRules(slos.answersFast),
    when: burnWords(slos.answersFast),
    meaning: 'Answers take longer than 100 ms, more often than the 30-day error budget allows. Long answers count too.',
    impact: 'Dashboards and clients wait.',
    diagnosis: '`relay_api_request_duration_seconds` by `route`; `relay_api_answers` for exports; ' +
      '`relay_api_statements_waiting` and `relay_database_connections_in_use` for a slow database.',
    action: 'One caller with long queries: lower its budgets. All callers: more CPU, memory or disk for PostgreSQL, ' +
      'another API, or a replica.'
  },
  {
    name: 'RelayEventsNotAccepted',
    rules: budgetRules(slos.ingestAccepted),
    when: burnWords(slos.ingestAccepted),
    meaning: 'Requests with events fail with a 5xx, faster than the 30-day error budget allows. MQTT is not counted: ' +
      'its clients wait.',
    impact: 'Devices must send again. No acknowledged event is lost.',
    diagnosis: '`relay_api_breaker_open{server="event-log"}`; `relay_api_ingest_in_flight_bytes` for a slow event ' +
      'log; `code` in the [log](#commands) of the API.',
    action: 'Restore the event log ([Database away](#database-away) describes what happens meanwhile); ' +
      'for `RELAY_INGEST_OFF` set `EVENT_LOG`.'
  },
  {
    name: 'RelayRollupsLate',
    rules: budgetRules(slos.rollupsFresh),
    when: burnWords(slos.rollupsFresh),
    meaning: 'Too many readings were committed more than 5 s after their append. They are counted at the commit, ' +
      'so an outage shows only when it ends.',
    impact: 'Answers about recent times lack readings.',
    diagnosis: '`relay_freshness_seconds`, `relay_lag_records`, `relay_write_seconds`. ' +
      'After an outage the alert resolves by itself.',
    action: '[Lag](#lag).'
  },
  {
    name: 'RelayEventsLost',
    rules: {
      page: {
        expr: time => `max by (namespace, kind) (increase(relay_api_gaps_total[${time(15 * MINUTE)}])) > 0\nor\n` +
          `max by (namespace, kind) (increase(relay_gaps_total[${time(15 * MINUTE)}])) > 0`,
        forS: 0,
        atOnce: 'lost events have no error budget, and no restart causes a gap'
      }
    },
    when: 'any gap was recorded: lost events have no error budget',
    meaning: 'Events were deleted from the log before they were read. The API counts the recorded gaps, ' +
      'because a processor may stop at a gap (`GAP_POLICY`).',
    impact: 'The rollups lack those readings. With `GAP_POLICY=stop` processing has stopped.',
    diagnosis: '`select * from gaps order by found_at desc;`: partition, offsets, kind.',
    action: '[Gaps](#gaps).'
  },
  {
    name: 'RelayAnswersWrong',
    rules: {
      page: {
        expr: time => `sum by (namespace, instance) (increase(relay_probe_rounds_total{result="different"}[${time(10 * MINUTE)}])) > 0`,
        forS: 0,
        atOnce: 'wrong answers have no error budget, and no restart causes one'
      }
    },
    when: '[`relay probe`](cli.md#relay-probe) got a wrong answer',
    meaning: 'An answer about the readings of the probe has one too many, or a value that differs from what was sent.',
    impact: 'Answers about other devices may be wrong too.',
    diagnosis: 'The output of the probe has the range, the value and the expected value. ' +
      '`npm run relay -- verify --from FROM --to TO` over that range shows whether rows are wrong, and which.',
    action: 'Check that nobody else sends as the device of the probe. If rows are wrong: ' +
      '[`relay repair`](cli.md#relay-repair). If rows are right, the API is at fault: keep its log, restart it, ' +
        'report it.'
  },
  {
    name: 'RelayProbeFailing',
    rules: page(2 * MINUTE, time => {
      const rounds = (results: string) => `sum by (namespace, instance) (increase(relay_probe_rounds_total{result=~"${results}"}[${time(5 * MINUTE)}])) > 0`
      return `${rounds('missing|failed')}\nunless ${rounds('ok')}`
    }),
    when: 'no round of [`relay probe`](cli.md#relay-probe) succeeded for 7 minutes',
    meaning: 'The probe can\'t send, can\'t query, or does not find its reading in time.',
    impact: 'Every client on the same network path has this problem, even if the programs report that they work.',
    diagnosis: 'The output of the probe. `missing` means [lag](#lag); `failed` shows what the client got: ' +
      'no connection means the path to the API (DNS, TLS, load balancer), a 5xx means the API.',
    action: 'Follow the other alerts. If there are none, check the path from the probe to the API, ' +
      'and the token of the probe.'
  },
  {
    name: 'RelayApiAbsent',
    rules: page(2 * MINUTE, () => 'absent(relay_build_info{program="relay-api"})'),
    when: 'no API answers Prometheus',
    meaning: 'No API is running, or Prometheus can\'t reach any.',
    impact: 'No queries are answered and no events accepted. Processors continue.',
    diagnosis: 'The last lines of the [log](#commands) of an API: level `fatal`, with a `code`. ' +
      'Check that `METRICS_PORT` (8084) is open to Prometheus.',
    action: 'See the code in [Codes](#codes). A restart is always safe.'
  },
  {
    name: 'RelayProcessorAbsent',
    rules: page(2 * MINUTE, () => 'absent(relay_build_info{program="relay-processor"})'),
    when: 'no processor answers Prometheus',
    meaning: 'No processor is running, or Prometheus can\'t reach any.',
    impact: 'Answers are not updated. Events wait in the event log, and are lost after its retention.',
    diagnosis: 'The last lines of the [log](#commands) of a processor: level `fatal`, with a `code`; ' +
      '`RELAY_OFFSET_GAP` stops it after every start.',
    action: 'See the code in [Codes](#codes). A restart is always safe.'
  },
  {
    name: 'RelayLagOld',
    rules: page(5 * MINUTE, () => 'max by (namespace) (relay_api_lag_seconds) > 60'),
    when: 'the oldest unread record is older than 60 s for 5 minutes',
    meaning: 'Records wait in the event log. The API reports this, even if no processor runs.',
    impact: 'Answers about recent times lack readings.',
    diagnosis: '`npm run relay -- lag` shows which partitions; `relay_flush_stalled`; whether a processor is up.',
    action: '[Lag](#lag).'
  },
  {
    name: 'RelayFlushStalled',
    rules: page(2 * MINUTE, () => 'max by (namespace) (relay_flush_stalled) > 0'),
    when: 'the log has unread records, and nothing was flushed for `FLUSH_STALLED_MS` (30 s) and 2 minutes',
    meaning: 'A processor can\'t write to the database, or can\'t read the log.',
    impact: 'Answers are not updated. Nothing is lost.',
    diagnosis: '[`/readyz`](#commands) of the processor lists the partitions; the query in ' +
      '[Flush stalled](#flush-stalled) shows what they wait for.',
    action: '[Flush stalled](#flush-stalled).'
  },
  {
    name: 'RelayLagGrowing',
    rules: ticket(10 * MINUTE, time =>
      `sum by (namespace) (delta(relay_lag_records[${time(10 * MINUTE)}])) > 1000`),
    when: 'unread records grow by over 1,000 in 10 minutes, for 10 minutes',
    meaning: 'Processors are slower than the devices.',
    impact: 'Answers get older every minute.',
    diagnosis: '`npm run relay -- lag`: one partition or all? CPU of the processors; `relay_write_seconds`.',
    action: '[Lag](#lag).'
  },
  {
    name: 'RelayTargetDown',
    rules: ticket(5 * MINUTE, () => 'up{job=~"relay-.+"} == 0'),
    when: 'one program does not answer Prometheus for 5 minutes',
    meaning: 'The program is down, hangs, or is unreachable. Its job in Prometheus is named after it.',
    impact: 'None while others of its kind are up. If none is up, ' +
      '[RelayApiAbsent](#relayapiabsent) or [RelayProcessorAbsent](#relayprocessorabsent) pages.',
    diagnosis: 'Does it run, and what are the last lines of its [log](#commands)? If it runs, does it answer `/livez`?',
    action: 'See the code of its log in [Codes](#codes).'
  },
  {
    name: 'RelayDegraded',
    rules: ticket(5 * MINUTE, () => 'max by (namespace, program, part) (relay_degraded) > 0'),
    when: 'a program reports for 5 minutes that one of its parts does not work',
    meaning: '`/readyz` of that program returns 503 with the part and the reason.',
    impact: 'Depends on the part; see [where to look](#where-to-look).',
    diagnosis: '[`/readyz`](#commands) of the program.',
    action: 'For `database` [Database away](#database-away); for `flush` [Flush stalled](#flush-stalled); ' +
      'for `event-log` the broker and `KAFKA_BOOTSTRAP_SERVERS`.'
  },
  {
    name: 'RelayServerAway',
    rules: ticket(2 * MINUTE, () => 'max by (namespace, server) (relay_api_breaker_open) > 0'),
    when: 'the circuit breaker of an API has been open for 2 minutes',
    meaning: 'The server does not answer, so requests do not wait for it. ' +
      'A probe checks 10 times per second whether it is back.',
    impact: '`database`: answers come from memory or are a 503. `event-log`: events are refused. `replica`: ' +
      'answers come from the primary.',
    diagnosis: 'Disk, memory and network of that server: `df -h; free -m; pg_isready` there.',
    action: '[Database away](#database-away).'
  },
  {
    name: 'RelayStaleAnswers',
    rules: ticket(5 * MINUTE, time => `sum by (namespace) (increase(relay_api_stale_answers_total[${time(5 * MINUTE)}])) > 0`),
    when: 'stale answers were sent from memory for 5 minutes',
    meaning: 'The database is unreachable. Queries that were answered before get the same answer again, ' +
      'marked `Relay-Stale-Since`.',
    impact: 'Those answers lack late readings since then.',
    diagnosis: '`relay_api_breaker_open`.',
    action: '[Database away](#database-away).'
  },
  {
    name: 'RelayConnectionsExhausted',
    rules: ticket(5 * MINUTE, () => 'relay_database_connections_in_use >= relay_database_connections_max ' +
      'and relay_database_connections_waiting > 0'),
    when: 'the connection pool of a program is exhausted, and requests wait for a connection, for 5 minutes',
    meaning: 'Statements take longer than before, or there are more of them.',
    impact: 'Answers wait; after `DATABASE_CONNECT_TIMEOUT_MS` they become a 503.',
    diagnosis: '`select application_name, state, wait_event_type, count(*), max(now() - query_start) from ' +
      'pg_stat_activity group by 1, 2, 3 order by 4 desc;` and `relay_api_statements_waiting`.',
    action: 'First fix what makes statements slow; then raise `DATABASE_POOL_MAX`, ' +
      'within `max_connections` of PostgreSQL.'
  },
  {
    name: 'RelayStatementTimeouts',
    rules: ticket(2 * MINUTE, time => `sum by (namespace) (increase(relay_statement_timeouts_total[${time(15 * MINUTE)}])) > 0`),
    when: 'PostgreSQL cancelled a statement of a processor after `DATABASE_STATEMENT_TIMEOUT_MS`',
    meaning: 'A flush took too long or waited for a lock. It is retried.',
    impact: 'Answers are delayed meanwhile. Nothing is lost.',
    diagnosis: 'The query in [Flush stalled](#flush-stalled) shows locks; `relay_write_seconds`.',
    action: '[Flush stalled](#flush-stalled).'
  },
  {
    name: 'RelayDatabaseRefuses',
    rules: ticket(5 * MINUTE, time => `sum by (namespace) (increase(relay_retries_total[${time(5 * MINUTE)}])) > 0`),
    when: 'attempts of a processor fail for 5 minutes',
    meaning: 'The database refuses writes, or the log refuses dead letters.',
    impact: 'Answers are delayed meanwhile. Nothing is lost.',
    diagnosis: 'The `warn` lines in the [log](#commands) of the processor name the operation and the error.',
    action: 'Unreachable: [Database away](#database-away). `No space left on device` or `could not extend file`: ' +
      '[Disk full](#disk-full). Refused dead letters: check the rights of the processor on their topic.'
  },
  {
    name: 'RelayWritesSlow',
    rules: ticket(10 * MINUTE, time => 'histogram_quantile(0.99, ' +
      `sum by (namespace, le) (rate(relay_write_seconds_bucket[${time(10 * MINUTE)}]))) > 5`),
    when: 'the 99th percentile of flushes takes over 5 s, for 10 minutes',
    meaning: 'The database is slow.',
    impact: 'Answers are delayed by the time of a flush.',
    diagnosis: '`df -h; iostat -x 5 2; free -m` on the host of PostgreSQL; locks by the query in ' +
      '[Flush stalled](#flush-stalled); checkpoints in its log.',
    action: 'Give PostgreSQL more resources. In a backlog long flushes are normal: see [Lag](#lag).'
  },
  {
    name: 'RelayNoFreshEvents',
    rules: ticket(5 * MINUTE, () => 'time() - max by (namespace) (relay_event_time_max_seconds) > 300'),
    when: 'the newest event is older than 5 minutes, for 5 minutes',
    meaning: 'No new events: none are sent, or none are processed.',
    impact: 'Answers about now are empty.',
    diagnosis: '`relay_api_lag_records`: without lag, nothing is sent.',
    action: 'With no lag look at the devices, their network and their clocks; else [Lag](#lag).'
  },
  {
    name: 'RelayTakeovers',
    rules: ticket(2 * MINUTE, time => `sum by (namespace) (increase(relay_takeovers_total[${time(15 * MINUTE)}])) > 2`),
    when: 'partitions change hands more than twice in 15 minutes',
    meaning: 'Processors repeatedly take partitions over from each other; `relay_fenced_total` counts the partitions.',
    impact: 'Records are read again, so answers are delayed. Nothing counts twice.',
    diagnosis: '`select source_partition, owner, epoch, updated_at from progress order by 1;` several times: which ' +
      'owners take turns? Their `CONSUMER_GROUP` and `CONSUMER_INSTANCE_ID`, and their pauses.',
    action: '[Fenced](#fenced).'
  },
  {
    name: 'RelayCanaryUnfinished',
    rules: ticket(5 * MINUTE, () => 'max by (namespace) (relay_canary_age_seconds) > 21600'),
    when: 'a canary of the processors is older than 6 hours',
    meaning: 'A canary was neither promoted nor aborted, or its abort was interrupted.',
    impact: 'If it is faulty, answers about its partitions are wrong.',
    diagnosis: '`npm run relay -- deploy status` shows its state and its partitions.',
    action: '[Canary](#canary).'
  },
  {
    name: 'RelayDeadLetters',
    rules: ticket(5 * MINUTE, time => {
      const letters = `sum by (namespace) (increase(relay_dead_letters_total[${time(15 * MINUTE)}]))`
      return `${letters} > 0.01 * sum by (namespace) (increase(relay_readings_total[${time(15 * MINUTE)}])) and ${letters} >= 10`
    }),
    when: 'more than 1 % of the records, and at least 10, are refused',
    meaning: 'Devices send invalid events; the label `reason` says what is wrong.',
    impact: 'Those readings are in no answer. They are stored as dead letters.',
    diagnosis: '`npm run relay -- dead-letters list --since 1h` shows which devices.',
    action: '[Dead letters](#dead-letters).'
  },
  {
    name: 'RelayApiDeadLetters',
    rules: ticket(10 * MINUTE, time => `sum by (namespace, reason) (increase(relay_api_dead_letters_total[${time(10 * MINUTE)}])) >= 10`),
    when: '10 or more MQTT events are refused in 10 minutes, for 10 minutes',
    meaning: 'MQTT clients send events that are refused, and MQTT can\'t report it to them; `reason` says what is ' +
      'wrong.',
    impact: 'Those readings are in no answer. They are stored as dead letters.',
    diagnosis: '`npm run relay -- dead-letters list --since 1h` shows the principal of each.',
    action: '[Dead letters](#dead-letters).'
  },
  {
    name: 'RelayMisplacedReadings',
    rules: ticket(HOUR, time => {
      const misplaced = `sum by (namespace) (increase(relay_misplaced_readings_total[${time(HOUR)}]))`
      return `${misplaced} > 0.1 * sum by (namespace) (increase(relay_readings_total[${time(HOUR)}])) and ${misplaced} >= 10`
    }),
    when: 'more than 10 % of readings arrive in another partition than their device\'s home, for an hour',
    meaning: 'Producers hash keys differently from Kafka\'s own clients, or send no keys.',
    impact: 'Answers are right. Forwarding costs time and writes.',
    diagnosis: 'Which producers send them, and their partitioner: `kafka-console-consumer.sh --bootstrap-server ' +
      '"$KAFKA_BOOTSTRAP_SERVERS" --topic iot-events --max-messages 20 --property print.partition=true --property ' +
      'print.key=true`.',
    action: 'Set their partitioner to murmur2 ([why](ingest.md#what-makes-two-readings-one)).'
  },
  {
    name: 'RelayReadBack',
    rules: ticket(15 * MINUTE, time => `sum by (namespace) (rate(relay_read_back_windows_total[${time(15 * MINUTE)}])) > ` +
      `sum by (namespace) (rate(relay_rows_written_total[${time(15 * MINUTE)}]))`),
    when: 'more windows are read back than rows written, for 15 minutes',
    meaning: 'Late readings of many devices, or more series than memory holds.',
    impact: 'Flushes take longer.',
    diagnosis: '`relay_late_readings_total`; is `relay_series_in_memory` at `SERIES_IN_MEMORY_MAX`?',
    action: 'Fix the late devices, or raise `SERIES_IN_MEMORY_MAX`.'
  },
  {
    name: 'RelayIngestMemory',
    rules: ticket(2 * MINUTE, () => `relay_api_ingest_in_flight_bytes > ${INGEST_BYTES_HALF}`),
    when: `over ${INGEST_BYTES_HALF / 2 ** 20} MiB of events wait for the event log (half of the default of \`INGEST_IN_FLIGHT_MAX_BYTES\`), for 2 minutes`,
    meaning: 'The event log is slower than its producers.',
    impact: 'At the limit events are refused with `RELAY_INGEST_BUSY`.',
    diagnosis: 'The event log: disk and network (`df -h; iostat -x 5 2`), and with Kafka *Relay: Kafka*: request ' +
      'time, ' +
      'under-replicated partitions.',
    action: 'Give the event log more resources, or the senders a smaller budget.'
  },
  {
    name: 'RelayMqttRefused',
    rules: ticket(10 * MINUTE, time => 'sum by (namespace, reason) (rate(relay_api_mqtt_refused_connects_total' +
      `{reason=~"not-authorized|timeout|too-many-pending"}[${time(5 * MINUTE)}])) > 1`),
    when: 'more than one MQTT connection per second fails to log in, for 10 minutes',
    meaning: 'Attackers try tokens or hold connections, or many clients have a wrong token.',
    impact: 'None for known clients; pending connections are limited per address.',
    diagnosis: 'The lines with `audit` in the [log](#commands) of the API: addresses.',
    action: 'Give clients the right token, or block the addresses ([security](security.md)).'
  },
  {
    name: 'RelayMqttFault',
    rules: ticket(2 * MINUTE, time => `sum by (namespace) (increase(relay_api_mqtt_ended_total{reason="fault"}[${time(15 * MINUTE)}])) > 0`),
    when: 'an MQTT connection failed inside Relay',
    meaning: 'An unexpected error closed one connection, nothing else.',
    impact: 'That client reconnects.',
    diagnosis: 'The [log](#commands) of the API: `an MQTT connection failed`, with the error.',
    action: 'Report it.'
  },
  {
    name: 'RelayReplicaBehind',
    rules: ticket(2 * MINUTE, () => `relay_api_replica_lag_seconds > ${REPLICA_LAG_MAX_S}`),
    when: `the replica lags over ${REPLICA_LAG_MAX_S} s (the default of \`DATABASE_REPLICA_LAG_MAX_MS\`) or is unreachable (\`Inf\`), for 2 minutes`,
    meaning: 'Replication has stopped, or the replica is down.',
    impact: 'Answers come from the primary, which carries the load of both.',
    diagnosis: 'The log of the replica, and on the primary `select application_name, state, replay_lag, ' +
      'pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn) as bytes from pg_stat_replication;`: no row means that it ' +
      'is not connected.',
    action: 'Restore it; after a restore of the primary create it again ([Restored database](#restored-database)).'
  },
  {
    name: 'RelayStreamsDropped',
    rules: ticket(5 * MINUTE, time =>
      `sum by (namespace) (increase(relay_api_stream_dropped_total{reason="slow"}[${time(15 * MINUTE)}])) >= 10`),
    when: '10 streams in 15 minutes were closed because their clients are slow',
    meaning: 'Clients don\'t read their streams as fast as rollups change.',
    impact: 'They reconnect and continue where they were.',
    diagnosis: 'Which callers, from the [log](#commands) of the API.',
    action: 'Fix those clients, or raise `STREAM_BUFFER_MAX_BYTES`.'
  },
  {
    name: 'RelayAnswersEnded',
    rules: ticket(5 * MINUTE, time =>
      `sum by (namespace, reason) (increase(relay_api_answers_ended_total{reason=~"deadline|stalled"}[${time(15 * MINUTE)}])) >= 10`),
    when: '10 answers in 15 minutes were stopped before they were complete',
    meaning: '`deadline`: they take longer than allowed. `stalled`: their clients do not read them.',
    impact: 'Those clients get no complete answer.',
    diagnosis: 'Which callers and routes, from the [log](#commands) of the API.',
    action: 'Raise `ANSWER_TIMEOUT_MS` or `ANSWER_STALL_MS`, or have callers use shorter ranges.'
  },
  {
    name: 'RelayLongAnswersFull',
    rules: ticket(10 * MINUTE, () => `relay_api_answers{length="long"} >= ${LONG_ANSWERS_MAX}`),
    when: `${LONG_ANSWERS_MAX} long answers (the default of \`LONG_ANSWERS_MAX\`) are in progress, for 10 minutes`,
    meaning: 'Exports wait for each other; short answers do not.',
    impact: 'Further exports are refused with `RELAY_ANSWERS_BUSY`.',
    diagnosis: 'Which callers, from the [log](#commands) of the API.',
    action: 'Talk to those callers, or raise `LONG_ANSWERS_MAX`.'
  },
  {
    name: 'RelayBudgetExceeded',
    rules: ticket(5 * MINUTE, time =>
      `sum by (namespace, caller, budget) (increase(relay_api_budget_exceeded_total[${time(15 * MINUTE)}])) >= 10`),
    when: 'one caller exceeded a budget 10 times in 15 minutes',
    meaning: 'That caller sends more requests or events than its budget allows.',
    impact: 'Its requests get a 429; other callers are not affected.',
    diagnosis: 'The labels `caller` and `budget`: [the budgets](security.md#budgets).',
    action: 'Tell its owner, or raise the setting that `RELAY_BUDGET_EXCEEDED` names.'
  },
  {
    name: 'RelayArchiveFailing',
    rules: ticket(10 * MINUTE, time => {
      const grows = (name: string) =>
        `sum by (namespace) (increase(pg_archive_${name}_total[${time(10 * MINUTE)}])) > 0`
      return `${grows('failures')}\nunless ${grows('files')}`
    }),
    when: 'PostgreSQL could archive no WAL file for 10 minutes, and its attempts fail',
    meaning: '`archive_command` fails. PostgreSQL tries again for as long as it takes.',
    impact: 'A restore ends at the last archived file. WAL stays on the disk of the server, which fills up in the end.',
    diagnosis: '`select last_failed_wal, last_failed_time from pg_stat_archiver;` and the lines with ' +
      '`archive command failed` in the log of PostgreSQL.',
    action: 'Make room in the archive, or mount it again, or correct `archive_command` ' +
      '([Archive the WAL](disaster-recovery.md#archive-the-wal)). Files that wait are archived by themselves. ' +
      'Delete nothing in `pg_wal`.'
  },
  {
    name: 'RelayArchiveBehind',
    rules: ticket(15 * MINUTE, () => `max by (namespace) (pg_archive_ready_files) > ${ARCHIVE_FILES_MAX}`),
    when: `more than ${ARCHIVE_FILES_MAX} WAL files (${ARCHIVE_FILES_MAX * WAL_FILE_MB} MB) wait for the archive, for 15 minutes`,
    meaning: '`archive_command` hangs, fails, or is slower than WAL is written.',
    impact: 'A restore lacks what waits. WAL stays on the disk of the server, which fills up in the end.',
    diagnosis: '`select archived_count, failed_count, last_archived_time from pg_stat_archiver;`: a count that grows ' +
      'means slow or failing. If none grows, `ps -C cp,sync -o pid,etime,args` on the host of the database shows the ' +
      'command that hangs.',
    action: 'End a command that hangs: PostgreSQL starts it again. For a slow archive use a faster disk or network.'
  },
  {
    name: 'RelayBackupOld',
    rules: ticket(5 * MINUTE, () =>
      `time() - max by (namespace) (pg_base_backup_finish_time_seconds) > ${BACKUP_AGE_MAX_S}`),
    when: `the last base backup of the database is older than ${BACKUP_AGE_MAX_S / HOUR} hours`,
    meaning: 'No base backup has ended since then, also none for a new replica. A server that archives no WAL ' +
      'reports none.',
    impact: 'A restore takes longer with every day of WAL. It is impossible if WAL since that backup was deleted.',
    diagnosis: 'The log of the job that makes backups; `ls -d "$BACKUPS"/*Z` on the host of the database.',
    action: 'Take one now: [Take a base backup](disaster-recovery.md#take-a-base-backup). Then repair the job.'
  },
  {
    name: 'RelayKafkaOffline',
    rules: page(2 * MINUTE, () => 'max by (namespace) (kafka_controller_kafkacontroller_offlinepartitionscount) > 0'),
    when: 'partitions of Kafka have no leader for 2 minutes',
    meaning: 'All brokers that have the newest records of these partitions are away.',
    impact: 'Events of their devices are neither accepted nor counted. Other partitions work.',
    diagnosis: '`kafka-topics.sh --bootstrap-server "$KAFKA_BOOTSTRAP_SERVERS" --describe --unavailable-partitions` ' +
      'lists them, and the brokers that they need (`Replicas`).',
    action: 'Start those brokers; their logs say why they stopped (a full disk: make room first). If their disks are ' +
      'gone for good: [Topic lost](disaster-recovery.md#topic-lost). An election of another broker loses ' +
      'acknowledged events.'
  },
  {
    name: 'RelayKafkaUnderReplicated',
    rules: ticket(10 * MINUTE, () => 'max by (namespace) (kafka_server_replicamanager_underreplicatedpartitions) > 0'),
    when: 'partitions of Kafka have fewer replicas in sync than configured, for 10 minutes',
    meaning: 'A broker is away, or too slow to follow.',
    impact: 'None so far. If one more broker fails, events are refused.',
    diagnosis: '`kafka-topics.sh --bootstrap-server "$KAFKA_BOOTSTRAP_SERVERS" --describe ' +
      '--under-replicated-partitions`: ' +
      'the broker that is in `Replicas` and not in `Isr`.',
    action: 'Start that broker, or give it more disk, network or memory. It catches up by itself.'
  },
  {
    name: 'RelayKafkaDiskFailed',
    rules: ticket(2 * MINUTE, () => 'max by (namespace) (kafka_log_logmanager_offlinelogdirectorycount) > 0'),
    when: 'a broker of Kafka has stopped using one of its data folders for 2 minutes',
    meaning: 'Its disk is full or broken. A broker whose only folder fails stops.',
    impact: 'The replicas in that folder are away.',
    diagnosis: '`df -h` on that broker (the label `instance`), and `Stopping serving logs in dir` in its log.',
    action: 'Make room or replace the disk, then restart that broker. For a full disk lower the retention: ' +
      '`kafka-configs.sh --bootstrap-server "$KAFKA_BOOTSTRAP_SERVERS" --alter --entity-type topics ' +
      '--entity-name iot-events --add-config retention.ms=86400000`, but not below the longest outage of processors ' +
      'that it must last.'
  },
  {
    name: 'RelayEventsSlow',
    rules: ticket(10 * MINUTE, time => 'histogram_quantile(0.99, sum by (namespace, le) ' +
      `(rate(relay_api_request_duration_seconds_bucket{route="/api/v1/events"}[${time(5 * MINUTE)}]))) > 1`),
    when: 'the 99th percentile of requests with events takes over 1 s, for 10 minutes',
    meaning: 'The event log takes long to make events durable, or clients send them slowly.',
    impact: 'Devices wait for their answers. Nothing is lost.',
    diagnosis: 'With Kafka, *Request time* of *Relay: Kafka*: high for `Produce` means its disks or replicas, ' +
      'low means the network between API and Kafka, or clients. With the event log in PostgreSQL ' +
      '`relay_write_seconds` ' +
      'is high as well.',
    action: 'Give the event log faster disks or network. For slow clients nothing is to be done here.'
  },
  {
    name: 'RelayTraceSpansDropped',
    rules: ticket(10 * MINUTE, time => 'sum by (namespace, program) ' +
      `(increase(relay_trace_spans_total{outcome="dropped"}[${time(5 * MINUTE)}])) > 0`),
    when: 'a program has dropped spans of traces for 10 minutes',
    meaning: 'The collector of traces is unreachable or slow, or refuses spans. Nothing waits for it.',
    impact: 'Traces are incomplete or missing. Requests and rollups are not affected.',
    diagnosis: 'The line `could not export spans` in the [log](#commands) of that program has the reason; without ' +
      'such a line the ' +
      'collector is slower than the spans are made.',
    action: 'Check that the collector runs, and that `OTEL_EXPORTER_OTLP_ENDPOINT` and ' +
      '`OTEL_EXPORTER_OTLP_HEADERS` are right. For too many spans lower `TRACE_RATIO`; ' +
      '`npm run relay -- trace list` shows the devices that are traced on demand. [Tracing](tracing.md).'
  },
  {
    name: 'RelayEventsSkipped',
    rules: ticket(2 * MINUTE, time => `sum by (namespace) (increase(relay_skipped_events_total[${time(15 * MINUTE)}])) > 0`),
    when: 'the simulator skipped live events',
    meaning: 'The event log was unreachable for longer than the simulator catches up.',
    impact: 'Simulated events are missing; events of real devices are not affected.',
    diagnosis: '`relay_send_retries_total`, `relay_live_behind_seconds`.',
    action: 'Raise `CATCH_UP_MAX`; send the missing time again with `--once --backfill`.'
  }
]

/** A label of every rule, for the routing of notifications. */
export const SERVICE = 'relay'
