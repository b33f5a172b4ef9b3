/** Output of the commands of a deployment. */
import { levels } from 'relay-rollups'
import type { Deployment, RunningProcessor } from 'relay-processor/deployment'

import { countOf, formatAge, formatTime, printLine, printTable } from '../output.ts'
import { describeDifference } from '../verify.ts'
import type { Aborted } from './abort.ts'
import type { Analysis } from './analysis.ts'
import {
  cpuPerEvent, flushP99, letterShare, micros, percent, workPerEvent, type Figures
} from './verdict.ts'

export function describeStatus ({ active, generations, canary }: Deployment, running: readonly RunningProcessor[]) {
  return {
    active: active ?? null,
    generations: namesOf(generations, running).map(name => ({
      generation: name,
      state: generations.find(it => it.name === name)?.state ?? 'standby',
      processors: running.filter(it => it.generation === name)
        .map(({ instance, version, startedMs }) => ({ instance, version, started: formatTime(startedMs) }))
    })),
    processorsWithoutGeneration: running.filter(it => it.generation === undefined).map(it => it.instance),
    canary: canary === undefined
      ? null
      : {
          generation: canary.generation,
          state: canary.state,
          started: formatTime(canary.startedMs),
          partitions: canary.partitions.filter(it => it.isCanary)
            .map(({ partition, fromOffset, toOffset }) => ({ partition, from: fromOffset, to: toOffset ?? null }))
        }
  }
}

export function showStatus (deployment: Deployment, running: readonly RunningProcessor[]): void {
  const { generations, canary } = deployment
  printTable(['generation', 'state', 'processors', 'versions'], namesOf(generations, running).map(name => {
    const own = running.filter(it => it.generation === name)
    const state = generations.find(it => it.name === name)?.state ?? 'standby'
    return [name, state, own.length, [...new Set(own.map(it => it.version))].join(', ') || '-']
  }))
  const older = running.filter(it => it.generation === undefined)
  if (older.length > 0) printLine(`\n${countOf(older.length, 'processor')} of a release without generations`)
  if (!canary) return
  const own = canary.partitions.filter(it => it.isCanary).map(it => it.partition)
  const age = formatAge(Date.now() - canary.startedMs)
  printLine(canary.state === 'canary'
    ? `\n${canary.generation} has partitions ${own.join(', ')} as a canary for ${age}: run relay deploy promote or abort`
    : `\nthe canary of ${canary.generation} on partitions ${own.join(', ')}, started ${age} ago, was given back, and its ` +
      'rows are not rebuilt yet: run relay deploy abort')
}

function namesOf (generations: Deployment['generations'], running: readonly RunningProcessor[]): string[] {
  const names = [...generations.map(it => it.name), ...running.flatMap(it => it.generation ?? [])]
  return [...new Set(names)].sort()
}

export function describeAnalysis (analysis: Analysis) {
  const { generation, active, observed, differences, verdict, reasons, isCostCompared } = analysis
  const figures = (it: Figures) => ({
    processors: it.processors,
    restarts: it.restarts,
    events: it.events,
    workPerEventMicroseconds: workPerEvent(it) * 1e6,
    cpuPerEventMicroseconds: cpuPerEvent(it) * 1e6,
    flushP99Seconds: flushP99(it),
    deadLetterShare: letterShare(it)
  })
  return {
    verdict,
    reasons,
    isCostCompared,
    canary: { generation, claims: observed.claims, unread: observed.unread, ...figures(observed.canary) },
    active: { generation: active, ...figures(observed.active) },
    rowsCompared: observed.verified?.rows ?? 0,
    differences: observed.verified?.differences ?? 0,
    someDifferences: differences.map(({ bucketMs, ...it }) => ({ ...it, bucket: formatTime(bucketMs) }))
  }
}

export function showAnalysis (analysis: Analysis): void {
  const { generation, active, observed, differences, verdict, reasons, isCostCompared } = analysis
  const row = (name: string, of: (it: Figures) => string | number) => [name, of(observed.canary), of(observed.active)]
  printTable(['', generation, active], [
    row('processors', it => it.processors),
    row('restarts', it => it.restarts),
    row('events', it => it.events),
    row('work per event', it => micros(workPerEvent(it))),
    row('CPU per event', it => micros(cpuPerEvent(it))),
    row('p99 of a flush', it => `${flushP99(it).toFixed(3)} s`),
    row('dead letters', it => percent(letterShare(it)))
  ])
  const { verified, claims, unread } = observed
  if (verified) {
    printLine(`${countOf(verified.rows, 'row')} compared with the log, ${countOf(verified.differences, 'difference')}`)
  }
  for (const it of differences) printLine(`  ${describeDifference(it)}`)
  printLine(`${countOf(claims, 'claim')} of its partitions, ${countOf(unread, 'unread record')}`)
  if (!isCostCompared) printLine('too few events to compare their cost')
  printLine(`\nthe canary is ${verdict}${reasons.map(it => `\n  ${it}`).join('')}`)
}

export function describeAborted (aborted: Aborted) {
  const { generation, partitions, records, deleted, rebuilt, notRebuiltFromMs, lettersAdded, lettersInError } = aborted
  return {
    aborted: generation,
    partitions,
    records,
    recordsDeleted: deleted,
    rebuilt: rebuilt === undefined
      ? null
      : {
          records: rebuilt.records,
          changes: Object.fromEntries(levels.map(({ name }, index) => [name, rebuilt.changes[index]]))
        },
    notRebuiltFrom: notRebuiltFromMs === undefined ? null : formatTime(notRebuiltFromMs),
    deadLettersAdded: lettersAdded,
    deadLettersInError: lettersInError
  }
}

export function showAborted (aborted: Aborted): void {
  const { generation, partitions, records, deleted, rebuilt, notRebuiltFromMs, lettersAdded, lettersInError } = aborted
  printLine(`the canary of ${generation} on partitions ${partitions.join(', ')} was aborted ` +
    `after ${countOf(records, 'record')}`)
  if (rebuilt) {
    const rows = rebuilt.changes.reduce((sum, it) => sum + it.added + it.changed + it.removed, 0)
    printLine(`${countOf(rows, 'row')} corrected, from ${countOf(rebuilt.records, 'record')} of the log`)
  }
  if (notRebuiltFromMs !== undefined) {
    printLine(`the log no longer has all of the days from ${formatTime(notRebuiltFromMs)} on: ` +
      'those that it lacks were not rebuilt')
  }
  if (deleted > 0n) {
    printLine(`${countOf(deleted, 'record')} that the canary read are gone from the log: ` +
      'their rows can\'t be checked')
  }
  if (lettersAdded > 0) printLine(`${countOf(lettersAdded, 'dead letter')} added that the canary left out`)
  if (lettersInError > 0) {
    printLine(`${countOf(lettersInError, 'dead letter')} of the canary are of valid records, which count now; ` +
      'the letters stay')
  }
}
