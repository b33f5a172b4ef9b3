/** `relay trace device | list`: devices whose events are traced for a while (docs/tracing.md). */
import { userInfo } from 'node:os'

import { InvalidArgumentError, type Command } from 'commander'
import { isId, readTracedDevices, traceDevice, TRACED_FOR_MAX_MS } from 'relay-common'

import { parseDurationArgument } from './arguments.ts'
import { formatTime, printJson, printLine, printTable, type OutputOptions } from './output.ts'
import { openSiteDatabase } from './site.ts'

const DEFAULT_FOR_MS = 10 * 60_000

export function addTrace (program: Command): void {
  const group = program.command('trace').description('trace the events of devices, where tracing is on')
  group.command('device')
    .description('trace the events of a device for a while, by all programs within seconds')
    .argument('<device-id>', 'its id', parseDeviceId)
    .option('--for <duration>', 'how long, at most 24h; 0s ends it', parseFor, DEFAULT_FOR_MS)
    .option('--json', 'as JSON')
    .addHelpText('after', '\nExamples:\n  relay trace device thermostat-001 --for 10m')
    .action(trace)
  group.command('list')
    .description('list the devices that are traced now')
    .option('--json', 'as JSON')
    .action(list)
}

function parseDeviceId (text: string): string {
  if (!isId(text)) throw new InvalidArgumentError('Must be a device id.')
  return text
}

function parseFor (text: string): number {
  const forMs = parseDurationArgument(text)
  if (forMs > TRACED_FOR_MAX_MS) throw new InvalidArgumentError('Must be at most 24h.')
  return forMs
}

async function trace (deviceId: string, { for: forMs, json }: OutputOptions & { readonly for: number }): Promise<void> {
  await using site = await openSiteDatabase()
  await traceDevice(site.database, deviceId, forMs, `relay-cli:${userInfo().username}`)
  const until = formatTime(Date.now() + forMs)
  if (json) printJson({ deviceId, until })
  else printLine(forMs === 0 ? `${deviceId} is no longer traced on demand` : `${deviceId} is traced until ${until}`)
}

async function list ({ json }: OutputOptions): Promise<void> {
  await using site = await openSiteDatabase()
  const devices = await readTracedDevices(site.database)
  if (json) printJson(devices.map(it => ({ deviceId: it.deviceId, until: formatTime(it.untilMs) })))
  else if (devices.length === 0) printLine('no device is traced on demand')
  else printTable(['device', 'until'], devices.map(it => [it.deviceId, formatTime(it.untilMs)]))
}
