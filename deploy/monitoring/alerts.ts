/**
 * What calls somebody, and what that somebody does. The rules for Prometheus and the alarms of the runbook are made of this.
 *
 *     page    users see it, or data are at risk: now, at any hour
 *     ticket  a cause that may become one, or a budget that burns slowly: within working hours
 *
 * An alarm that pages is about what users see. Its causes are tickets, so that one fault does not page five times.
 */
import { apiSettings } from '../../relay-api/src/config.ts'
import { burnsTooFast, slos, type Slo } from './slos.ts'
import { HOUR, MINUTE, type Time } from './time.ts'

export type Severity = 'page' | 'ticket'

export interface Alert {
  /** in the runbook, the heading of its own */
  readonly name: string
  /** PromQL, by severity: one that can be both pages while it is urgent */
  readonly rules: Readonly<Partial<Record<Severity, AlertRule>>>
  /** for the table and the notification: completes "fires when" */
  readonly when: string
  readonly meaning: string
  readonly impact: string
  readonly diagnosis: string
  readonly action: string
}

export interface AlertRule {
  expr (time: Time): string
  /** how long it must hold before anybody is called, s; 0 needs `atOnce` */
  readonly forS: number
  /** why this may fire at once: it never does for a program that is merely restarted */
  readonly atOnce?: string
}

const BY_WINDOWS = 'its windows are its patience'

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

const percentOf = ({ objective }: Slo) => `${Number((objective * 100).toPrecision(6))} %`
const burnWords = (slo: Slo) => `too many are not among the ${slo.what} (${percentOf(slo)}, over 30 days)`

