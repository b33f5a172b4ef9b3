/**
 * `relay trace event`: what became of the events of a device. `relay trace device | list`: devices whose events are
 * traced for a while (docs/tracing.md).
 */
import { InvalidArgumentError, type Command } from 'commander'
import { readTracedDevices, traceDevice, TRACED_FOR_MAX_MS } from 'relay-common'
import { isId } from 'relay-rollups'

import { actor } from './actor.ts'
import { parseDurationArgument, parseTime } from './arguments.ts'
import { findFates, type EventFate } from './event-fates.ts'
import {
  countOf, formatTime, printJson, printLine, printTable, startProgressBar, type OutputOptions
} from './output.ts'
import { openSite, openSiteDatabase } from './site.ts'

const DEFAULT_FOR_MS = 10 * 60_000
const DEFAULT_SINCE_MS = 10 * 60_000

export function addTrace (program: Command): void {
  const group = program.command('trace')
    .description('what became of events; trace those of devices, where tracing is on')
  group.command('event')
    .description('report what became of the events of a device: counted, waiting, a dead letter. Exit code 1: there ' +
      'are none, or one is missing')
    .argument('<device-id>', 'its id', parseDeviceId)
    .option('--at <time>', 'only the event of this time', parseTime)
    .option('--since <time>', 'read the log from here on, by when events were appended (default: 10m ago, or ' +
      'FUTURE_MAX_MS before --at)', parseTime)
    .option('--json', 'one JSON object per event')
    .addHelpText('after', `
Whether tracing is on or not. It reads all partitions of the log from there on.

Examples:
  relay trace event thermostat-001
  relay trace event thermostat-001 --at 2024-01-31T12:00:00Z --since 2024-01-31`)
    .action(traceEvent)
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

interface EventOptions extends OutputOptions {
  readonly at?: number
  readonly since?: number
}

async function traceEvent (deviceId: string, { at, since, json }: EventOptions): Promise<void> {
  await using site = await openSite()
  const first = since ?? (at === undefined ? Date.now() - DEFAULT_SINCE_MS : at - site.config.FUTURE_MAX_MS)
  const progress = startProgressBar('reading')
  const found = await findFates(site, { deviceId, timeMs: at, sinceMs: first, onRecord: progress.update })
    .finally(() => progress[Symbol.dispose]())
  if (json) for (const it of found) printJson(describe(it))
  else if (found.length === 0) printLine(`no event of ${deviceId} in the log since ${formatTime(first)}`)
  else {
    printTable(['appended', 'offset', 'time', 'value', 'trace', 'fate', 'detail'], found.map(it => [
      formatTime(it.appendedMs), it.place ?? '-', formatTime(it.event?.timestampMs ?? null), it.event?.value ?? '-',
      it.traceId ?? '-', it.fate, it.detail
    ]))
    printLine(countOf(found.length, 'event'))
  }
  if (found.length === 0 || found.some(it => it.fate === 'missing')) process.exitCode = 1
}

function describe ({ place, appendedMs, event, traceId, fate, detail }: EventFate) {
  return {
    offset: place ?? null,
    appended: formatTime(appendedMs),
    event: event === undefined ? null : { ...event, timestamp: formatTime(event.timestampMs), timestampMs: undefined },
    traceId: traceId ?? null,
    fate,
    detail
  }
}

async function trace (deviceId: string, { for: forMs, json }: OutputOptions & { readonly for: number }): Promise<void> {
  await using site = await openSiteDatabase()
  await traceDevice(site.database, deviceId, forMs, actor().principal)
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
