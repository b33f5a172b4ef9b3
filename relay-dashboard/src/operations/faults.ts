/** The faults of a site, the worst first, each with the section of the runbook that helps. */
import type { components } from '@relay-telemetry/client/src/index.ts'

import { countOf, formatAgo, formatSeconds } from '../format.ts'

export type Operations = components['schemas']['Operations']

export interface Fault {
  readonly what: string
  readonly detail: string
  /** heading of docs/runbook.md, as `/runbook#…` names it */
  readonly runbook: string
}

/** `/readyz` of a function of the API: by part, why it does not work. */
export type Unready = Readonly<Record<string, string>>

export interface Known {
  readonly query: Unready
  readonly ingest: Unready
  /** undefined: the caller may not see it, or it is not there yet */
  readonly operations: Operations | undefined
  /** dead letters of the last hour; undefined: not known */
  readonly recentLetters: number | undefined
}

/** The limits of the alarms (docs/runbook.md). */
const LAG_MAX_S = 60
const REPLICA_LAG_MAX_S = 10
const FLUSH_MAX_S = 5
const SILENT_MAX_MS = 5 * 60_000
const LETTERS_MIN = 10
const GAP_SHOWN_MS = 24 * 3_600_000

const PROCESSOR = 'relay-processor'

export function faultsOf ({ query, ingest, operations, recentLetters }: Known, nowMs: number): Fault[] {
  return [
    ...unready(query, 'Queries fail', 'database-away'),
    ...unready(ingest, "Events can't be sent by HTTP", 'relayeventsnotaccepted'),
    ...(operations ? ofSite(operations, nowMs) : []),
    ...(recentLetters !== undefined && recentLetters >= LETTERS_MIN
      ? [{ what: `${countOf(recentLetters, 'dead letter')} in the last hour`, detail: 'Devices send invalid events.', runbook: 'relaydeadletters' }]
      : [])
  ]
}

function unready (faults: Unready, what: string, runbook: string): Fault[] {
  const parts = Object.entries(faults).map(([part, fault]) => `${part} ${fault}`)
  return parts.length === 0 ? [] : [{ what: `${what}: ${parts.join('; ')}`, detail: '', runbook }]
}

function ofSite (site: Operations, nowMs: number): Fault[] {
  const faults: Fault[] = []
  const add = (isWrong: boolean, what: string, detail: string, runbook: string) => {
    if (isWrong) faults.push({ what, detail, runbook })
  }
  const { partitions, programs } = site
  const lastGap = site.gaps.find(it => nowMs - Date.parse(it.foundAt) < GAP_SHOWN_MS)
  add(lastGap !== undefined, 'Events were lost', lastGap === undefined
    ? ''
    : `Partition ${lastGap.partition}, from offset ${lastGap.expectedOffset} to ${lastGap.availableOffset}, ${formatAgo(Date.parse(lastGap.foundAt), nowMs)}.`, 'gaps')
  const isProcessed = programs.some(it => it.program === PROCESSOR && it.isUp)
  add(!isProcessed, 'No processor is running', 'Events wait in the event log.', 'relayprocessorabsent')
  add(!site.isEventLogReachable, "The API can't read the event log",
    'Lag and completeness are unknown. Check KAFKA_BOOTSTRAP_SERVERS and EVENT_LOG of the API.', 'where-to-look')
  const late = partitions.filter(it => (it.lagSeconds ?? 0) > LAG_MAX_S)
  add(late.length > 0, `Rollups are ${formatSeconds(Math.max(...late.map(it => it.lagSeconds!)))} behind`,
    `${partitionsOf(late)}: ${countOf(late.reduce((sum, it) => sum + it.lagRecords!, 0), 'record')} unread.`, 'relaylagold')
  const slow = programs.filter(it => it.isUp && (it.flushSeconds ?? 0) > FLUSH_MAX_S)
  add(slow.length > 0, 'Flushes are slow', slow.map(it => `${it.instance}: ${formatSeconds(it.flushSeconds!)}`).join('; '), 'relaywritesslow')
  const isReplicaLate = site.hasReplica && (site.replicaLagSeconds ?? Infinity) > REPLICA_LAG_MAX_S
  add(isReplicaLate, 'The replica lags', site.replicaLagSeconds === null
    ? 'It is unreachable.'
    : `It is ${formatSeconds(site.replicaLagSeconds)} behind.`, 'relayreplicabehind')
  const newestMs = partitions.reduce((newest, it) => Math.max(newest, Date.parse(it.newestEventTime ?? '') || 0), 0)
  add(newestMs > 0 && nowMs - newestMs > SILENT_MAX_MS && late.length === 0, 'No new events',
    `The newest event is of ${formatAgo(newestMs, nowMs)}.`, 'relaynofreshevents')
  const versions = new Set(programs.filter(it => it.isUp).map(it => it.version))
  add(versions.size > 1, 'Programs have different versions', [...versions].sort().join(', '), 'rolling-restart')
  return faults
}

function partitionsOf (some: Operations['partitions']): string {
  return `${some.length === 1 ? 'partition' : 'partitions'} ${some.map(it => it.partition).join(', ')}`
}
