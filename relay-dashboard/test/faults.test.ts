/** What the operations view calls wrong, and where the runbook says what to do. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

import { faultsOf, type Known, type Operations } from '../src/operations/faults.ts'

const nowMs = Date.UTC(2026, 0, 1)
const ago = (ms: number) => new Date(nowMs - ms).toISOString()
const MINUTE_MS = 60_000

const partition: Operations['partitions'][number] = {
  partition: 0,
  owner: 'host:1',
  nextOffset: 10,
  endOffset: 10,
  lagRecords: 0,
  lagSeconds: 0,
  newestEventTime: ago(1_000),
  flushedAt: ago(300)
}
const program: Operations['programs'][number] = {
  program: 'relay-processor',
  instance: 'host:1',
  version: '1.0.0',
  startedAt: ago(MINUTE_MS),
  seenAt: ago(1_000),
  isUp: true,
  readingsPerSecond: 10,
  flushSeconds: 0.1,
  freshnessSeconds: 0.2
}
const well: Operations = {
  asOf: ago(0),
  topic: 'iot-events',
  isEventLogReachable: true,
  completeThrough: ago(1_000),
  partitions: [partition],
  gapCount: 0,
  gaps: [],
  hasReplica: false,
  replicaLagSeconds: null,
  programs: [program]
}
const gap = {
  topic: 'iot-events', partition: 0, kind: 'offset-out-of-range' as const, expectedOffset: 1, availableOffset: 9
}
const known = (it: Partial<Known>): Known => ({ query: {}, ingest: {}, operations: well, recentLetters: 0, ...it })
const site = (it: Partial<Operations>) => known({ operations: { ...well, ...it } })

const cases: Array<[what: string, known: Known, faults: Array<[what: RegExp, runbook: string]>]> = [
  ['all is well', known({}), []],
  ['what is not known is not wrong', known({ operations: undefined, recentLetters: undefined }), []],
  ['the database is away', known({ query: { database: 'is unreachable' } }), [[/^Queries fail: database is unreachable$/, 'database-away']]],
  ['the event log is away', known({ ingest: { 'event log': 'does not answer' } }), [[/sent by HTTP: event log/, 'relayeventsnotaccepted']]],
  ['an old gap', site({ gapCount: 1, gaps: [{ ...gap, foundAt: ago(48 * 60 * MINUTE_MS) }] }), []],
  ['a new gap', site({ gapCount: 1, gaps: [{ ...gap, foundAt: ago(MINUTE_MS) }] }), [[/^Events were lost$/, 'gaps']]],
  ['a processor that is silent', site({ programs: [{ ...program, isUp: false }] }), [[/^No processor is running$/, 'relayprocessorabsent']]],
  ['an API that does not know the log', site(
    { isEventLogReachable: false, partitions: [{ ...partition, lagRecords: null, lagSeconds: null }] }
  ),
  [[/can't read the event log/, 'where-to-look']]],
  ['lag', site({ partitions: [partition, { ...partition, partition: 3, lagRecords: 70, lagSeconds: 61 }] }), [[/^Rollups are 61 sec behind$/, 'relaylagold']]],
  ['a lag of a moment', site({ partitions: [{ ...partition, lagRecords: 70, lagSeconds: 59 }] }), []],
  ['slow flushes', site({ programs: [{ ...program, flushSeconds: 6 }] }), [[/^Flushes are slow$/, 'relaywritesslow']]],
  ['a replica that lags', site({ hasReplica: true, replicaLagSeconds: 11 }), [[/^The replica lags$/, 'relayreplicabehind']]],
  ['a replica that is away', site({ hasReplica: true }), [[/^The replica lags$/, 'relayreplicabehind']]],
  ['a replica that keeps up', site({ hasReplica: true, replicaLagSeconds: 0.5 }), []],
  ['silent devices', site({ partitions: [{ ...partition, newestEventTime: ago(6 * MINUTE_MS) }] }), [[/^No new events$/, 'relaynofreshevents']]],
  ['two versions', site({ programs: [program, { ...program, program: 'relay-api', version: '1.1.0' }] }), [[/different versions/, 'rolling-restart']]],
  ['many dead letters', known({ recentLetters: 10 }), [[/^10 dead letters in the last hour$/, 'relaydeadletters']]]
]

for (const [what, given, faults] of cases) {
  test(`operations says what is wrong: ${what}`, () => {
    const found = faultsOf(given, nowMs)
    assert.deepEqual(found.map(it => it.runbook), faults.map(([, runbook]) => runbook))
    for (const [n, [title]] of faults.entries()) assert.match(found[n].what, title)
  })
}

test('each fault leads to a heading of the runbook', () => {
  const headings = readFileSync(new URL('../../docs/runbook.md', import.meta.url), 'utf8').match(/^#+ .*$/gm)!
  const anchors = headings.map(it => it.replace(/^#+ /, '').toLowerCase().replaceAll(' ', '-'))
  for (const [, , faults] of cases) for (const [, runbook] of faults) assert.ok(anchors.includes(runbook), runbook)
})
