/** `relay dead-letters list | show | replay` */
import { Command, InvalidArgumentError } from 'commander'
import { printable, printableLines, RelayError } from 'relay-common'
import {
  deadLetterReasons, findLetters, listedLetter, listLetters, openReplayGuard, readLetters, replayLetters, type Letter,
  type LetterFilter, type LetterPlace, type LetterTopic, type ListedLetter, type NotReplayed, type OnRecord
} from 'relay-dead-letters'

import { parseCount, parsePlace, parseTime } from './arguments.ts'
import {
  countOf, formatTime, printJson, printLine, printTable, startProgressBar, type OutputOptions
} from './output.ts'
import { openSite, topicOf, type Site } from './site.ts'

type ListOptions = LetterFilter & OutputOptions & { readonly limit: number }

const reasons = Object.keys(deadLetterReasons)
const EXCERPT_CHARACTERS = 60
const SEND_AT_A_TIME = 1_000
const NOT_GRANTED_SHOWN_MAX = 20

export function addDeadLetters (program: Command): void {
  const group = program.command('dead-letters').description('list, show and replay refused records')
  withFilters(group.command('list'))
    .description('list the newest letters, newest last')
    .option('--limit <count>', 'most letters to show', parseListed, 100)
    .addHelpText('after', '\nExamples:\n  relay dead-letters list --since 1h\n' +
      '  relay dead-letters list --reason field-type --device thermostat-001 --json')
    .action(list)
  group.command('show')
    .description('show one letter in full')
    .argument('<partition:offset>', 'where the letter is, as list shows it', parsePlace)
    .option('--raw', 'only the bytes of the value')
    .option('--json', 'as JSON; the value is base64')
    .addHelpText(
      'after', '\nExamples:\n  relay dead-letters show 0:1234\n  relay dead-letters show 0:1234 --raw > event.json'
    )
    .action(show)
  withFilters(group.command('replay'))
    .description('send letters to the events topic again, with their original key and value, if their sender has the ' +
      'permission. Without --yes only show what would be sent')
    .option('--yes', 'send them')
    .option('--again', 'include letters that were replayed before')
    .option('--limit <count>', 'most letters to send (default: all)', parseCount)
    .addHelpText('after', '\nExamples:\n  relay dead-letters replay --reason device-type-unknown\n' +
      '  relay dead-letters replay --reason device-type-unknown --since 2d --yes')
    .action(replay)
}

function withFilters (command: Command): Command {
  return command
    .option('--reason <reason...>', `any of these: ${reasons.join(', ')}`, parseReason)
    .option('--since <time>', 'written at or after this time: 2024-01-31T12:00:00Z, or 24h (ago)', parseTime)
    .option('--until <time>', 'written before this time', parseTime)
    .option('--device <id>', 'device id in the value, or else the key', String)
    .option('--source-partition <number>', 'source partition of the record', parseCount)
    .option('--principal <id>', 'sender of a record that the API refused: key:4kQ0zTfWm2Ya', String)
    .option('--json', 'one JSON object per letter')
}

function parseListed (text: string): number {
  const count = parseCount(text)
  if (count === 0) throw new InvalidArgumentError('Must be a number from 1 on.')
  return count
}

function parseReason (text: string, before: readonly string[] = []): string[] {
  if (!reasons.includes(text)) throw new InvalidArgumentError(`Must be one of ${reasons.join(', ')}.`)
  return [...before, text]
}

/** @throws RelayError RELAY_TOPIC_MISSING */
async function letterTopic (site: Site): Promise<LetterTopic> {
  const { name } = await topicOf(site, site.config.DEAD_LETTERS_TOPIC)
  return { eventLog: site.eventLog, topic: name }
}

/** Reads with a bar, which is gone before anything is printed. */
async function reading<T> (read: (onRecord: OnRecord) => Promise<T>): Promise<T> {
  using progress = startProgressBar('reading')
  return await read((done, total) => progress.update(done, total))
}

async function list ({ limit, json, ...filter }: ListOptions): Promise<void> {
  await using site = await openSite()
  const topic = await letterTopic(site)
  const { letters: newest, older } = await reading(onRecord => listLetters(topic, filter, { limit, onRecord }))
  const letters = newest.toReversed()
  if (json) {
    for (const it of letters) printJson(describe(it))
    return
  }
  if (letters.length === 0) {
    printLine('no dead letters')
    return
  }
  printTable(['letter', 'time', 'reason', 'field', 'device', 'source', 'principal', 'detail', ''], letters.map(it => [
    it.place, formatTime(it.timeMs), it.reason, it.field ?? '', excerpt(it.device ?? ''),
    it.sourceOffset === undefined ? excerpt(it.sourceTopic) : `${it.sourcePartition}:${it.sourceOffset}`,
    excerpt(it.principal ?? ''),
    excerpt(it.detail), it.replayedAt === undefined ? '' : 'replayed'
  ]))
  if (older > 0) printLine(`\n${older} older letters are not shown; use --limit, or --until ${formatTime(letters[0].timeMs)}`)
}

