/** `relay devices`: lists devices and their newest readings. */
import type { paths } from '@relay-telemetry/client/src/index.ts'
import type { Command } from 'commander'

import { addSelection, failureOf, selectionOf, withApi, type SelectionOptions } from './api.ts'
import { parseLimit } from './arguments.ts'
import { formatAge, printJson, printLine, printTable, type OutputOptions } from './output.ts'

interface DevicesOptions extends SelectionOptions, OutputOptions {
  readonly prefix?: string
  readonly limit: number
}

type DevicesQuery = NonNullable<paths['/api/v1/devices']['get']['parameters']['query']>

const LIMIT_DEFAULT = 100
/** per answer */
const PAGE_MAX = 1_000

export function addDevices (program: Command): void {
  addSelection(program.command('devices').description('list devices by id, with zone, type and newest reading'))
    .option('--prefix <text>', 'only ids that start with this')
    .option('--limit <n>', 'most devices to show', parseLimit, LIMIT_DEFAULT)
    .option('--json', 'one JSON object per device')
    .addHelpText(
      'after', '\nExamples:\n  relay devices --zone "Zone A"\n  relay devices --prefix thermostat- --limit 1000 --json'
    )
    .action(devices)
}

async function devices ({ prefix, limit, json, ...options }: DevicesOptions): Promise<void> {
  await withApi(async ({ relay }) => {
    const found = []
    let next: string | null = null
    do {
      const query: DevicesQuery = {
        ...selectionOf(options),
        prefix,
        limit: Math.min(limit - found.length, PAGE_MAX),
        ...(next === null ? {} : { cursor: next })
      }
      const { data, error } = await relay.GET('/api/v1/devices', { params: { query } })
      if (error) throw failureOf(error)
      found.push(...data.devices)
      next = data.next
    } while (next !== null && found.length < limit)

    const shown = found.slice(0, limit)
    if (json) {
      for (const it of shown) printJson(it)
      return
    }
    if (shown.length === 0) return printLine('no devices')
    printTable(['device', 'zone', 'type', 'last value', 'last seen'], shown.map(it => [
      it.device, it.zone, it.type, it.lastValue,
      `${it.lastSeen} (${formatAge(Date.now() - Date.parse(it.lastSeen))} ago)`
    ]))
    if (next !== null) printLine(`\nthere are more than ${limit}; use --limit`)
  })
}
