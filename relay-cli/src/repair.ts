/** `relay repair`: moves readings to their home that count in other partitions, so that one in several counts once. */
import { Option, type Command } from 'commander'
import { RelayError } from 'relay-common'
import { levels } from 'relay-rollups'
import { repairRollups, type RepairedDay } from 'relay-processor/repair'

import { parseTime } from './arguments.ts'
import { countOf, formatTime, printJson, printLine, type OutputOptions } from './output.ts'
import { openSite, topicOf } from './site.ts'
import { stopSignal } from './stop-signal.ts'

interface RepairOptions extends OutputOptions {
  readonly from: number
  readonly to: number
  readonly dryRun?: boolean
  readonly yes?: boolean
}

export function addRepair (program: Command): void {
  program.command('repair')
    .description('merge readings that were counted in several partitions, using only the rollups. Without --yes ' +
      'show what ' +
      'would change. Exit code 1: some days were not repaired')
    .addOption(
      new Option('--from <time>', 'start of the range of whole UTC days').argParser(parseTime).makeOptionMandatory()
    )
    .addOption(new Option(
      '--to <time>', 'end of the range of whole UTC days, exclusive'
    ).argParser(parseTime).makeOptionMandatory())
    .option('--yes', 'repair them')
    .option('--dry-run', 'only compare, even with --yes')
    .option('--json', 'one JSON object per day')
    .addHelpText('after', `
verify reports such readings as doubled. Days are repaired one after the other, each in one transaction; processors wait
for it, and claim their partitions again after some seconds. The event log is not read.

Examples:
  relay repair --from 2024-01-01 --to 2024-02-01
  relay repair --from 2024-01-01 --to 2024-02-01 --yes`)
    .action(repair)
}

async function repair ({ from: fromMs, to: toMs, dryRun, yes, json }: RepairOptions): Promise<void> {
  const isDryRun = dryRun || !yes
  if (fromMs >= toMs) throw new RelayError('RELAY_RANGE_INVALID', '--from must be before --to')
  await using site = await openSite()
  const { config, database } = site
  if (config.KEEP_DUPLICATES) {
    throw new RelayError('RELAY_CONFIG_INVALID',
      'KEEP_DUPLICATES is set: on this site a resent reading counts twice, so there is nothing to repair')
  }
  const signal = stopSignal('stopped; earlier days were repaired')
  const settings = {
    topic: await topicOf(site, config.EVENTS_TOPIC),
    fromMs,
    toMs,
    readingsPerRowMax: config.READINGS_PER_ROW_MAX,
    seriesInMemoryMax: config.SERIES_IN_MEMORY_MAX,
    isDryRun
  }
  let days = 0
  for await (const day of repairRollups(database, settings, signal)) {
    days++
    if (day.refused !== undefined) process.exitCode = 1
    if (json) printJson(render(day, isDryRun))
    else printLine(describe(day, isDryRun))
  }
  if (json) return
  if (days === 0) printLine('nothing to repair: no device has a minute in several partitions')
  else if (isDryRun) printLine('nothing was changed; --yes repairs them')
}

function render ({ dayMs, doubled, changes, refused }: RepairedDay, isDryRun: boolean) {
  return {
    day: formatTime(dayMs),
    doubled,
    changes: Object.fromEntries(levels.map(({ name }, index) => [name, changes[index]])),
    ...refused === undefined ? {} : { refused },
    isDryRun
  }
}

function describe ({ dayMs, doubled, changes, refused }: RepairedDay, isDryRun: boolean): string {
  const day = formatTime(dayMs).slice(0, 10)
  if (refused !== undefined) return `${day}: not repaired: ${refused}`
  const rows = changes.reduce((sum, it) => sum + it.added + it.changed + it.removed, 0)
  return `${day}: ${isDryRun ? 'would be repaired' : 'repaired'}: ${countOf(doubled, 'reading')} counted more than once; ` +
    countOf(rows, 'row') + (isDryRun ? ' would change' : ' changed')
}
