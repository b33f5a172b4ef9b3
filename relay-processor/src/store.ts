/**
 * The store: the database as the line uses it, with its guarantees. `postgres-store.ts` implements them.
 *
 * Progress and rollups of a partition move together, or not at all, and only for one owner. Rollups know the number of
 * their source partition, not its topic: a recreated or different topic continues the same rows.
 *
 *     claim ──▶ epoch e, offset a          every earlier owner is refused from here on
 *     write ──▶ rows, and offset a to b    if the epoch is still e and the offset still a, in the same history
 *
 * The start offset of a write is checked too: it only differs if the database lost a commit, and then the owner's
 * memory is wrong. After a restore the same epochs, offsets and ids may be given out again, so a claim is only valid in
 * one history of the database (migration 0021).
 *
 * A call that throws has had no effect that its caller must undo, and may be repeated. The error code decides whether
 * to retry (retry.ts).
 */
import type { Span } from 'relay-common'
import type { GapKind, RecordMark, Topic } from 'relay-event-log'
import type { Level, RollupRow } from 'relay-rollups'

import type { Homes } from './home.ts'

export interface Store {
  /**
   * Takes over a partition: fences its earlier owner, whatever the topic, and returns the next offset.
   * @param startOffset start of a partition that was never read
   * @returns `ownedBy`: nothing has changed, because it belongs to another generation of processors (generations.ts)
   * @throws RelayError RELAY_GROUP_REFUSED if another consumer group owns the rollups
   */
  claim (topic: Topic, partition: number, owner: string, startOffset: bigint): Promise<Claim | OwnedElsewhere>

  /** Of some partitions, those that this generation of processors may claim now. */
  readOwned (topicId: string, partitions: readonly number[]): Promise<number[]>

  /**
   * Records that are missing before a partition that was never claimed: the rest of a topic with that name that was
   * read before and then recreated, or the start of a partition that was added to a topic being read.
   * @param startOffset start of the partition in the log
   */
  findGap (topic: Topic, partition: number, startOffset: bigint): Promise<Gap | undefined>

  /**
   * Assigns ids to series, permanently and the same for all callers.
   * @param names of series, each once
   * @returns their ids, in the order of the names
   */
  nameSeries (names: readonly NewSeries[]): Promise<number[]>

  /**
   * Reads rollups of one level and source partition.
   * @returns in the order of the keys; undefined: no such row
   */
  readRows (level: Level, sourcePartition: number, keys: readonly BucketKey[]): Promise<Array<StoredRow | undefined>>

  /**
   * Reads what other source partitions have of minutes of devices, in rows and in the journal; each minute from one
   * snapshot.
   */
  readElsewhere (sourcePartition: number, keys: readonly BucketKey[]): Promise<Elsewhere>

  /**
   * Reads misplaced readings whose home is one of these partitions, the oldest first.
   * @param wanted by partition, rows to skip
   */
  readMisplaced (wanted: ReadonlyMap<number, ReadonlySet<bigint>>): Promise<ReturnedReadings[]>

  /**
   * Writes rows as absolute values, updates the journal and moves progress, for one topic, in one transaction. Data
   * without an offset may be written twice.
   * @param span of the flush, if it is traced
   */
  write (topicId: string, writes: readonly PartitionRows[], span?: Span): Promise<WriteOutcome>

  /** The outcome of a move whose write was not answered: read, never guessed. */
  readOutcome (topicId: string, move: ProgressMove): Promise<MoveOutcome>

  /**
   * Records a gap, once for any number of calls.
   * @param claim in which it was found; undefined: nobody has claimed the partition yet
   * @returns false: there is no such gap, because another owner has the partition, or its progress is elsewhere
   */
  recordGap (topic: Topic, gap: Gap, claim: ClaimName | undefined): Promise<boolean>

  /**
   * Moves the progress of a partition past a gap, if the policy is to continue.
   * @returns false: not moved, for the same reasons
   */
  skipGap (topic: Topic, gap: Gap, claim: ClaimName): Promise<boolean>

  /** The claims of partitions that hold now. */
  readStanding (topicId: string, partitions: readonly number[]): Promise<CurrentClaims>

  close (): Promise<void>
}

/** The part of a store that a flush uses. */
export type RollupStore = Pick<Store, 'nameSeries' | 'readRows' | 'readElsewhere' | 'write' | 'readOutcome'>

/** Identifies a claim of a partition. */
export interface ClaimName {
  readonly epoch: bigint
  /** of the database */
  readonly historyId: string
}

