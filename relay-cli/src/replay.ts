/** `relay replay`: rebuilds rollups from the event log and replaces the live ones. */
import type { Command } from 'commander'
import { levels } from 'relay-rollups'
import { rebuildRollups, type RebuildResult } from 'relay-processor/rebuild'

import { parseTime, parseTimeOrOffset } from './arguments.ts'
import {
  countOf, formatTime, printJson, printLine, printTable, startProgressBar, type OutputOptions
} from './output.ts'
import { openSite, rebuildSettingsOf } from './site.ts'
import { stopSignal } from './stop-signal.ts'

interface ReplayOptions extends OutputOptions {
  readonly from?: ReturnType<typeof parseTimeOrOffset>
  readonly to?: number
  readonly dryRun?: boolean
  readonly yes?: boolean
  readonly allowFewer?: boolean
}

export function addReplay (program: Command): void {
  program.command('replay')
    .description('rebuild rollups from the event log and swap them with the live ones in one transaction. ' +
      'Without --yes ' +
      'only show what would change')
    .option('--from <time|offset>', 'start of the range of whole UTC days, or an offset of each partition ' +
      '(default: the start of the log)', parseTimeOrOffset)
    .option('--to <time>', 'end of the range of whole UTC days, exclusive (default: now)', parseTime)
    .option('--yes', 'replace them')
    .option('--dry-run', 'only rebuild and compare, even with --yes')
    .option('--allow-fewer', 'replace a row even if the log has fewer readings than the row')
    .option('--json', 'as JSON')
    .addHelpText('after', `
Processors go on meanwhile. Only days that the log covers whole are replaced; what is older stays as it is. For the swap
they are held up for a moment, find that they were fenced, and claim their partitions again after some seconds.
Stopped or killed before the swap it has changed nothing.

Examples:
  relay replay --from 2024-01-01 --to 2024-02-01
  relay replay --from 2024-01-01 --to 2024-02-01 --yes`)
    .action(replay)
}

async function replay ({ from, to, yes, dryRun, allowFewer, json }: ReplayOptions): Promise<void> {
  await using site = await openSite()
  const { database, eventLog } = site
  const signal = stopSignal('stopped; nothing was changed')

  const progress = startProgressBar('rebuilding')
  const result = await rebuildRollups(database, eventLog, {
    ...await rebuildSettingsOf(site),
    fromMs: from && 'timeMs' in from ? from.timeMs : undefined,
    fromOffset: from && 'offset' in from ? from.offset : undefined,
    toMs: to,
    isLossAllowed: allowFewer ?? false,
    isDryRun: dryRun || !yes
  }, progress.update, signal).finally(() => progress[Symbol.dispose]())
  if (json) printJson(describe(result))
  else show(result)
}

function describe ({ ranges, records, fewer, changes, isSwapped }: RebuildResult) {
  const time = (timeMs: number) => Number.isFinite(timeMs) ? formatTime(timeMs) : null
  return {
    records,
    ranges: ranges.map(({ partition, startMs, endMs }) => ({
      partition,
      end: time(endMs),
      start: Object.fromEntries(levels.map(({ name }, index) => [name, time(startMs[index])]))
    })),
    rowsWithFewerReadings: fewer,
    changes: Object.fromEntries(levels.map(({ name }, index) => [name, changes[index]])),
    isDryRun: !isSwapped
  }
}

function show ({ ranges, records, fewer, changes, isSwapped }: RebuildResult): void {
  const time = (timeMs: number) => Number.isFinite(timeMs) ? formatTime(timeMs) : timeMs < 0 ? 'the beginning' : 'now'
  printLine(`${countOf(records, 'record')} read. Days that ${isSwapped ? 'were' : 'would be'} replaced, by partition:`)
  printTable(
    ['partition', 'from', 'to'], ranges.map(it => [it.partition, time(Math.min(...it.startMs)), time(it.endMs)])
  )
  printLine()
  printTable(['rows', 'added', 'changed', 'removed'],
    levels.map(({ name }, index) => [name, changes[index].added, changes[index].changed, changes[index].removed]))
  if (fewer > 0) printLine(`\n${countOf(fewer, 'row')} with fewer readings in the log than there were`)
  if (!isSwapped) printLine('\nnothing was changed; --yes replaces them')
}
