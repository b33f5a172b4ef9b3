/** The store as a process sees it, over unreliable connections. */
import type { Topic } from 'relay-event-log'
import { type Level, levels } from 'relay-rollups'

import type {
  BucketKey, Claim, ClaimName, CurrentClaims, Elsewhere, Gap, MoveOutcome, NewSeries, OwnedElsewhere, PartitionRows,
  ProgressMove, ReturnedReadings, SeriesName, Store, StoredRow, WriteOutcome
} from '../../src/store.ts'
import type { Bug } from './bugs.ts'
import { databaseError, progressKey, rowKey, type Database, type Transaction } from './database.ts'
import type { Process, RemoteFault } from './process.ts'

export interface StoreFaults {
  /** rate of cut connections, per call */
  cut: number
  /** rate of temporary statement errors */
  refused: number
}

const passingErrors = [
  ['40001', 'could not serialize access'], ['53100', 'No space left on device'], ['55P03', 'lock not available']
]

export class SimulatedStore implements Store {
  readonly #process: Process
  readonly #database: Database
  readonly #faults: StoreFaults
  readonly #bug: Bug | undefined
  readonly #generation: string

  constructor (
    process: Process, database: Database, faults: StoreFaults, bug: Bug | undefined, generation: string
  ) {
    this.#generation = generation
    this.#process = process
    this.#database = database
    this.#faults = faults
    this.#bug = bug
  }

  async claim (
    topic: Topic, partition: number, _owner: string, startOffset: bigint
  ): Promise<Claim | OwnedElsewhere> {
    const claim = await this.#call(`claim ${partition}`, () =>
      this.#database.claim(topic, partition, startOffset, this.#generation))
    return this.#bug === 'new-by-mistake' ? { ...claim, eventTimeMaxMs: -Infinity } : claim
  }

  async readOwned (_topicId: string, partitions: readonly number[]): Promise<number[]> {
    if (this.#bug === 'standby-deaf') return []
    return await this.#call('read owned', () => this.#database.readOwned(partitions, this.#generation))
  }

  findGap (topic: Topic, partition: number, startOffset: bigint): Promise<Gap | undefined> {
    return this.#call(`gap before ${partition}`, () => this.#database.findGap(topic, partition, startOffset))
  }

  nameSeries (names: readonly NewSeries[]): Promise<number[]> {
    return this.#call('name series', () => this.#database.nameSeries(names.map(seriesName)))
  }

  async readRows (
    level: Level, sourcePartition: number, keys: readonly BucketKey[]
  ): Promise<Array<StoredRow | undefined>> {
    const levelIndex = levels.indexOf(level)
    const rows = await this.#call(`read ${keys.length} rows of ${level.name}`, () =>
      this.#database.readRows(keys.map(it => rowKey(levelIndex, it.seriesId, it.bucketMs, sourcePartition))))
    return this.#bug === 'no-read-back' ? rows.map(() => undefined) : rows
  }

  async readElsewhere (sourcePartition: number, keys: readonly BucketKey[]): Promise<Elsewhere> {
    const found = await this.#call(
      `read ${keys.length} minutes elsewhere`, () => this.#database.readElsewhere(sourcePartition, keys)
    )
    return this.#bug === 'not-elsewhere' ? { rows: keys.map(() => []), journal: [] } : found
  }

  readMisplaced (wanted: ReadonlyMap<number, ReadonlySet<bigint>>): Promise<ReturnedReadings[]> {
    return this.#call(
      'read misplaced', () => this.#database.readMisplaced(wanted, this.#process.world.chance.between(1, 5))
    )
  }

  async write (topicId: string, writes: readonly PartitionRows[]): Promise<WriteOutcome> {
    const moves = this.#bug === 'kept-after-fencing' ? this.#takeBack(topicId, writes) : writes.map(it => it.move)
    const database = this.#database
    const transaction = database.begin()
    this.#process.whenDead(() => this.#hangUp(transaction))
    try {
      const what = moves.map(it =>
        `${it.partition}: ${it.fromOffset} to ${it.toOffset} in epoch ${it.epoch}`).join(', ')
      const refused = await this.#call(`move ${what}`, () => database.move(transaction, topicId, moves))
      if (refused.length > 0) {
        await this.#call('rollback', () => database.rollback(transaction))
        return { kind: 'refused', partitions: refused, historyId: database.historyId }
      }
      const gone = await this.#call('put rows', () => database.put(transaction, writes))
      if (gone.length > 0) {
        await this.#call('rollback', () => database.rollback(transaction))
        return { kind: 'refused', partitions: gone, historyId: database.historyId }
      }
    } catch (error) {
      this.#hangUp(transaction)
      throw error
    }
    try {
      await this.#call('commit', () => database.commit(transaction, topicId))
      return { kind: 'committed' }
    } catch (error) {
      this.#hangUp(transaction)
      return this.#bug === 'commit-guessed' ? { kind: 'committed' } : { kind: 'unknown', error }
    }
  }

  readOutcome (topicId: string, move: ProgressMove): Promise<MoveOutcome> {
    return this.#call(`outcome of ${move.partition}`, () => this.#database.readOutcome(topicId, move))
  }

  recordGap (topic: Topic, gap: Gap, claim: ClaimName | undefined): Promise<boolean> {
    return this.#call(`${gap.kind} in ${gap.partition}`, () => this.#database.recordGap(topic.topicId, gap, claim))
  }

  skipGap (topic: Topic, gap: Gap, claim: ClaimName): Promise<boolean> {
    return this.#call(`skip from ${gap.expectedOffset} to ${gap.availableOffset} in ${gap.partition}`, () =>
      this.#database.skipGap(topic.topicId, gap, claim))
  }

  readStanding (topicId: string, partitions: readonly number[]): Promise<CurrentClaims> {
    return this.#call('read standing', () => this.#database.readStanding(topicId, partitions))
  }

  async close (): Promise<void> {}

  #call<T> (what: string, serve: () => Promise<T> | T): Promise<T> {
    const { chance } = this.#process.world
    if (chance.happens(this.#faults.refused)) {
      const [code, message] = chance.pick(passingErrors)
      serve = () => { throw databaseError(code, message) }
    }
    const fault: RemoteFault = chance.happens(this.#faults.cut)
      ? chance.pick(['request-lost', 'answer-lost'] as const)
      : 'none'
    return this.#process.ask(what, fault, () => new Error('Connection terminated unexpectedly'), serve)
  }

  /** The server notices some time later; a request on its way may arrive before. */
  #hangUp (transaction: Transaction): void {
    const { world } = this.#process
    world.schedule(world.chance.between(10, 500), '', () => this.#database.rollback(transaction))
  }

  #takeBack (topicId: string, writes: readonly PartitionRows[]): ProgressMove[] {
    return writes.map(({ move }) => {
      const row = this.#database.progress.get(progressKey(topicId, move.partition))!
      return { ...move, epoch: row.epoch, fromOffset: row.nextOffset }
    })
  }
}

/** Name of a series here, and in the checks. */
export function seriesName ({ deviceId, deviceType, zone }: SeriesName): string {
  return `${deviceId ?? '*'}/${deviceType}/${zone}`
}
