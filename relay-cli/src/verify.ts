/** `relay verify`: recomputes a range from the event log, and compares it with the rollup rows (verify-range.ts). */
import { Option, type Command } from 'commander'
import { RelayError } from 'relay-common'

import { parseTime } from './arguments.ts'
import type { Difference } from './compare-days.ts'
import { countOf, formatTime, printJson, printLine, type OutputOptions } from './output.ts'
import { openSite } from './site.ts'
import { verifyRange } from './verify-range.ts'

export function addVerify (program: Command): void {
  program.command('verify')
    .description('recompute a range of event time from the log and report every difference to the rollups. Exit code ' +
      '1: there are some')
    .addOption(new Option('--from <time>', 'start of the range').argParser(parseTime).makeOptionMandatory())
    .addOption(new Option('--to <time>', 'end of the range, exclusive').argParser(parseTime).makeOptionMandatory())
    .option('--json', 'one JSON object per difference, then a summary')
    .addHelpText('after', `
It needs memory for what one partition holds of a day, and room in the temporary folder for the events of the range.

Examples:
  relay verify --from 2024-01-01 --to 2024-01-08
  relay verify --from 24h --to 0s --json`)
    .action(verify)
}

async function verify (
  { from: fromMs, to: toMs, json }: OutputOptions & { readonly from: number, readonly to: number }
): Promise<void> {
  if (fromMs >= toMs) throw new RelayError('RELAY_RANGE_INVALID', '--from must be before --to')
  await using site = await openSite()
  const counts = { rows: 0, uncertain: 0, differences: 0 }
  for await (const difference of verifyRange(site, { fromMs, toMs }, counts)) {
    if (json) printJson({ ...difference, bucket: formatTime(difference.bucketMs), bucketMs: undefined })
    else printLine(describeDifference(difference))
  }
  if (json) printJson(counts)
  else {
    printLine(`${countOf(counts.rows, 'row')} compared, ${countOf(counts.differences, 'difference')}`)
    if (counts.uncertain > 0) {
      printLine(
        `${counts.uncertain} of the differing rows may be right: resends in minutes that no longer store their readings`
      )
    }
  }
  if (counts.differences > 0) process.exitCode = 1
}

export function describeDifference (
  { kind, level, bucketMs, deviceId, deviceType, zone, partition, expectedCount, foundCount }: Difference
): string {
  const counts = kind === 'different' && expectedCount === foundCount
    ? `${foundCount} readings, other values`
    : `${foundCount} readings, ${expectedCount} in the log`
  return `${kind.padEnd(10)} ${level.padEnd(6)} ${formatTime(bucketMs)} ${deviceId ?? 'all devices'}, ${deviceType}, ${zone}, ` +
    `${partition === undefined ? '' : `home partition ${partition}: `}${counts}`
}
