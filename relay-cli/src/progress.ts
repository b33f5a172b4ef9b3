/**
 * `relay progress set`: where processors go on reading, for a site that moved to an event log with other offsets, such
 * as a mirror of its topic.
 */
import { Option, type Command } from 'commander'
import { writeAudit } from 'relay-access'
import { RelayError } from 'relay-common'
import { topicPartsSince } from 'relay-dead-letters'
import type { Topic } from 'relay-event-log'
import { setNextOffset } from 'relay-processor/progress'
import { readNextOffsets } from 'relay-rollups'

import { actor } from './actor.ts'
import { parseTime } from './arguments.ts'
import { countOf, formatTime, printJson, printLine, printTable, type OutputOptions } from './output.ts'
import { openSite, topicOf, type Site } from './site.ts'

interface SetOptions extends OutputOptions {
  readonly time: number
  readonly yes?: boolean
  readonly allowSkip?: boolean
}

interface Move {
  readonly partition: number
  /** null: this topic was not read yet */
  readonly from: bigint | null
  readonly to: bigint
  readonly end: bigint
}

export function addProgress (program: Command): void {
  const group = program.command('progress').description('where processors go on reading the event log')
  group.command('set')
    .description('let processors go on at a time of the event log, in every partition of the events topic. Without ' +
      '--yes only show where that is')
    .addOption(new Option('--time <time>', 'the first record that was appended at this time or later is read next')
      .argParser(parseTime).makeOptionMandatory())
    .option('--yes', 'set it')
    .option('--allow-skip', 'also where records that were not read yet are passed over: they will not be counted')
    .option('--json', 'as JSON')
    .addHelpText('after', `
For a database whose event log was replaced by a mirror, which has the same records at other offsets. Choose a time before
the last record that the database has: what is read twice counts once, but for minutes that no longer store their readings.
Processors that run claim their partitions again after some seconds.

Examples:
  relay progress set --time 2024-01-31T12:00:00Z
  relay progress set --time 2024-01-31T12:00:00Z --yes`)
    .action(setProgress)
}

async function setProgress ({ time: timeMs, yes = false, allowSkip = false, json }: SetOptions): Promise<void> {
  await using site = await openSite()
  const topic = await topicOf(site, site.config.EVENTS_TOPIC)
  const moves = await findMoves(site, topic, timeMs)
  const skipped = moves.filter(it => it.from !== null && it.to > it.from)
  if (yes) {
    if (skipped.length > 0 && !allowSkip) {
      throw new RelayError('RELAY_RANGE_INVALID', `${describeSkipped(skipped)} would be passed over and never counted; ` +
        'choose an earlier --time, or add --allow-skip')
    }
    await move(site, topic, timeMs, moves)
  }
  if (json) {
    printJson({
      topic: topic.name,
      isSet: yes,
      partitions: moves.map(({ partition, from, to, end }) => ({ partition, from, to, end }))
    })
    return
  }
  printTable(['partition', 'next offset', 'becomes', 'to read'], moves.map(({ partition, from, to, end }) =>
    [partition, from ?? '-', to, end > to ? end - to : 0n]))
  if (skipped.length > 0) printLine(`${describeSkipped(skipped)} ${yes ? 'are' : 'would be'} passed over`)
  if (!yes) printLine('nothing was changed; --yes sets it')
}

function describeSkipped (skipped: readonly Move[]): string {
  return countOf(skipped.reduce((sum, { from, to }) => sum + to - from!, 0n), 'unread record')
}

async function findMoves ({ eventLog, database }: Site, topic: Topic, timeMs: number): Promise<Move[]> {
  const offsets = await readNextOffsets(database, topic.topicId)
  return (await topicPartsSince({ eventLog, topic: topic.name }, timeMs)).map(({ partition, first, end }) => ({
    partition,
    from: offsets.get(partition) ?? null,
    to: first,
    end
  }))
}

/** Raises the epochs, as a claim does: a processor that runs is fenced, and claims its partitions at the new place. */
async function move (
  { database, eventLog, config }: Site, topic: Topic, timeMs: number, moves: readonly Move[]
): Promise<void> {
  await database.transaction(async client => {
    await client.query('lock table progress in share row exclusive mode')
    for (const { partition, to } of moves) {
      await setNextOffset(client, eventLog.kind, topic, partition, 'relay progress set', to)
    }
    await writeAudit(client, actor(), 'progress.set', config.EVENTS_TOPIC, {
      time: formatTime(timeMs),
      partitions: moves.map(({ partition, from, to }) => ({ partition, from: from?.toString(), to: to.toString() }))
    })
  })
}
