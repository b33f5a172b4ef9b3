/**
 * Aborts a canary: its partitions go back, and what it wrote is replaced by what the log says.
 *
 *     1  give back   the active generation claims the partitions, and reads on     one transaction; the canary is fenced
 *     2  read        what the canary read: the days and dead letters at stake      nothing
 *     3  rebuild     those days, as relay replay does                              one transaction
 *     4  letters     that the canary should have written                           appended to the dead letters topic
 *     5  end         the canary stands by                                          one transaction
 *
 * A kill leaves the state `aborting`, in which processors of the active generation work as always. The next abort
 * repeats steps 2 to 5, which change nothing twice.
 */
import { RelayError, version } from 'relay-common'
import { toDeadLetterRecord } from 'relay-dead-letters'
import type { Topic } from 'relay-event-log'
import { bucketStartMs, DAY_MS } from 'relay-rollups'
import { readCanaryRange, type CanaryRange } from 'relay-processor/canary-range'
import { endAbort, giveBack, readDeployment, readRunning, type Canary } from 'relay-processor/deployment'
import { readHomesToday } from 'relay-processor/homes'
import { rebuildRollups, type RebuildResult } from 'relay-processor/rebuild'
import { addOffset, isRefusedForTime, LetterReader, readClaims, type OffsetSets } from 'relay-processor/refused-records'

import { startProgressBar } from '../output.ts'
import { readKeepMs, rebuildSettingsOf, rulesOf, type Site } from '../site.ts'
import { audit } from './audit.ts'

export interface AbortOptions {
  /** true: rebuilds although this is not the version of the active generation */
  readonly isAnyVersion: boolean
  /** true: replaces rows of other partitions even if the log has fewer readings than they have */
  readonly isLossAllowed: boolean
}

export interface Aborted {
  readonly generation: string
  readonly partitions: readonly number[]
  /** records that the canary read */
  readonly records: bigint
  /** of those, records that the log deleted meanwhile */
  readonly deleted: bigint
  /** undefined: the canary touched nothing */
  readonly rebuilt: RebuildResult | undefined
  /** first day that the canary may have touched and that the log no longer covers; undefined: all were rebuilt */
  readonly notRebuiltFromMs: number | undefined
  /** dead letters that the canary should have written */
  readonly lettersAdded: number
  /** dead letters of valid records, which count now */
  readonly lettersInError: number
}

/** @throws RelayError RELAY_DEPLOY_REFUSED, RELAY_REPLAY_REFUSED */
export async function abort (
  site: Site, topic: Topic, options: AbortOptions, signal: AbortSignal
): Promise<Aborted> {
  const { canary } = await readDeployment(site.database)
  const given = await site.database.transaction(async client => {
    const given = await giveBack(client, topic)
    if (canary?.state !== 'aborting') await audit(client, 'deploy.abort', given, topic)
    return given
  })
  if (!options.isAnyVersion) await checkVersion(site)

  const range = await readRange(site, topic, given, signal)
  const own = given.partitions.filter(it => it.isCanary).map(it => it.partition)
  const rebuilt = Number.isFinite(range.oldestMs)
    ? await rebuild(site, given, range, options, signal)
    : undefined
  const letters = await completeLetters(site, topic, given, range)
  await site.database.transaction(client => endAbort(client, given.generation))
  const oldestDayMs = bucketStartMs(DAY_MS, range.oldestMs)
  const startMs = rebuilt && Math.min(...rebuilt.ranges.map(it => Math.min(...it.startMs)))
  return {
    generation: given.generation,
    partitions: own,
    records: range.records,
    deleted: range.deleted,
    rebuilt,
    notRebuiltFromMs: startMs !== undefined && oldestDayMs < startMs ? oldestDayMs : undefined,
    ...letters
  }
}

