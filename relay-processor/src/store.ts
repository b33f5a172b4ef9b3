/**
 * The store: what the line asks of the database, and what it may rely on. `postgres-store.ts` keeps these promises.
 *
 * Progress and rollups of a partition move together, or not at all, and for one owner alone. Rollups know the number of
 * their source partition and not its topic: a topic that was made anew, or another one, goes on in the same rows.
 *
 *     claim ──▶ epoch e, offset a          every earlier owner is refused from here on
 *     write ──▶ rows, and offset a to b    if the epoch is still e and the offset still a, in the same history
 *
 * The offset that a write comes from is checked as well: it differs only if the database has lost a commit, and then
 * what the owner holds in memory is no longer what it has. After a restore the same epoch and offset may be those of before,
 * and ids of series and of misplaced readings others: so a claim holds in one history of the database alone (migration 0021).
 *
 * A call that throws has done nothing that its caller would have to undo, and may be made again. Whether that is worth
 * the while, the error tells (retry.ts).
 */
import type { GapKind, Level, RollupRow, Topic } from 'relay-common'

import type { Homes } from './home.ts'

export interface Store {
  /**
   * Takes a partition over: fences whoever had it, in whatever topic, and says where to go on.
   * @param startOffset where a partition begins that was never read before
   * @throws RelayError RELAY_GROUP_REFUSED: the rollups are another consumer group's
   */
  claim (topic: Topic, partition: number, owner: string, startOffset: bigint): Promise<Claim>

  /**
   * What is missing in front of a partition that was never claimed: the rest of a topic of that name that was read
   * before and then made anew, or the beginning of a partition that was added to a topic which was read already.
   * @param startOffset where the partition begins in the log
   */
  findGap (topic: Topic, partition: number, startOffset: bigint): Promise<Gap | undefined>

  /**
   * Gives a series its id, the same one to whoever asks, for ever.
   * @param names of series, each once
   * @returns their ids, in the order of the names
   */
  nameSeries (names: readonly NewSeries[]): Promise<number[]>

  /**
   * Reads rollups of one level and source partition.
   * @returns in the order of the keys; undefined: there is no such row
   */
  readRows (level: Level, sourcePartition: number, keys: readonly BucketKey[]): Promise<Array<StoredRow | undefined>>

  /**
   * Reads what other source partitions have of minutes of devices, in rows and in the journal, of one moment for each minute.
   */
  readElsewhere (sourcePartition: number, keys: readonly BucketKey[]): Promise<Elsewhere>

  /**
   * Reads misplaced readings whose home is one of these partitions; of many, those that came first.
   * @param wanted by partition, rows that are left out
   */
  readMisplaced (wanted: ReadonlyMap<number, ReadonlySet<bigint>>): Promise<ReturnedReadings[]>

  /**
   * Writes rows as absolute values, brings the journal up to date and moves progress, of one topic: all of it in one
   * transaction, or nothing. What moves no offset may be written twice.
   */
  write (topicId: string, writes: readonly PartitionRows[]): Promise<WriteOutcome>

  /** What became of a move whose write was not answered: read, never guessed. */
  readOutcome (topicId: string, move: ProgressMove): Promise<MoveOutcome>

  /**
   * Writes a gap down, once, however often it is met.
   * @param claim in which it was met; undefined: nobody has claimed the partition yet
   * @returns false: there is no such gap, as another owner has the partition, or its progress is elsewhere
   */
  recordGap (topic: Topic, gap: Gap, claim: ClaimName | undefined): Promise<boolean>

  /**
   * Moves a partition's progress over a gap, when policy says to go on.
   * @returns false: not moved, for the same reasons
   */
  skipGap (topic: Topic, gap: Gap, claim: ClaimName): Promise<boolean>

  /** Which claims of partitions hold now. */
  readStanding (topicId: string, partitions: readonly number[]): Promise<Standing>

  close (): Promise<void>
}

/** What a flush asks of a store. */
export type RollupStore = Pick<Store, 'nameSeries' | 'readRows' | 'readElsewhere' | 'write' | 'readOutcome'>

/** Which claim of a partition it is. */
export interface ClaimName {
  readonly epoch: bigint
  /** of the database */
  readonly historyId: string
}

export interface Standing {
  /** that the database is in; null: it has no name yet, so it is none that anybody has claimed in */
  readonly historyId: string | null
  /** by partition */
  readonly epochs: ReadonlyMap<number, bigint>
}

export interface Claim extends ClaimName {
  readonly nextOffset: bigint
  /** newest event time that rows of this source partition may have, of whatever topic, ms; -Infinity: there are none */
  readonly eventTimeMaxMs: number
  /** where devices are at home, as long as this claim holds */
  readonly homes: Homes
  /** what the source partition has in the journal, in the order of its flushes */
  readonly journal: readonly StoredFragment[]
}