export interface CurrentClaims {
  /** current history of the database; null: it has no name yet, so no claim belongs to it */
  readonly historyId: string | null
  /** by partition */
  readonly epochs: ReadonlyMap<number, bigint>
}

export interface Claim extends ClaimName {
  readonly nextOffset: bigint
  /** the last record that was read before, if known: see `EventConsumer.start` */
  readonly lastRecord?: RecordMark | undefined
  /** newest event time that rows of this source partition may have, of any topic, ms; -Infinity: there are none */
  readonly eventTimeMaxMs: number
  /** homes of devices, valid during this claim */
  readonly homes: Homes
  /** the journal of the source partition, in the order of its flushes */
  readonly journal: readonly StoredFragment[]
}

/** The refusal of a claim. */
export interface OwnedElsewhere {
  /** the generation that may claim the partition */
  readonly ownedBy: string
}

/** A row of the journal. */
export interface StoredFragment {
  readonly block: number
  /** ascending */
  readonly flush: number
  readonly body: Buffer
}

/** Misplaced readings of one series that reached their home. */
export interface ReturnedReadings {
  readonly homePartition: number
  /** of their row, which has other series as well */
  readonly rowId: bigint
  readonly name: SeriesName & { readonly deviceId: string }
  /** for `decodeMisplaced` */
  readonly body: Buffer
  /** event time that the partition of their arrival had settled before, ms */
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
  /** the partition in which its readings count: its series get neighbouring ids */
  readonly idsOf: number
}

export interface BucketKey {
  readonly seriesId: number
  readonly bucketMs: number
}

/** The columns of a row besides its key. */
export type StoredRow = Pick<RollupRow, 'count' | 'min' | 'max' | 'body'>

/** What other source partitions have of some minutes. */
export interface Elsewhere {
  /** of each minute, in the order of the keys */
  readonly rows: ReadonlyArray<readonly StoredRow[]>
  /** rows of the journal that may contain some of them, of any time and series; may repeat */
  readonly journal: readonly Buffer[]
}

export interface ProgressMove extends ClaimName {
  readonly partition: number
  readonly fromOffset: bigint
  readonly toOffset: bigint
  /** the last record before `toOffset`, if the log is recognized by it */
  readonly lastRecord?: RecordMark | undefined
  readonly eventTimeMaxMs: number
  /** rows of misplaced readings that are now among these rows, and are removed */
  readonly taken: readonly bigint[]
}

/** Late readings and duplicates of a series in an hour (late-counts.ts), added to the stored counts. */
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
  /** event time that the partition of their arrival had settled before, ms: readings of earlier minutes are late */
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
  /** series and buckets with new readings */
  readonly announcedCount: number
  readonly journal: JournalChanges
  readonly arrivals: readonly ArrivalRow[]
  /** readings that count in other partitions */
  readonly misplaced: readonly MisplacedRow[]
  /** by index of the level, then for `arrivals`: the start of each day with buckets of these rows */
  readonly daysMs: ReadonlyArray<ReadonlySet<number>>
}

/** Changes of a partition's journal in a flush: removals come first, then additions. */
export interface JournalChanges {
  /** all rows of a block from this flush on */
  readonly removed: ReadonlyArray<{ readonly block: number, readonly fromFlush: number }>
  /** whole rows from `encodeJournalRow` */
  readonly rows: readonly Buffer[]
}

/** Rows of one level, each series and bucket once: whole rows from a RowEncoder (copy-rows.ts). */
export interface LevelRows {
  /** rows whose keys the store does not have, as far as the writer knows; an existing one is replaced */
  readonly fresh: readonly Buffer[]
  /** rows that replace existing ones */
  readonly changed: readonly Buffer[]
  /** by start of the bucket, series with new readings; incomplete if they are more than SERIES_NAMED_MAX */
  readonly seriesOfBuckets: ReadonlyMap<number, readonly number[]>
}

export type WriteOutcome =
  | { readonly kind: 'committed' }
  /**
   * nothing was written: these partitions have another owner, other progress, or the database is of another history,
   * this one
   */
  | { readonly kind: 'refused', readonly partitions: readonly number[], readonly historyId: string | null }
  /** the commit was sent and not answered: everything, nothing, or everything later is written */
  | { readonly kind: 'unknown', readonly error: unknown }

export type MoveOutcome = 'moved' | 'not-moved' | 'fenced'

export interface Gap {
  readonly kind: GapKind
  readonly partition: number
  readonly expectedOffset: bigint
  readonly availableOffset: bigint
}
