/**
 * The simulated database server: tables, and transactions with locks on the rows of `progress`, like PostgreSQL with
 * READ COMMITTED.
 *
 * - A transaction's changes become visible when it commits, all at once.
 * - A transaction that needs a locked row waits for its holder, and then sees the new state of the row. A cycle of
 *   waits is a deadlock.
 * - A lost session is noticed after a while; its transaction is rolled back then. One that stays idle within a
 *   transaction is ended.
 * - A crash ends every uncommitted transaction.
 * - A restore brings back an earlier state, including the next numbers. It begins another history, as a crash does.
 */
import assert from 'node:assert/strict'

import type { Topic } from 'relay-event-log'
import { bucketStartMs, DAY_MS, deviceBlockOf, lateBlockOf, levels, MINUTE_MS } from 'relay-rollups'

import { mergeMisplaced } from '../../src/misplaced.ts'
import type { MisplacedRow } from '../../src/store.ts'
import type { Homes } from '../../src/home.ts'
import type {
  ArrivalRow, BucketKey, Claim, ClaimName, CurrentClaims, Elsewhere, Gap, MoveOutcome, OwnedElsewhere, PartitionRows,
  ProgressMove, ReturnedReadings
} from '../../src/store.ts'
import type { Bug } from './bugs.ts'
import { decodeFragments, decodeRows, type CopiedFragment, type CopiedRow } from './copied-rows.ts'
import type { World } from './world.ts'

export interface ProgressRow {
  readonly topicId: string
  readonly topic: string
  readonly partition: number
  /** where reading started */
  readonly firstOffset: bigint
  /** of its topic, at that time */
  readonly topicPartitions: number
  epoch: bigint
  nextOffset: bigint
  eventTimeMaxMs: number
  updatedMs: number
  /** of the processors that claimed it last */
  generation: string
}

/** Generations of processors: the active one, and the partitions that the other one has as a canary. */
export interface Owners {
  readonly active: string
  readonly canary: ReadonlySet<number>
}

export interface StoredGap extends Gap {
  readonly topicId: string
}

/** A committed move. */
export interface CommittedMove extends ProgressMove {
  readonly topicId: string
  /** number of partitions that devices were assigned to */
  readonly homePartitions: number
  /** by home, the row of misplaced readings that the transaction has added */
  readonly added: ReadonlyMap<number, bigint>
}

/** In the form of node-postgres: a message and the SQLSTATE. */
export function databaseError (code: string, message: string): Error {
  return Object.assign(new Error(message), { code })
}

/** shorter than the longest pause */
const IDLE_IN_TRANSACTION_MAX_MS = 4_000

export class Transaction {
  isOver = false
  /** the error by which its session ended it, if any */
  end: Error | undefined
  readonly holds = new Set<string>()
  waitsFor: Transaction | undefined
  /** called at the end of the transaction */
  readonly over: Array<() => void> = []
  moves: readonly ProgressMove[] = []
  writes: readonly PartitionRows[] = []
  statements = 0
}

export class Database {
  readonly progress = new Map<string, ProgressRow>()
  readonly rows = new Map<string, CopiedRow>()
  /** by block, partition and flush, in the order of commits */
  readonly journal = new Map<string, CopiedFragment>()
  /** late readings and duplicates, by `arrivalKey` */
  readonly arrivals = new Map<string, ArrivalRow>()
  /** in the order of their commits */
  readonly moves: CommittedMove[] = []
  readonly seriesIds = new Map<string, number>()
  readonly gaps = new Map<string, StoredGap>()
  readonly misplaced = new Map<bigint, MisplacedRow>()
  owners: Owners = { active: 'blue', canary: new Set() }
  /** claims by a generation that does not own the partition */
  foreignClaims = 0
  #homes: (Homes & { readonly topicId: string }) | undefined
  #misplacedId = 0n
  #histories = 1
  isAway = false
  isReadOnly = false
  readonly #world: World
  readonly #bug: Bug | undefined
  readonly #holders = new Map<string, Transaction>()
  readonly #open = new Set<Transaction>()

