/** `relay lag`: the lag of the rollups behind the log. */
import type { Command } from 'commander'
import { readProgress } from 'relay-rollups'

import { parseCount } from './arguments.ts'
import { countOf, formatAge, formatTime, printJson, printLine, printTable, type OutputOptions } from './output.ts'
import { openSite, topicOf } from './site.ts'

interface PartitionLag {
  readonly partition: number
  /** null: never claimed by a processor */
  readonly processedOffset: bigint | null
  readonly endOffset: bigint
  readonly lag: bigint
  readonly eventTimeMax: string | null
  readonly owner: string | null
  readonly epoch: bigint | null
  /** since the last write of its rows; null: never */
  readonly flushAgeMs: number | null
}

export function addLag (program: Command): void {
  program.command('lag')
    .description('show how far the rollups are behind the event log, per partition')
    .option('--max <records>', 'exit with 1 if any partition lags more', parseCount)
    .option('--json', 'as JSON')
    .addHelpText('after', '\nExamples:\n  relay lag\n  relay lag --json --max 100000 || page-somebody')
    .action(showLag)
}

async function showLag ({ json, max }: OutputOptions & { readonly max?: number }): Promise<void> {
  await using site = await openSite()
  const topic = await topicOf(site, site.config.EVENTS_TOPIC)
  const progress = await readProgress(site.database, topic.topicId)
  const offsets = await site.eventLog.readOffsets(topic.name)

  const lags = offsets.map(({ partition, startOffset, endOffset }): PartitionLag => {
    const own = progress.find(it => it.partition === partition)
    return {
      partition,
      processedOffset: own?.nextOffset ?? null,
      endOffset,
      lag: endOffset - (own?.nextOffset ?? startOffset),
      eventTimeMax: own?.eventTimeMaxMs === undefined ? null : formatTime(own.eventTimeMaxMs),
      owner: own?.owner ?? null,
      epoch: own?.epoch ?? null,
      flushAgeMs: own ? Math.round(own.flushAgeMs) : null
    }
  })
  const total = lags.reduce((sum, it) => sum + it.lag, 0n)
  if (json) {
    printJson({ topic: topic.name, eventLog: site.eventLog.description, lag: total, partitions: lags })
  } else {
    printTable(['partition', 'processed', 'log end', 'lag', 'event time', 'owner', 'last flush'], lags.map(it => [
      it.partition, it.processedOffset ?? '-', it.endOffset, it.lag, it.eventTimeMax ?? '-', it.owner ?? 'nobody',
      it.flushAgeMs === null ? '-' : `${formatAge(it.flushAgeMs)} ago`
    ]))
    printLine(`\nnot in the rollups yet: ${countOf(total, 'record')} of ${topic.name} (${site.eventLog.description})`)
  }
  if (max !== undefined && lags.some(it => it.lag > max)) process.exitCode = 1
}