/** A row of the journal. */
export interface StoredFragment {
  readonly block: number
  /** counts up */
  readonly flush: number
  readonly body: Buffer
}

/** Misplaced readings of one series that have come home. */
export interface ReturnedReadings {
  readonly homePartition: number
  /** of the row that they are in, which has other series as well */
  readonly rowId: bigint
  readonly name: SeriesName & { readonly deviceId: string }
  /** for `decodeMisplaced` */
  readonly body: Buffer
  /** event time that the partition they came by had settled before, ms */
  readonly settledMs: number
}

export interface SeriesName {
  /** null: the group of all devices of this type and zone */
  readonly deviceId: string | null
  readonly deviceType: string
  readonly zone: string
}

/** A series that may have no id yet. */
export interface NewSeries extends SeriesName {
  /** the partition that its readings count in: those of one get ids beside each other */
  readonly idsOf: number
}

export interface BucketKey {
  readonly seriesId: number
  readonly bucketMs: number
}

/** What a row has besides its key. */
export type StoredRow = Pick<RollupRow, 'count' | 'min' | 'max' | 'body'>

/** What other source partitions have of some minutes. */
export interface Elsewhere {
  /** of each minute, in the order of the keys */
  readonly rows: ReadonlyArray<readonly StoredRow[]>
  /** rows of the journal that may have something of them, of all times and series; a row may be there several times */
  readonly journal: readonly Buffer[]
}

export interface ProgressMove extends ClaimName {
  readonly partition: number
  readonly fromOffset: bigint
  readonly toOffset: bigint
  readonly eventTimeMaxMs: number
  /** rows of misplaced readings that are among these rows now, and are removed */
  readonly taken: readonly bigint[]
}

/** What came late or again in an hour of a series (late-counts.ts): added to what the store has. */
export interface ArrivalRow {
  readonly seriesId: number
  readonly hourMs: number
  readonly late: number
  readonly duplicates: number
  readonly lateMinutes: bigint
  readonly lateThroughMs: number
}

/** Readings on their way to one home. */
export interface MisplacedRow {
  readonly homePartition: number
  readonly firstMs: number
  /** event time that the partition they came by had settled before, ms: readings of minutes before that came late */
  readonly settledMs: number
  readonly readings: number
  readonly seriesIds: readonly number[]
  /** by series */
  readonly bodies: readonly Buffer[]
}

/** What one partition writes. */
export interface PartitionRows {
  readonly move: ProgressMove
  /** by index of the level */
  readonly rows: readonly LevelRows[]
  readonly rowCount: number
  /** series and buckets that have something new */
  readonly announcedCount: number
  readonly journal: JournalChanges
  readonly arrivals: readonly ArrivalRow[]
  /** readings that count in other partitions */
  readonly misplaced: readonly MisplacedRow[]
  /** by index of the level, and behind them for `arrivals`: the days, by their start, on which buckets of these rows begin */
  readonly daysMs: ReadonlyArray<ReadonlySet<number>>
}

/** What a flush makes of the journal of its partition: first something is removed, then rows are added. */
export interface JournalChanges {
  /** of a block, all rows from this flush on */
  readonly removed: ReadonlyArray<{ readonly block: number, readonly fromFlush: number }>
  /** whole rows as `encodeJournalRow` makes them */
  readonly rows: readonly Buffer[]
}

/** Rows of one level, each series and bucket once; whole rows as a RowEncoder makes them (copy-rows.ts). */
export interface LevelRows {
  /** the store has no row of these keys, as far as the writer knows. Where it has one all the same, that is replaced */
  readonly fresh: readonly Buffer[]
  /** in place of what the store has */
  readonly changed: readonly Buffer[]
  /** by start of the bucket, series that have something new in it; some are left out where they are more than SERIES_NAMED_MAX */
  readonly seriesOfBuckets: ReadonlyMap<number, readonly number[]>
}

export type WriteOutcome =
  | { readonly kind: 'committed' }
  /**
   * nothing was written: these partitions have another owner by now, their progress is not where they come from, or the
   * database is of another history, namely of this one
   */
  | { readonly kind: 'refused', readonly partitions: readonly number[], readonly historyId: string | null }
  /** the commit was sent and not answered: all is written, or nothing, or it may yet be */
  | { readonly kind: 'unknown', readonly error: unknown }

export type MoveOutcome = 'moved' | 'not-moved' | 'fenced'

export interface Gap {
  readonly kind: GapKind
  readonly partition: number
  readonly expectedOffset: bigint
  readonly availableOffset: bigint
}