  constructor (world: World, bug: Bug | undefined) {
    this.#world = world
    this.#bug = bug
  }

  begin (): Transaction {
    const transaction = new Transaction()
    this.#open.add(transaction)
    return transaction
  }

  get historyId (): string { return String(this.#bug === 'history-unnoticed' ? 1 : this.#histories) }

  /** Ends every transaction; commits stay. */
  crash (): void {
    this.#histories++
    for (const transaction of this.#open) this.rollback(transaction, databaseError('57P01', 'the server crashed'))
  }

  /** @returns restores the current state */
  backUp (): () => void {
    const tables = [
      this.rows, this.journal, this.arrivals, this.seriesIds, this.gaps, this.misplaced
    ] as Array<Map<unknown, unknown>>
    const copies = tables.map(it => new Map(it))
    const progress = new Map([...this.progress].map(([key, row]) => [key, { ...row }]))
    const moves = [...this.moves]
    const [homes, misplacedId, owners] = [this.#homes, this.#misplacedId, this.owners]
    return () => {
      this.crash()
      for (const [n, table] of tables.entries()) {
        table.clear()
        for (const [key, value] of copies[n]) table.set(key, value)
      }
      this.progress.clear()
      for (const [key, row] of progress) this.progress.set(key, { ...row })
      this.moves.splice(0, Infinity, ...moves)
      this.#homes = homes
      this.#misplacedId = misplacedId
      this.owners = owners
    }
  }

  rollback (transaction: Transaction, why?: Error): void {
    transaction.end ??= why
    this.#finish(transaction)
  }

  ownerOf (partition: number): string {
    const { active, canary } = this.owners
    return canary.has(partition) ? otherGeneration(active) : active
  }

  /** Changes who may claim, and fences the owners of the partitions that change hands: one transaction. */
  async changeOwners (topicId: string, owners: Owners): Promise<void> {
    this.#check(true)
    const transaction = this.begin()
    const rows = [...this.progress].filter(([, it]) => it.topicId === topicId)
    for (const [key] of rows) await this.#lock(transaction, key)
    const before = new Map(rows.map(([key, it]) => [key, this.ownerOf(it.partition)]))
    this.owners = owners
    for (const [key, it] of rows) if (before.get(key) !== this.ownerOf(it.partition)) it.epoch++
    this.#finish(transaction)
  }

  readOwned (partitions: readonly number[], generation: string): number[] {
    this.#check(false)
    return partitions.filter(it => this.ownerOf(it) === generation)
  }

  async claim (
    topic: Topic, partition: number, startOffset: bigint, generation: string
  ): Promise<Claim | OwnedElsewhere> {
    this.#check(true)
    await this.#decideHomes(topic)
    const transaction = this.begin()
    // readers of the same partition of another topic may no longer write: its rows are ours now
    const others = [...this.progress.values()].filter(it => it.partition === partition && it.topicId !== topic.topicId)
    const key = progressKey(topic.topicId, partition)
    for (const it of [...others.map(it => progressKey(it.topicId, partition)), key]) await this.#lock(transaction, it)
    if (this.ownerOf(partition) !== generation && this.#bug !== 'generation-ignored') {
      this.#world.count('stood by')
      this.#finish(transaction)
      return { ownedBy: this.ownerOf(partition) }
    }
    for (const it of others) it.epoch++
    let row = this.progress.get(key)
    if (!row) {
      row = {
        topicId: topic.topicId,
        topic: topic.name,
        partition,
        firstOffset: startOffset,
        topicPartitions: topic.partitions,
        epoch: 0n,
        nextOffset: startOffset,
        eventTimeMaxMs: -Infinity,
        updatedMs: 0,
        generation
      }
      this.progress.set(key, row)
    }
    row.epoch++
    row.generation = generation
    if (this.ownerOf(partition) !== generation) this.foreignClaims++
    row.eventTimeMaxMs = Math.max(row.eventTimeMaxMs, ...others.map(it => it.eventTimeMaxMs))
    row.updatedMs = this.#world.nowMs
    const journal = [...this.journal.values()].filter(it =>
      it.sourcePartition === partition).sort((a, b) => a.flush - b.flush)
    if (journal.length > 0) this.#world.count('journal read back')
    this.#finish(transaction)
    return {
      epoch: row.epoch,
      historyId: this.historyId,
      nextOffset: row.nextOffset,
      eventTimeMaxMs: row.eventTimeMaxMs,
      homes: this.#homes!,
      journal: this.#bug === 'journal-unread' ? [] : journal
    }
  }

  /** Homes of devices, assigned again for more partitions: then all owners are fenced. */
  async #decideHomes (topic: Topic): Promise<Homes> {
    const isKnown = () => this.#homes !== undefined && (this.#homes.topicId === topic.topicId
      ? topic.partitions <= this.#homes.partitions
      : topic.partitions === this.#homes.partitions)
    if (isKnown()) return this.#homes!
    const transaction = this.begin()
    const owners = [...this.progress]
    if (this.#bug !== 'homes-unfenced') for (const [key] of owners) await this.#lock(transaction, key)
    if (!isKnown()) {
      const horizonMs = Math.max(this.#homes?.horizonMs ?? -Infinity, ...owners.map(([, it]) => it.eventTimeMaxMs))
      if (this.#bug !== 'homes-unfenced') for (const [, it] of owners) it.epoch++
      this.#homes = { topicId: topic.topicId, partitions: topic.partitions, horizonMs }
      for (const [id, row] of this.misplaced) {
        this.misplaced.set(id, { ...row, homePartition: row.homePartition % topic.partitions })
      }
      this.#world.count('homes decided')
    }
    this.#finish(transaction)
    return this.#homes!
  }

  findGap (topic: Topic, partition: number, startOffset: bigint): Gap | undefined {
    this.#check(false)
    if (this.progress.has(progressKey(topic.topicId, partition))) return undefined
    const rows = [...this.progress.values()].sort((a, b) => b.updatedMs - a.updatedMs)
    const former = rows.find(it => it.partition === partition)?.nextOffset // there is only one topic name here
    if (former) return { kind: 'topic-recreated', partition, expectedOffset: former, availableOffset: startOffset }
    const isAdded = rows.some(it => it.topicId === topic.topicId && it.topicPartitions <= partition)
    if (!isAdded || startOffset === 0n) return undefined
    return { kind: 'offset-out-of-range', partition, expectedOffset: 0n, availableOffset: startOffset }
  }

  nameSeries (names: readonly string[]): number[] {
    this.#check(true)
    return names.map(name => {
      let id = this.seriesIds.get(name)
      if (!id) this.seriesIds.set(name, id = (this.seriesIds.size + 1) * 100) // a few share a block
      return id
    })
  }

  readElsewhere (sourcePartition: number, keys: readonly BucketKey[]): Elsewhere {
    const isElsewhere = (it: CopiedRow | CopiedFragment) => it.sourcePartition !== sourcePartition
    const rows = [...this.rows.values()].filter(it => isElsewhere(it) && it.levelIndex === 0)
    const blocks = new Set(keys.flatMap(it => [deviceBlockOf(it.seriesId), lateBlockOf(it.seriesId)]))
    const firstMs = Math.min(...keys.map(it => it.bucketMs))
    const endMs = Math.max(...keys.map(it => it.bucketMs)) + MINUTE_MS
    return {
      rows: keys.map(({ seriesId, bucketMs }) =>
        rows.filter(it => it.seriesId === seriesId && it.bucketMs === bucketMs)),
      journal: [...this.journal.values()].filter(it => isElsewhere(it) && blocks.has(it.block) &&
        it.firstMs < endMs && it.lastMs >= firstMs).map(it => it.body)
    }
  }

  readMisplaced (wanted: ReadonlyMap<number, ReadonlySet<bigint>>, limit: number): ReturnedReadings[] {
    this.#check(false)
    const names = new Map([...this.seriesIds].map(([name, id]) => [id, name.split('/')]))
    return [...this.misplaced]
      .filter(([id, { homePartition }]) => wanted.get(homePartition)?.has(id) === false)
      .slice(0, limit)
      .flatMap(([rowId, { homePartition, settledMs, seriesIds, bodies }]) => seriesIds.map((it, n) => {
        const [deviceId, deviceType, zone] = names.get(it)!
        return { homePartition, rowId, name: { deviceId, deviceType, zone }, body: bodies[n], settledMs }
      }))
  }

  readRows (keys: readonly string[]): Array<CopiedRow | undefined> {
    this.#check(false)
    return keys.map(it => this.rows.get(it))
  }

  /** First statement of a write. @returns partitions that did not move */
  async move (transaction: Transaction, topicId: string, moves: readonly ProgressMove[]): Promise<number[]> {
    this.#checkWithin(transaction)
    const inSomeOrder = [...moves].sort(() => this.#world.chance.next() - 0.5)
    if (this.#bug !== 'no-fence') {
      for (const { partition } of inSomeOrder) await this.#lock(transaction, progressKey(topicId, partition))
    }
    transaction.moves = moves
    if (this.#bug === 'offset-first') for (const move of moves) this.#apply(topicId, move, new Map())
    this.#watchIdle(transaction)
    const refused = moves.filter(move => {
      if (this.#bug === 'no-fence') return false
      if (move.historyId !== this.historyId && this.#bug !== 'history-unfenced') return true
      const row = this.progress.get(progressKey(topicId, move.partition))!
      if (this.#bug === 'offset-first') return row.epoch !== move.epoch
      return row.epoch !== move.epoch || row.nextOffset !== move.fromOffset
    })
    if (refused.length > 0) this.#world.count('write refused')
    return refused.map(it => it.partition)
  }

  /** Second statement of a write. @returns partitions whose misplaced readings are gone */
  put (transaction: Transaction, writes: readonly PartitionRows[]): number[] {
    this.#checkWithin(transaction)
    const refused = transaction.moves.filter(({ taken }) => taken.some(it => !this.misplaced.has(it)))
    if (refused.length > 0) {
      this.#world.count('misplaced readings were gone')
      return refused.map(it => it.partition)
    }
    transaction.writes = writes
    if (this.#bug === 'counted-apart') this.#count(writes)
    if (this.#bug === 'journal-early') this.#removeJournal(writes)
    if (this.#bug === 'misplaced-early') this.#addMisplaced(writes)
    this.#watchIdle(transaction)
    return []
  }

  #removeJournal (writes: readonly PartitionRows[]): void {
    for (const { move, journal } of writes) {
      for (const { block, fromFlush } of journal.removed) {
        this.#world.count(fromFlush === 0 ? 'compacted' : 'merged')
        if (this.#bug === 'compacted-twice' && fromFlush === 0) continue
        for (const [key, it] of this.journal) {
          if (it.block === block && it.sourcePartition === move.partition && it.flush >= fromFlush) {
            this.journal.delete(key)
          }
        }
      }
    }
  }

  #addMisplaced (writes: readonly PartitionRows[]): Map<number, bigint> {
    const added = new Map<number, bigint>()
    for (const row of mergeMisplaced(writes.flatMap(it => it.misplaced))) {
      this.misplaced.set(++this.#misplacedId, row)
      added.set(row.homePartition, this.#misplacedId)
      this.#world.count('misplaced readings handed over')
    }
    return added
  }

  commit (transaction: Transaction, topicId: string): void {
    this.#checkWithin(transaction)
    const added = this.#bug === 'misplaced-early' ? new Map<number, bigint>() : this.#addMisplaced(transaction.writes)
    for (const move of transaction.moves) {
      this.#apply(topicId, move, added)
      if (this.#bug !== 'misplaced-kept') for (const it of move.taken) this.misplaced.delete(it)
    }
    if (this.#bug !== 'counted-apart') this.#count(transaction.writes)
    this.#removeJournal(transaction.writes)
    for (const row of transaction.writes.flatMap(it => it.journal.rows.flatMap(decodeFragments))) {
      const key = [row.block, row.sourcePartition, row.flush].join()
      if (this.#bug === undefined && this.journal.has(key)) this.#world.fail(`row ${key} of the journal is there`)
      if (this.#bug === 'journal-lost' && this.#world.chance.happens(0.05)) continue
      this.journal.set(key, row)
      this.#world.count('journaled')
    }
    for (const { rows, daysMs } of transaction.writes) {
      for (const [index, { fresh, changed }] of rows.entries()) {
        const freshRows = fresh.flatMap(it => decodeRows(index, it))
        for (const row of freshRows) this.#checkFresh(row)
        for (const row of [...freshRows, ...changed.flatMap(it => decodeRows(index, it))]) {
          assert.ok(daysMs[index].has(bucketStartMs(DAY_MS, row.bucketMs)), 'the day of every row is told')
          this.rows.set(rowKey(row.levelIndex, row.seriesId, row.bucketMs, row.sourcePartition), row)
        }
      }
    }
    this.#finish(transaction)
  }

  /** By contract, an existing row that should be new is replaced; but here owners are never wrong. */
  #checkFresh ({ levelIndex, seriesId, bucketMs, sourcePartition, body }: CopiedRow): void {
    const key = rowKey(levelIndex, seriesId, bucketMs, sourcePartition)
    const isRepeated = this.rows.get(key)?.body.equals(body) // of a commit without offsets that was not answered
    if (this.#bug === undefined && this.rows.has(key) && !isRepeated) {
      this.#world.fail(`${key} is said to be new, and is there`)
    }
  }

  readOutcome (topicId: string, move: ProgressMove): MoveOutcome {
    this.#check(false)
    const row = this.progress.get(progressKey(topicId, move.partition))
    const isOfTaken = move.fromOffset === move.toOffset && row?.nextOffset === move.toOffset
    const outcome = !row || row.epoch !== move.epoch
      ? 'fenced'
      : isOfTaken
        ? move.taken.length === 0 || move.taken.some(
          it => this.misplaced.has(it)
        )
          ? 'not-moved'
          : 'moved'
        : row.nextOffset === move.toOffset ? 'moved' : row.nextOffset === move.fromOffset ? 'not-moved' : 'fenced'
    this.#world.count(`commit without an answer: ${outcome}`)
    return outcome
  }

  recordGap (topicId: string, gap: Gap, claim: ClaimName | undefined): boolean {
    this.#check(true)
    if (claim !== undefined && !this.#isAtGap(topicId, gap, claim)) return false
    const key = [topicId, gap.partition, gap.kind, gap.expectedOffset, gap.availableOffset].join(' ')
    if (!this.gaps.has(key)) this.#world.count(`gap: ${gap.kind}`)
    if (!this.gaps.has(key)) this.gaps.set(key, { ...gap, topicId })
    return true
  }

  async skipGap (topicId: string, gap: Gap, claim: ClaimName): Promise<boolean> {
    this.#check(true)
    const transaction = this.begin()
    const key = progressKey(topicId, gap.partition)
    await this.#lock(transaction, key)
    const isOurs = this.#isAtGap(topicId, gap, claim)
    if (isOurs) this.progress.get(key)!.nextOffset = gap.availableOffset
    this.#finish(transaction)
    return isOurs
  }

  readStanding (topicId: string, partitions: readonly number[]): CurrentClaims {
    this.#check(false)
    const rows = partitions.map(it => this.progress.get(progressKey(topicId, it))).filter(it => it !== undefined)
    return { historyId: this.historyId, epochs: new Map(rows.map(it => [it.partition, it.epoch])) }
  }

  #isAtGap (
    topicId: string, { partition, expectedOffset, availableOffset }: Gap, { epoch, historyId }: ClaimName
  ): boolean {
    const row = this.progress.get(progressKey(topicId, partition))
    if (historyId !== this.historyId && this.#bug !== 'history-unfenced') return false
    return row?.epoch === epoch && (row.nextOffset === expectedOffset || row.nextOffset === availableOffset)
  }

  #count (writes: readonly PartitionRows[]): void {
    for (const { move, arrivals, daysMs } of writes) {
      for (const row of arrivals) {
        assert.ok(daysMs[levels.length].has(bucketStartMs(DAY_MS, row.hourMs)), 'the day of every row is told')
        const key = arrivalKey(row.seriesId, row.hourMs, move.partition)
        const { late, duplicates, lateMinutes, lateThroughMs } = this.arrivals.get(key) ??
          { late: 0, duplicates: 0, lateMinutes: 0n, lateThroughMs: -Infinity }
        this.arrivals.set(key, {
          ...row,
          late: late + row.late,
          duplicates: duplicates + row.duplicates,
          lateMinutes: lateMinutes | row.lateMinutes,
          lateThroughMs: Math.max(lateThroughMs, row.lateThroughMs)
        })
      }
    }
  }

  #apply (topicId: string, move: ProgressMove, added: ReadonlyMap<number, bigint>): void {
    const { partition, toOffset, eventTimeMaxMs } = move
    this.moves.push({ topicId, ...move, homePartitions: this.#homes!.partitions, added })
    const row = this.progress.get(progressKey(topicId, partition))!
    if (toOffset < row.nextOffset) {
      this.#world.fail(`progress of partition ${partition} goes back from ${row.nextOffset} to ${toOffset}`)
    }
    row.nextOffset = toOffset
    row.eventTimeMaxMs = Math.max(row.eventTimeMaxMs, eventTimeMaxMs)
    row.updatedMs = this.#world.nowMs
  }

  #check (isWriting: boolean): void {
    if (this.isAway) throw databaseError('ECONNREFUSED', 'connect ECONNREFUSED')
    if (isWriting && this.isReadOnly) throw databaseError('25006', 'cannot execute in a read-only transaction')
  }

  #checkWithin (transaction: Transaction): void {
    transaction.statements++
    if (transaction.isOver) throw transaction.end ?? databaseError('ECONNRESET', 'read ECONNRESET')
    this.#check(true)
  }

  #watchIdle (transaction: Transaction): void {
    const { statements } = transaction
    this.#world.schedule(IDLE_IN_TRANSACTION_MAX_MS, '', () => {
      if (transaction.isOver || transaction.statements !== statements) return
      this.#world.count('transaction ended by the server')
      this.rollback(transaction, databaseError('25P03', 'terminating connection due to idle-in-transaction timeout'))
    })
  }

  async #lock (transaction: Transaction, key: string): Promise<void> {
    for (;;) {
      if (transaction.isOver) throw transaction.end ?? databaseError('ECONNRESET', 'read ECONNRESET')
      const holder = this.#holders.get(key)
      if (!holder || holder === transaction) break
      transaction.waitsFor = holder
      for (let it: Transaction | undefined = holder; it; it = it.waitsFor) {
        if (it !== transaction) continue
        this.#world.count('deadlock')
        this.#finish(transaction)
        throw databaseError('40P01', 'deadlock detected')
      }
      await new Promise<void>(resolve => { holder.over.push(resolve); transaction.over.push(resolve) })
      transaction.waitsFor = undefined
    }
    this.#holders.set(key, transaction)
    transaction.holds.add(key)
  }

  #finish (transaction: Transaction): void {
    if (transaction.isOver) return
    transaction.isOver = true
    this.#open.delete(transaction)
    for (const key of transaction.holds) this.#holders.delete(key)
    for (const tell of transaction.over.splice(0)) tell()
  }
}

export function otherGeneration (generation: string): string {
  return generation === 'blue' ? 'green' : 'blue'
}

export function progressKey (topicId: string, partition: number): string {
  return `${topicId} ${partition}`
}

export function arrivalKey (seriesId: number, hourMs: number, sourcePartition: number): string {
  return `${seriesId} ${hourMs} ${sourcePartition}`
}

export function rowKey (levelIndex: number, seriesId: number, bucketMs: number, sourcePartition: number): string {
  return `${levels[levelIndex].name} ${seriesId} ${bucketMs} ${sourcePartition}`
}
