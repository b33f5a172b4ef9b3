/**
 * The alarms that each kind of fault fires, as a table of the runbook. A test tries every line with a real Prometheus:
 * the listed alarms fire, no other page does, and all of them end after the recovery.
 */
export interface FaultAlarms {
  /** in words, for the runbook */
  readonly what: string
  readonly pages: readonly string[]
  /** further pages if the fault lasts: what users notice of it */
  readonly laterPages: readonly string[]
  readonly tickets: readonly string[]
  /** until pages and tickets have fired */
  readonly withinMinutes: number
  /** the event log that it is tried with */
  readonly eventLog: 'postgres' | 'kafka'
  /** whether it is tried at every change, or only by `npm run test:alarms` */
  readonly isTriedAlways: boolean
}

/** A program or server that hangs fires the same alarms as one that has stopped. */
const noProcessor = {
  pages: ['RelayProcessorAbsent'],
  laterPages: ['RelayProbeFailing', 'RelayLagOld'],
  tickets: ['RelayTargetDown'],
  withinMinutes: 7
} as const
const noPostgres = {
  pages: ['RelayAnswersFailing', 'RelayEventsNotAccepted'],
  laterPages: ['RelayFlushStalled', 'RelayProbeFailing', 'RelayLagOld'],
  tickets: ['RelayServerAway', 'RelayDegraded'],
  withinMinutes: 7
} as const

export const faultAlarms = {
  'processor-stopped': {
    what: 'no processor runs',
    ...noProcessor,
    eventLog: 'postgres',
    isTriedAlways: true
  },
  'processor-hung': {
    what: 'a processor, the only one, hangs',
    ...noProcessor,
    eventLog: 'postgres',
    isTriedAlways: false
  },
  'api-stopped': {
    what: 'no API runs',
    pages: ['RelayApiAbsent', 'RelayProbeFailing'],
    laterPages: [],
    tickets: ['RelayTargetDown'],
    withinMinutes: 10,
    eventLog: 'postgres',
    isTriedAlways: false
  },
  'postgres-hung': {
    what: 'PostgreSQL hangs, and with it the event log',
    ...noPostgres,
    eventLog: 'postgres',
    isTriedAlways: false
  },
  'postgres-stopped': {
    what: 'PostgreSQL is down, and with it the event log',
    ...noPostgres,
    eventLog: 'postgres',
    isTriedAlways: false
  },
  'no-events': {
    what: 'devices send invalid events',
    pages: [],
    laterPages: [],
    tickets: ['RelayDeadLetters'],
    withinMinutes: 7,
    eventLog: 'postgres',
    isTriedAlways: false
  },
  'wrong-answer': {
    what: 'an answer is wrong: somebody else sends as the device of the probe',
    pages: ['RelayAnswersWrong'],
    laterPages: ['RelayProbeFailing'],
    tickets: [],
    withinMinutes: 2,
    eventLog: 'postgres',
    isTriedAlways: false
  },
  'way-cut': {
    what: 'clients can\'t reach the API, which works',
    pages: ['RelayProbeFailing'],
    laterPages: [],
    tickets: [],
    withinMinutes: 10,
    eventLog: 'postgres',
    isTriedAlways: false
  },
  'kafka-hung': {
    what: 'Kafka hangs',
    pages: ['RelayEventsNotAccepted'],
    laterPages: ['RelayProbeFailing', 'RelayFlushStalled'],
    tickets: ['RelayServerAway', 'RelayDegraded'],
    withinMinutes: 7,
    eventLog: 'kafka',
    isTriedAlways: false
  },
  'kafka-slow': {
    what: 'Kafka takes a second for each request',
    pages: [],
    laterPages: [],
    tickets: ['RelayEventsSlow'],
    withinMinutes: 25,
    eventLog: 'kafka',
    isTriedAlways: false
  },
  'kafka-disk-full': {
    what: 'the disk of Kafka is full, so it stops',
    pages: ['RelayEventsNotAccepted'],
    laterPages: ['RelayProbeFailing', 'RelayFlushStalled'],
    tickets: ['RelayServerAway', 'RelayDegraded'],
    withinMinutes: 7,
    eventLog: 'kafka',
    isTriedAlways: false
  },
  'database-disk-full': {
    what: 'the disk of PostgreSQL is full; Kafka has room',
    pages: ['RelayFlushStalled'],
    laterPages: ['RelayProbeFailing', 'RelayAnswersFailing'],
    tickets: ['RelayDegraded', 'RelayDatabaseRefuses'],
    withinMinutes: 10,
    eventLog: 'kafka',
    isTriedAlways: false
  },
  'collector-away': {
    what: 'the collector of traces is unreachable',
    pages: [],
    laterPages: [],
    tickets: ['RelayTraceSpansDropped'],
    withinMinutes: 20,
    eventLog: 'postgres',
    isTriedAlways: false
  },
  'database-restored': {
    what: 'an older copy of the database is restored, and Kafka still has the events it lacks',
    pages: [],
    laterPages: ['RelayAnswersFailing'],
    tickets: [],
    withinMinutes: 7,
    eventLog: 'kafka',
    isTriedAlways: false
  }
} as const satisfies Readonly<Record<string, FaultAlarms>>

export type FaultName = keyof typeof faultAlarms