export const alerts: readonly Alert[] = [
  {
    name: 'RelayAnswersFailing',
    rules: budgetRules(slos.answersAvailable),
    when: burnWords(slos.answersAvailable),
    meaning: 'Questions end with a 5xx, faster than the budget of 30 days allows.',
    impact: 'Clients get no answer, or one from memory that is marked as stale.',
    diagnosis: '`code` in the log of the API says why. `relay_api_breaker_open` is 1 where the database answers nothing; `RELAY_ANSWER_TOO_SLOW` and `RELAY_ANSWERS_BUSY` are load.',
    action: 'By the code, as in [Codes](#codes); for the database [Database away](#database-away).'
  },
  {
    name: 'RelayAnswersSlow',
    rules: budgetRules(slos.answersFast),
    when: burnWords(slos.answersFast),
    meaning: 'Answers take longer than 100 ms, faster than the budget of 30 days allows. Long answers count as well.',
    impact: 'Dashboards and clients wait.',
    diagnosis: '`relay_api_request_duration_seconds` by `route`; `relay_api_answers` for exports; `relay_api_statements_waiting` and `relay_database_connections_in_use` for a database that is slow.',
    action: 'One caller with long questions: its budgets. Everybody: CPU, memory and disk of PostgreSQL, or another API and a replica.'
  },
  {
    name: 'RelayEventsNotAccepted',
    rules: budgetRules(slos.ingestAccepted),
    when: burnWords(slos.ingestAccepted),
    meaning: 'Requests with events end with a 5xx, faster than the budget of 30 days allows. MQTT has no such answers: its clients wait.',
    impact: 'Devices must send again. Nothing that was acknowledged is lost.',
    diagnosis: '`relay_api_breaker_open{server="event-log"}`; `relay_api_ingest_in_flight_bytes` for an event log that is slow; `code` in the log of the API.',
    action: 'Bring the event log back ([Database away](#database-away) has what happens meanwhile); for `RELAY_INGEST_OFF` set `EVENT_LOG`.'
  },
  {
    name: 'RelayRollupsLate',
    rules: budgetRules(slos.rollupsFresh),
    when: burnWords(slos.rollupsFresh),
    meaning: 'Readings were committed later than 5 s after their append, counted in readings. It is counted at the commit, so an outage shows when it ends.',
    impact: 'Answers about the newest time miss readings.',
    diagnosis: '`relay_freshness_seconds`, `relay_lag_records`, `relay_write_seconds`. After an outage it ends by itself.',
    action: '[Lag](#lag).'
  },
  {
    name: 'RelayEventsLost',
    rules: {
      page: {
        expr: time => `max by (namespace, kind) (increase(relay_api_gaps_total[${time(15 * MINUTE)}])) > 0\nor\n` +
          `max by (namespace, kind) (increase(relay_gaps_total[${time(15 * MINUTE)}])) > 0`,
        forS: 0,
        atOnce: 'there is no budget for it, and no restart makes a gap'
      }
    },
    when: 'a gap is found at all: there is no budget for lost events',
    meaning: 'Events were gone from the log before they were read. The API counts what is written down, as a processor ends at a gap (`GAP_POLICY`).',
    impact: 'The rollups lack those readings. With `GAP_POLICY=stop` nothing more is processed.',
    diagnosis: 'The table `gaps`: partition, offsets, kind.',
    action: '[Gaps](#gaps).'
  },
  {
    name: 'RelayAnswersWrong',
    rules: {
      page: {
        expr: time => `sum by (namespace, instance) (increase(relay_probe_rounds_total{result="different"}[${time(10 * MINUTE)}])) > 0`,
        forS: 0,
        atOnce: 'there is no budget for it, and no restart makes an answer wrong'
      }
    },
    when: '[`relay probe`](cli.md#relay-probe) gets an answer that is wrong',
    meaning: 'An answer about the readings of the probe has one too many, or a number that is not exactly what was sent.',
    impact: 'Answers about other devices may be wrong too.',
    diagnosis: 'The line of the probe names range, number and what it should be. `relay verify` over that range says which rows are wrong, if rows are.',
    action: 'Does somebody else send as the device of the probe? Rows that are wrong: [`relay repair`](cli.md#relay-repair). Rows that are right: a fault of the API; keep its log, restart it, report it.'
  },
  {
    name: 'RelayProbeFailing',
    rules: page(2 * MINUTE, time => {
      const rounds = (results: string) => `sum by (namespace, instance) (increase(relay_probe_rounds_total{result=~"${results}"}[${time(5 * MINUTE)}])) > 0`
      return `${rounds('missing|failed')}\nunless ${rounds('ok')}`
    }),
    when: 'no round of [`relay probe`](cli.md#relay-probe) succeeds for 5 minutes and 2 more',
    meaning: 'The probe can\'t send, can\'t ask, or does not find in time what it has sent.',
    impact: 'It is so for every client that comes by the same way, whatever programs say of themselves.',
    diagnosis: 'The lines of the probe. `missing` is [lag](#lag); `failed` says what the client got: no connection is the way to the API (DNS, TLS, load balancer), a 5xx the API.',
    action: 'What other alarms name; where there are none, the way from the probe to the API, and the token of the probe.'
  },
  {
    name: 'RelayApiAbsent',
    rules: page(2 * MINUTE, () => 'absent(relay_build_info{program="relay-api"})'),
    when: 'no API answers Prometheus',
    meaning: 'No API runs, or Prometheus does not reach any of them.',
    impact: 'Nobody gets answers, and no events are taken. Processors go on.',
    diagnosis: 'The end of the log of an API: level `fatal`, with a `code`. Is `METRICS_PORT` (8084) open to Prometheus?',
    action: 'By the code, as in [Codes](#codes). Starting it again is always safe.'
  },
  {
    name: 'RelayProcessorAbsent',
    rules: page(2 * MINUTE, () => 'absent(relay_build_info{program="relay-processor"})'),
    when: 'no processor answers Prometheus',
    meaning: 'No processor runs, or Prometheus does not reach any of them.',
    impact: 'Answers stand still. Events wait in the event log, and are lost once its retention has passed.',
    diagnosis: 'The end of the log of a processor: level `fatal`, with a `code`; `RELAY_OFFSET_GAP` ends it after every start.',
    action: 'By the code, as in [Codes](#codes). Starting it again is always safe.'
  },
  {
    name: 'RelayLagOld',
    rules: page(5 * MINUTE, () => 'max by (namespace) (relay_api_lag_seconds) > 60'),
    when: 'the oldest unread record is older than 60 s for 5 minutes',
    meaning: 'Records wait in the event log, whether a processor is alive to say so or not.',
    impact: 'Answers about the newest time miss readings.',
    diagnosis: '`relay_api_lag_records` by partition; `relay_flush_stalled`; is a processor up?',
    action: '[Lag](#lag).'
  },
  {
    name: 'RelayFlushStalled',
    rules: page(2 * MINUTE, () => 'max by (namespace) (relay_flush_stalled) > 0'),
    when: 'the log has news, and nothing was flushed for `FLUSH_STALLED_MS` (30 s) and 2 minutes',
    meaning: 'A processor reads, and the database does not take what it writes; or it can\'t read.',
    impact: 'Answers stand still. Nothing is lost.',
    diagnosis: '`/readyz` of the processor names the partitions; `pg_stat_activity` says what they wait for.',
    action: '[Flush stalled](#flush-stalled).'
  },
  {
    name: 'RelayLagGrowing',
    rules: ticket(10 * MINUTE, time =>
      `sum by (namespace) (delta(relay_lag_records[${time(10 * MINUTE)}])) > 1000`),
    when: 'unread records grow by over 1,000 in 10 minutes, for 10 minutes',
    meaning: 'Processors are slower than the devices.',
    impact: 'Answers get older from minute to minute.',
    diagnosis: 'One partition or all of them; CPU of the processors; `relay_write_seconds`.',
    action: '[Lag](#lag).'
  },
  {
    name: 'RelayTargetDown',
    rules: ticket(5 * MINUTE, () => 'up{job=~"relay-.+"} == 0'),
    when: 'one program does not answer Prometheus for 5 minutes',
    meaning: 'The program is down, hangs, or can\'t be reached. Its job in Prometheus is named after it.',
    impact: 'None while others of its kind are up; then [RelayApiAbsent](#relayapiabsent) or [RelayProcessorAbsent](#relayprocessorabsent) pages.',
    diagnosis: 'The end of its log; `/livez`.',
    action: 'By the code in its log, as in [Codes](#codes).'
  },
  {
    name: 'RelayDegraded',
    rules: ticket(5 * MINUTE, () => 'max by (namespace, program, part) (relay_degraded) > 0'),
    when: 'a program says for 5 minutes that one of its parts does not work',
    meaning: '`/readyz` of that program is 503, and names the part and why.',
    impact: 'What the part is for; see [where to look](#where-to-look).',
    diagnosis: '`/readyz` of the program.',
    action: 'For `database` [Database away](#database-away); for `flush` [Flush stalled](#flush-stalled); for `event-log` the broker and `KAFKA_BOOTSTRAP_SERVERS`.'
  },
  {
    name: 'RelayServerAway',
    rules: ticket(2 * MINUTE, () => 'max by (namespace, server) (relay_api_breaker_open) > 0'),
    when: 'an API has not asked a server for 2 minutes, as it answers nothing',
    meaning: 'The circuit breaker is open: nobody waits for that server, and a probe looks 10 times per second whether it is back.',
    impact: '`database`: answers come from memory or are a 503. `event-log`: events are refused. `replica`: answers come from the primary.',
    diagnosis: 'Disk, memory and network of that server; `pg_isready`.',
    action: '[Database away](#database-away).'
  },
  {
    name: 'RelayStaleAnswers',
    rules: ticket(5 * MINUTE, time => `sum by (namespace) (increase(relay_api_stale_answers_total[${time(5 * MINUTE)}])) > 0`),
    when: 'answers about the past come from memory for 5 minutes',
    meaning: 'The database is away, and what was asked before is answered again, marked `Relay-Stale-Since`.',
    impact: 'Late readings since then are not in those answers.',
    diagnosis: '`relay_api_breaker_open`.',
    action: '[Database away](#database-away).'
  },
  {
    name: 'RelayConnectionsExhausted',
    rules: ticket(5 * MINUTE, () => 'relay_database_connections_in_use >= relay_database_connections_max ' +
      'and relay_database_connections_waiting > 0'),
    when: 'all connections of a program to its database are in use, and work waits for one, for 5 minutes',
    meaning: 'Statements take longer than they did, or there are more of them.',
    impact: 'Answers wait; after `DATABASE_CONNECT_TIMEOUT_MS` they are a 503.',
    diagnosis: '`pg_stat_activity` by `application_name`; `relay_api_statements_waiting`.',
    action: 'What makes statements slow first; then raise `DATABASE_POOL_MAX`, within `max_connections` of PostgreSQL.'
  },
  {
    name: 'RelayStatementTimeouts',
    rules: ticket(2 * MINUTE, time => `sum by (namespace) (increase(relay_statement_timeouts_total[${time(15 * MINUTE)}])) > 0`),
    when: 'PostgreSQL ended a statement of a processor after `DATABASE_STATEMENT_TIMEOUT_MS`',
    meaning: 'A flush took too long, or waited for a lock. It is tried again.',
    impact: 'Answers are older meanwhile. Nothing is lost.',
    diagnosis: 'Locks in `pg_stat_activity`; `relay_write_seconds`.',
    action: '[Flush stalled](#flush-stalled).'
  },
  {
    name: 'RelayDatabaseRefuses',
    rules: ticket(5 * MINUTE, time => `sum by (namespace) (increase(relay_retries_total[${time(5 * MINUTE)}])) > 0`),
    when: 'attempts of a processor fail for 5 minutes',
    meaning: 'The database refuses writes, or the log refuses dead letters.',
    impact: 'Answers are older meanwhile. Nothing is lost.',
    diagnosis: 'The `warn` lines of the processor name what it tries, and the error.',
    action: '[Database away](#database-away).'
  },
  {
    name: 'RelayWritesSlow',
    rules: ticket(10 * MINUTE, time => 'histogram_quantile(0.99, ' +
      `sum by (namespace, le) (rate(relay_write_seconds_bucket[${time(10 * MINUTE)}]))) > 5`),
    when: 'the 99th percentile of flushes takes over 5 s, for 10 minutes',
    meaning: 'The database is slow.',
    impact: 'Answers are as old as a flush takes.',
    diagnosis: 'Disk, locks and memory of PostgreSQL; checkpoints in its log.',
    action: 'Give PostgreSQL what it lacks. In a backlog long flushes are as they should be: look at [Lag](#lag).'
  },
  {
    name: 'RelayNoFreshEvents',
    rules: ticket(5 * MINUTE, () => 'time() - max by (namespace) (relay_event_time_max_seconds) > 300'),
    when: 'the newest event is older than 5 minutes, for 5 minutes',
    meaning: 'No fresh events: none are sent, or none are folded.',
    impact: 'Answers about now are empty.',
    diagnosis: '`relay_api_lag_records`: with no lag nothing is sent.',
    action: 'With no lag look at the devices, their network and their clocks; else [Lag](#lag).'
  },
  {
    name: 'RelayTakeovers',
    rules: ticket(2 * MINUTE, time => `sum by (namespace) (increase(relay_takeovers_total[${time(15 * MINUTE)}])) > 2`),
    when: 'partitions change hands more than twice in 15 minutes',
    meaning: 'Processors take partitions over from each other again and again; `relay_fenced_total` counts the partitions.',
    impact: 'What was read is read again: answers are older. Nothing counts twice.',
    diagnosis: '`owner` in `progress`; pauses of the processors; `CONSUMER_GROUP` and `CONSUMER_INSTANCE_ID` of each.',
    action: '[Fenced](#fenced).'
  },
  {
    name: 'RelayDeadLetters',
    rules: ticket(5 * MINUTE, time => {
      const letters = `sum by (namespace) (increase(relay_dead_letters_total[${time(15 * MINUTE)}]))`
      return `${letters} > 0.01 * sum by (namespace) (increase(relay_readings_total[${time(15 * MINUTE)}])) and ${letters} >= 10`
    }),
    when: 'over 1 % of what is read, and 10 records, can\'t be taken',
    meaning: 'Devices send what is no event; the label `reason` says what is wrong.',
    impact: 'Those readings are in no answer. They are kept as dead letters.',
    diagnosis: '`npm run relay -- dead-letters list --since 1h` shows which devices.',
    action: '[Dead letters](#dead-letters).'
  },
  {
    name: 'RelayApiDeadLetters',
    rules: ticket(10 * MINUTE, time => `sum by (namespace, reason) (increase(relay_api_dead_letters_total[${time(10 * MINUTE)}])) >= 10`),
    when: '10 events or more in 10 minutes are refused by MQTT, for 10 minutes',
    meaning: 'Clients by MQTT send what is refused, and can\'t be told so; `reason` says what is wrong.',
    impact: 'Those readings are in no answer. They are kept as dead letters.',
    diagnosis: '`relay dead-letters list --since 1h` shows the principal of each.',
    action: '[Dead letters](#dead-letters).'
  },
  {
    name: 'RelayMisplacedReadings',
    rules: ticket(HOUR, time => {
      const misplaced = `sum by (namespace) (increase(relay_misplaced_readings_total[${time(HOUR)}]))`
      return `${misplaced} > 0.1 * sum by (namespace) (increase(relay_readings_total[${time(HOUR)}])) and ${misplaced} >= 10`
    }),
    when: 'over 10 % of readings come by another partition than their device\'s home, for an hour',
    meaning: 'Producers hash keys otherwise than Kafka\'s own clients, or send none.',
    impact: 'Answers are right. The detour costs time and writes.',
    diagnosis: 'Which producers, and their partitioner.',
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
    action: 'Late devices, or raise `SERIES_IN_MEMORY_MAX`.'
  },
  {
    name: 'RelayIngestMemory',
    rules: ticket(2 * MINUTE, () => `relay_api_ingest_in_flight_bytes > ${INGEST_BYTES_HALF}`),
    when: `events of over ${INGEST_BYTES_HALF / 2 ** 20} MiB wait for the event log, half of the default of \`INGEST_IN_FLIGHT_MAX_BYTES\`, for 2 minutes`,
    meaning: 'The event log is slower than those who send.',
    impact: 'At the limit events are refused with `RELAY_INGEST_BUSY`.',
    diagnosis: 'The event log: disk, network, replicas that are behind.',
    action: 'Give the event log what it lacks, or the senders a budget.'
  },
  {
    name: 'RelayMqttRefused',
    rules: ticket(10 * MINUTE, time => 'sum by (namespace, reason) (rate(relay_api_mqtt_refused_connects_total' +
      `{reason=~"not-authorized|timeout|too-many-pending"}[${time(5 * MINUTE)}])) > 1`),
    when: 'over one connection per second by MQTT is not let in, for 10 minutes',
    meaning: 'Strangers try tokens or hold connections; or many clients have a wrong token.',
    impact: 'None for clients that are known; their share of pending connections is bounded by address.',
    diagnosis: 'The lines with `audit` in the log of the API: addresses.',
    action: 'Give clients the right token, or close the addresses out ([security](security.md)).'
  },
  {
    name: 'RelayMqttFault',
    rules: ticket(2 * MINUTE, time => `sum by (namespace) (increase(relay_api_mqtt_ended_total{reason="fault"}[${time(15 * MINUTE)}])) > 0`),
    when: 'a connection by MQTT failed inside Relay',
    meaning: 'An error that nobody expected ended one connection, and nothing else.',
    impact: 'That client connects again.',
    diagnosis: 'The log of the API: `a connection by MQTT failed`, with the error.',
    action: 'Report it.'
  },
  {
    name: 'RelayReplicaBehind',
    rules: ticket(2 * MINUTE, () => `relay_api_replica_lag_seconds > ${REPLICA_LAG_MAX_S}`),
    when: `the replica is over ${REPLICA_LAG_MAX_S} s behind, the default of \`DATABASE_REPLICA_LAG_MAX_MS\`, or away (\`Inf\`), for 2 minutes`,
    meaning: 'Replication stands, or the replica is down.',
    impact: 'Answers come from the primary, which has the load of both.',
    diagnosis: 'The log of the replica; `pg_stat_replication` on the primary.',
    action: 'Bring it back; after a restore make it again ([Restored database](#restored-database)).'
  },
  {
    name: 'RelayStreamsDropped',
    rules: ticket(5 * MINUTE, time =>
      `sum by (namespace) (increase(relay_api_stream_dropped_total{reason="slow"}[${time(15 * MINUTE)}])) >= 10`),
    when: '10 streams in 15 minutes are ended as their clients are slow',
    meaning: 'Clients don\'t read their streams as fast as rollups change.',
    impact: 'They connect again, and go on where they were.',
    diagnosis: 'Which callers, by the log of the API.',
    action: 'Those clients, or `STREAM_BUFFER_MAX_BYTES`.'
  },
  {
    name: 'RelayAnswersEnded',
    rules: ticket(5 * MINUTE, time =>
      `sum by (namespace, reason) (increase(relay_api_answers_ended_total{reason=~"deadline|stalled"}[${time(15 * MINUTE)}])) >= 10`),
    when: '10 answers in 15 minutes are ended before they are whole',
    meaning: '`deadline`: they take longer than they may. `stalled`: their clients do not read them.',
    impact: 'Those clients have no answer.',
    diagnosis: 'Which callers and routes, by the log of the API.',
    action: '`ANSWER_TIMEOUT_MS`, `ANSWER_STALL_MS`, or shorter ranges.'
  },
  {
    name: 'RelayLongAnswersFull',
    rules: ticket(10 * MINUTE, () => `relay_api_answers{length="long"} >= ${LONG_ANSWERS_MAX}`),
    when: `${LONG_ANSWERS_MAX} long answers are under way, the default of \`LONG_ANSWERS_MAX\`, for 10 minutes`,
    meaning: 'Exports wait for each other; short answers do not.',
    impact: 'Further exports are refused with `RELAY_ANSWERS_BUSY`.',
    diagnosis: 'Who asks for so much, by the log of the API.',
    action: 'Talk to those callers, or raise `LONG_ANSWERS_MAX`.'
  },
  {
    name: 'RelayBudgetExceeded',
    rules: ticket(5 * MINUTE, time =>
      `sum by (namespace, caller, budget) (increase(relay_api_budget_exceeded_total[${time(15 * MINUTE)}])) >= 10`),
    when: 'one caller is refused 10 times in 15 minutes for a budget',
    meaning: 'That caller asks or sends more than its budget.',
    impact: 'Its requests are a 429; others are not hindered.',
    diagnosis: 'The labels `caller` and `budget`: [the budgets](security.md#budgets).',
    action: 'Tell its owner, or raise the setting that `RELAY_BUDGET_EXCEEDED` names.'
  },
  {
    name: 'RelayEventsSkipped',
    rules: ticket(2 * MINUTE, time => `sum by (namespace) (increase(relay_skipped_events_total[${time(15 * MINUTE)}])) > 0`),
    when: 'the simulator gave live events up',
    meaning: 'The event log was away for longer than the simulator catches up.',
    impact: 'Simulated events are missing; those of devices are not concerned.',
    diagnosis: '`relay_send_retries_total`, `relay_live_behind_seconds`.',
    action: 'Raise `CATCH_UP_MAX`; send the stretch again with `--once --backfill`.'
  }
]

/** A label that routes notifications, of every rule that this makes. */
export const SERVICE = 'relay'