/** Rows are rebuilt by the code of this program, so it must be that of the processors that were right. */
export async function checkVersion (site: Site): Promise<void> {
  const { active } = await readDeployment(site.database)
  const others = (await readRunning(site.database)).filter(it => it.generation === active && it.version !== version)
  if (others.length === 0) return
  throw new RelayError('RELAY_DEPLOY_REFUSED', `this is relay ${version}, and the active generation ${active} runs ` +
    `${others[0].version}: rows must be compared and rebuilt by its code. Run the relay of that version, or add --any-version`)
}

async function readRange (
  site: Site, topic: Topic, { partitions }: Canary, signal: AbortSignal
): Promise<CanaryRange> {
  const homes = await readHomesToday(site.database, topic)
  const rules = { ...rulesOf(site.config), keepMs: await readKeepMs(site.database) }
  return await readCanaryRange(site.eventLog, { topic, partitions, homes, rules }, signal)
}

async function rebuild (
  site: Site, { partitions }: Canary, range: CanaryRange, { isLossAllowed }: AbortOptions,
  signal: AbortSignal
): Promise<RebuildResult> {
  const { database, eventLog } = site
  const progress = startProgressBar('rebuilding')
  return await rebuildRollups(database, eventLog, {
    ...await rebuildSettingsOf(site),
    fromMs: bucketStartMs(DAY_MS, range.oldestMs),
    correctRefused: refused => correct(refused, partitions, range),
    isLossAllowed,
    lossAllowedIn: new Set(partitions.filter(it => it.isCanary).map(it => it.partition)),
    isDryRun: false
  }, progress.update, signal).finally(() => progress[Symbol.dispose]())
}

/** Of what the canary read, it may have refused too many records, or too few. */
function correct (refused: OffsetSets, partitions: Canary['partitions'], range: CanaryRange): OffsetSets {
  const corrected = new Map(refused)
  for (const { partition, isCanary, fromOffset, toOffset = fromOffset } of partitions) {
    if (!isCanary) continue
    const others = [...refused.get(partition) ?? []].filter(it => it < fromOffset || it >= toOffset)
    const letters = [...range.letters.get(partition) ?? []]
    const own = letters.filter(([, it]) => isRefusedForTime(it.reason)).map(([offset]) => offset)
    corrected.set(partition, new Set([...others, ...own]))
  }
  return corrected
}

/**
 * Appends the letters that the canary left out. Also those again that decide whether a record counts: the records
 * belong to the claim of the abort now, so letters of the canary decide nothing.
 */
async function completeLetters (
  { eventLog, config, database }: Site, topic: Topic, { partitions }: Canary, { letters }: CanaryRange
): Promise<Pick<Aborted, 'lettersAdded' | 'lettersInError'>> {
  const claims = await readClaims(database, topic)
  const written = new Map<number, Set<bigint>>()
  const deciding = new Map<number, Set<bigint>>()
  for await (const { sourcePartition, sourceOffset, claim } of
    new LetterReader(eventLog, config.DEAD_LETTERS_TOPIC, topic).read()) {
    addOffset(written, sourcePartition, sourceOffset)
    if (claims.isOwner(sourcePartition, sourceOffset, claim)) addOffset(deciding, sourcePartition, sourceOffset)
  }
  let lettersInError = 0
  const missing = []
  for (const { partition, isCanary, fromOffset, toOffset = fromOffset } of partitions) {
    if (!isCanary) continue
    const right = letters.get(partition) ?? new Map()
    const found = written.get(partition) ?? new Set()
    lettersInError += [...found].filter(it => it >= fromOffset && it < toOffset && !right.has(it)).length
    for (const [offset, letter] of right) {
      if ((isRefusedForTime(letter.reason) ? deciding.get(partition) : found)?.has(offset)) continue
      const source = { topic: topic.name, partition, offset, claim: claims.ownerOf(partition, offset) }
      missing.push(toDeadLetterRecord({ ...letter, source }, Date.now()))
    }
  }
  if (missing.length > 0) {
    const producer = await eventLog.openProducer()
    try {
      await producer.send(config.DEAD_LETTERS_TOPIC, missing)
    } finally {
      await producer.close()
    }
  }
  return { lettersAdded: missing.length, lettersInError }
}
