/** `relay tail`: prints rollups as they change, until Ctrl-C. It reconnects after a lost connection, and resumes. */
import type { RollupMessage, StreamQuery } from '@relay-telemetry/client/src/index.ts'
import { Option, type Command } from 'commander'
import { printable } from 'relay-common'

import { addSelection, selectionOf, withApi, type SelectionOptions } from './api.ts'
import { printJson, printLine, type OutputOptions } from './output.ts'

interface TailOptions extends SelectionOptions, OutputOptions {
  readonly interval: NonNullable<StreamQuery['interval']>
  readonly groupBy: 'device' | 'zone' | 'type' | 'all'
}

export function addTail (program: Command): void {
  const description = 'show rollups as they change, until Ctrl-C; changes during a lost connection are shown after it'
  addSelection(program.command('tail').description(description))
    .addOption(new Option('--interval <length>', 'length of the buckets').choices(['1m', '1h', '1d']).default('1m'))
    .addOption(new Option(
      '--group-by <what>', 'one rollup per device, zone or type'
    ).choices(['device', 'zone', 'type', 'all']).default('device'))
    .option('--json', 'one JSON object per rollup')
    .addHelpText(
      'after',
      '\nExamples:\n  relay tail --device thermostat-001\n  relay tail --group-by zone --interval 1h --json | jq .avg'
    )
    .action(tail)
}

async function tail ({ json, interval, groupBy, ...options }: TailOptions): Promise<void> {
  const stopped = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopped.abort())
  process.stdout.on('error', () => stopped.abort()) // the reader has enough, such as `head`
  await withApi(async ({ relay }) => {
    const query = { ...selectionOf(options), interval, ...(groupBy === 'all' ? {} : { groupBy }) }
    let isOpen = false
    for await (const message of relay.stream(query, { signal: stopped.signal })) {
      if (message.event === 'rollup') {
        if (json) printJson(message.data)
        else printLine(lineOf(message.data))
      } else if (message.event === 'changed') {
        note(`more changed than is shown, from ${message.data.start} to ${message.data.end}; use relay query`)
      } else if (message.event === 'reset') {
        note('the changes during the interruption are no longer known; use relay query')
      } else if (message.event === 'open') {
        note(isOpen ? 'connected again' : 'connected')
        isOpen = true
      }
    }
  })
}

/** Separate from the output, so that it does not get into a pipe. */
function note (text: string): void {
  console.error(printable(`relay: ${text}`))
}

function lineOf ({ bucketStart, device, zone, type, count, avg, min, max, last }: RollupMessage): string {
  const group = device ?? zone ?? type
  const numbers = Object.entries({ count, avg, min, max, last }).map(([name, value]) => `${name}=${value}`)
  return [bucketStart, ...group === undefined ? [] : [printable(group)], ...numbers].join('  ')
}
