/** The measurement of one program reading a backlog, and the summary of several. */
import type { ServersCpu } from './servers.ts'

export const CONSUMER_BENCHMARK = 'consumer benchmark'
export const RELAY_PROCESSOR = 'relay-processor'
export const KAFKA_STREAMS = 'Kafka Streams'
/** with the guarantee of Relay, which the one above does not have */
export const KAFKA_STREAMS_EXACTLY_ONCE = 'Kafka Streams, exactly once'

export interface Run {
  readonly who: string
  /** from the start of the process to the last event, or to its commit if it is committed */
  readonly eventsPerSecond: number
  /** from the assignment of partitions to the last event */
  readonly readingEventsPerSecond: number
  /** of the whole life of the process, including its start */
  readonly cpuUsPerEvent: number
  readonly postgresCpuUsPerEvent: number
  readonly brokerCpuUsPerEvent: number
  readonly memoryMaxMb: number
}

/** Observations of a run. Times are on the monotonic clock, in ms. */
export interface Seen {
  readonly events: number
  readonly startedMs: number
  readonly assignedMs: number
  readonly endedMs: number
  readonly cpuSeconds: number
  readonly memoryMaxBytes: number
  readonly serversBefore: ServersCpu
  readonly serversAfter: ServersCpu
}

export function describeRun (who: string, seen: Seen): Run {
  const { events, serversBefore, serversAfter } = seen
  const perEvent = (seconds: number) => seconds / events * 1e6
  return {
    who,
    eventsPerSecond: events / (seen.endedMs - seen.startedMs) * 1000,
    readingEventsPerSecond: events / (seen.endedMs - seen.assignedMs) * 1000,
    cpuUsPerEvent: perEvent(seen.cpuSeconds),
    postgresCpuUsPerEvent: perEvent(serversAfter.postgres - serversBefore.postgres),
    brokerCpuUsPerEvent: perEvent(serversAfter.broker - serversBefore.broker),
    memoryMaxMb: seen.memoryMaxBytes / 2 ** 20
  }
}

export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

export type RunSummary =
  { readonly who: string, readonly runs: number } & Readonly<Record<Exclude<keyof Run, 'who'>, Spread>>

/** Median and spread of each figure of a program's runs. */
export function summarise (runs: readonly Run[]): RunSummary {
  const { who, ...figures } = runs[0]
  const spreads = Object.keys(figures).map(name => [name, spreadOf(runs.map(it => it[name as keyof typeof figures]))])
  return { who, runs: runs.length, ...Object.fromEntries(spreads) }
}

export function spreadOf (values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = (sorted.length - 1) / 2
  const median = (sorted[Math.floor(middle)] + sorted[Math.ceil(middle)]) / 2
  return { median, min: sorted[0], max: sorted.at(-1)! }
}
