/** `relay send`: sends events from a file, from stdin, or one from options. */
import { randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'

import { InvalidArgumentError, type Command } from 'commander'
import { RelayError } from 'relay-common'

import { failureOf, withApi, type Api } from './api.ts'
import { countOf, printJson, printLine, type OutputOptions } from './output.ts'

interface SendOptions extends OutputOptions {
  readonly device?: string
  readonly zone?: string
  readonly type?: string
  readonly value?: number
  readonly time?: string
}

/** per request */
const BATCH_EVENTS = 1_000
/** Number of refused events that are listed. */
const REFUSED_SHOWN_MAX = 20

export function addSend (program: Command): void {
  program.command('send')
    .description('send one event given by options, or the events of a file or stdin (one per line, or a JSON array)')
    .argument('[file]', 'with events; - or left out: stdin')
    .option('--device <id>', 'of one event')
    .option('--zone <zone>', 'of one event')
    .option('--type <type>', 'of one event')
    .option('--value <number>', 'of one event', parseValue)
    .option('--time <time>', 'time of the event: ISO-8601 with an offset (default: now)')
    .option('--json', 'as JSON: accepted, and each refused event')
    .addHelpText('after', '\nExit code 1: some events were refused. An event that is sent again counts once.' +
      '\n\nExamples:\n  relay send --device d-1 --zone "Zone A" --type THERMOSTAT --value 21.5\n  relay send ' +
        'events.ndjson' +
      '\n  zcat events.ndjson.gz | relay send')
    .action(send)
}

function parseValue (text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('Must be a number.')
  return value
}

interface Refused {
  /** index among all sent events, from 1 */
  readonly event: number
  readonly reason: string
  readonly detail: string
}

async function send (file: string | undefined, options: SendOptions): Promise<void> {
  const one = eventOf(file, options)
  await withApi(async api => {
    let sent = 0
    let accepted = 0
    const refused: Refused[] = []
    for await (const lines of one === undefined ? batchesOf(file) : [[one]]) {
      const answer = await sendBatch(api, lines)
      accepted += answer.accepted
      refused.push(...answer.refused.map(({ index, reason, detail }) => ({ event: sent + index + 1, reason, detail })))
      sent += lines.length
    }
    if (options.json) printJson({ accepted, refused })
    else report(accepted, refused)
    if (refused.length > 0) process.exitCode = 1
  })
}

function report (accepted: number, refused: readonly Refused[]): void {
  printLine(`${countOf(accepted, 'event')} accepted, ${refused.length} refused`)
  for (const { event, reason, detail } of refused.slice(0, REFUSED_SHOWN_MAX)) {
    printLine(`  event ${event}: ${reason}${detail === '' ? '' : `: ${detail}`}`)
  }
  if (refused.length > REFUSED_SHOWN_MAX) printLine('  … and more; --json shows all of them')
}

/** @returns the event of the options; undefined: none */
function eventOf (file: string | undefined, { device, zone, type, value, time }: SendOptions): string | undefined {
  const given = { '--device': device, '--zone': zone, '--type': type, '--value': value }
  const missing = Object.entries(given).filter(([, it]) => it === undefined).map(([name]) => name)
  if (missing.length === 4 && time === undefined) return undefined
  if (file !== undefined) {
    throw new RelayError('RELAY_CONFIG_INVALID', 'give a file or the options of one event, not both')
  }
  if (missing.length > 0) throw new RelayError('RELAY_CONFIG_INVALID', `an event needs ${missing.join(', ')}`)
  return JSON.stringify({
    deviceId: device, deviceType: type, zone, value, timestamp: time ?? new Date().toISOString()
  })
}

/** Original lines, in batches. */
async function * batchesOf (file: string | undefined): AsyncGenerator<string[]> {
  const input = file === undefined || file === '-' ? process.stdin : createReadStream(file)
  let lines: string[] = []
  let isArray: boolean | undefined
  const reader = createInterface({ input, crlfDelay: Infinity })
  const failed = new Promise<never>((_resolve, reject) => input.once('error', reject))
  failed.catch(() => {}) // the reader gets the error
  const iterator = reader[Symbol.asyncIterator]()
  while (true) {
    const { done, value: line } = await Promise.race([iterator.next(), failed])
    if (done) break
    if (line.trim() === '') continue
    isArray ??= line.trimStart().startsWith('[')
    lines.push(line)
    if (isArray || lines.length < BATCH_EVENTS) continue
    yield lines
    lines = []
  }
  if (isArray) yield * cut(itemsOf(lines.join('\n')))
  else if (lines.length > 0) yield lines
}

function itemsOf (array: string): string[] {
  try {
    return (JSON.parse(array) as unknown[]).map(it => JSON.stringify(it))
  } catch (error) {
    throw new RelayError('RELAY_REQUEST_INVALID', `invalid JSON array of events: ${(error as Error).message}`)
  }
}

function * cut (lines: readonly string[]): Generator<string[]> {
  for (let at = 0; at < lines.length; at += BATCH_EVENTS) yield lines.slice(at, at + BATCH_EVENTS)
}

/** Sends original lines, so that the API checks each; with their own key, so that they may be resent. */
async function sendBatch ({ relay }: Api, lines: readonly string[]) {
  const { data, error } = await relay.POST('/api/v1/events', {
    params: { header: { 'idempotency-key': randomUUID() } },
    headers: { 'content-type': 'application/x-ndjson' },
    bodySerializer: () => lines.join('\n'),
    body: []
  })
  if (data) return data
  const { accepted, refused } = error as {
    accepted?: number, refused?: Array<{ index: number, reason: string, detail: string }>
  }
  if (refused === undefined) throw failureOf(error)
  return { accepted: accepted ?? 0, refused }
}