async function show (
  place: LetterPlace, { raw, json }: OutputOptions & { readonly raw?: boolean }
): Promise<void> {
  await using site = await openSite()
  const topic = await letterTopic(site)
  const [letter] = await reading(onRecord => readLetters(topic, [place], onRecord))
  if (!letter) throw new RelayError('RELAY_NO_DATA', `no dead letter at ${place.partition}:${place.offset}`)
  if (raw) {
    // unchanged for a file or another program; a terminal would obey escape sequences
    process.stdout.write(process.stdout.isTTY ? printableLines(String(letter.value ?? '')) : letter.value ?? '')
  } else if (json) {
    printJson({
      ...describe(listedLetter(letter)),
      key: letter.key?.toString('base64') ?? null,
      value: letter.value?.toString('base64') ?? null
    })
  } else {
    const { sourceTopic, sourcePartition, sourceOffset, valueBytes, principal, grants } = letter
    const isFromLog = sourceOffset !== undefined
    for (const [name, text] of [
      ['letter', letter.place], ['time', formatTime(letter.timeMs)], ['reason', letter.reason],
      ['field', letter.field ?? '-'],
      ['detail', letter.detail],
      ['source', isFromLog ? `${sourceTopic}, partition ${sourcePartition}, offset ${sourceOffset}` : sourceTopic],
      ['principal', principal ?? 'unknown'], ['grants', grants ? JSON.stringify(grants) : 'unknown'],
      ['key', letter.key?.toString() ?? 'none'], ['replayed', letter.replayedAt ?? 'never'],
      ['value', letter.value === null
        ? 'null'
        : `${valueBytes ?? letter.value.length} bytes${valueBytes ? ', truncated' : ''}`]
    ]) printLine(`${name.padEnd(9)} ${text}`)
    if (letter.value) printLine(`\n${letter.value.toString()}`)
  }
}

/** By why letters were not sent: how `--json` names the count. */
const counted = {
  'replayed-before': 'before', truncated: 'cutOff', corrupt: 'corrupt', 'not-granted': 'notGranted'
} as const satisfies Record<NotReplayed['reason'], string>

async function replay (
  { yes, again = false, limit, json, ...filter }: ListOptions & { readonly yes?: boolean, readonly again?: boolean }
): Promise<void> {
  await using site = await openSite()
  const topic = await letterTopic(site)
  await topicOf(site, site.config.EVENTS_TOPIC)
  const counts = { sent: 0, before: 0, cutOff: 0, corrupt: 0, notGranted: 0 }
  const faultOf = openReplayGuard(site.database)
  const waiting: Letter[] = []
  const producer = await site.eventLog.openProducer()
  const topics = { events: site.config.EVENTS_TOPIC, deadLetters: topic.topic }
  const send = (letters: readonly Letter[]) =>
    replayLetters(letters, topics, (name, records) => producer.send(name, records))
  try {
    for await (const letter of await reading(onRecord => findLetters(topic, filter, onRecord))) {
      if (counts.sent === limit) break
      const fault = await faultOf(letter, again)
      if (fault) {
        counts[counted[fault.reason]]++
        const isShown = fault.reason === 'not-granted' && counts.notGranted <= NOT_GRANTED_SHOWN_MAX
        if (isShown) console.error(printable(`skipped ${letter.place}: ${fault.detail}`))
        continue
      }
      counts.sent++
      if (json && !yes) printJson(describe(listedLetter(letter)))
      if (yes) waiting.push(letter)
      if (waiting.length >= SEND_AT_A_TIME) await send(waiting.splice(0))
    }
    if (waiting.length > 0) await send(waiting)
  } finally {
    await producer.close()
  }
  if (json) {
    if (yes) printJson(counts)
    return
  }
  printLine(`${yes ? 'sent' : 'to send'} to ${topics.events} again: ${countOf(counts.sent, 'letter')}`)
  if (counts.before > 0) printLine(`skipped ${counts.before} replayed before (--again includes them)`)
  if (counts.cutOff > 0) printLine(`skipped ${counts.cutOff} truncated: only their source has the whole records`)
  if (counts.corrupt > 0) printLine(`skipped ${counts.corrupt} corrupt batches`)
  if (counts.notGranted > 0) printLine(`skipped ${counts.notGranted}: their senders have no permission`)
  if (!yes && counts.sent > 0) printLine('nothing was sent; --yes sends them')
}

function describe (letter: ListedLetter) {
  const {
    place, device, timeMs, reason, field, detail, sourceTopic, sourcePartition, sourceOffset, replayedAt, principal,
    grants
  } = letter
  return {
    letter: place,
    time: formatTime(timeMs),
    reason,
    field: field ?? null,
    detail,
    device: device ?? null,
    sourceTopic,
    sourcePartition: sourcePartition ?? null,
    sourceOffset: sourceOffset ?? null,
    principal: principal ?? null,
    grants: grants ?? null,
    valueBytes: letter.valueBytes ?? letter.keptBytes ?? null,
    isCutOff: letter.valueBytes !== undefined,
    replayedAt: replayedAt ?? null
  }
}

/** One line of it, or everything. */
function excerpt (text: string, charactersMax = EXCERPT_CHARACTERS): string {
  return text.length <= charactersMax ? text : `${text.slice(0, charactersMax - 1)}…`
}
