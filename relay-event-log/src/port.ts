/**
 * The event log: where events of devices wait, in order, until a processor has folded them.
 *
 * A topic has partitions. A partition is a sequence of records, with ascending offsets. Consumers of a group share the
 * partitions. The log does not store progress: that is in PostgreSQL, beside the rollups, and a consumer gets its start
 * offset.
 *
 * Two adapters, one contract (`test/event-log.contract.ts`): Kafka and PostgreSQL.
 */

import type { GapKind } from './gap-kinds.ts'

export interface EventLog {
  readonly kind: 'kafka' | 'postgres'
  /** address of the log, for people: `kafka at 127.0.0.1:9092` */
  readonly description: string
  /**
   * Creates a topic if it is missing; does not change an existing one.
   * @throws RelayError RELAY_EVENT_LOG_UNREACHABLE
   */
  ensureTopic (settings: TopicSettings): Promise<Topic>
  /** The topic as it is now; undefined if there is none. */
  describeTopic (name: string): Promise<Topic | undefined>
  /** Whether a newer record of the same key may replace records before they are read. */
  isCompacted (name: string): Promise<boolean>
  /** First and next offset, by partition. */
  readOffsets (name: string): Promise<PartitionOffsets[]>
  /**
   * By partition, the first record that was appended at a time or later; the next offset if there is none. Kafka uses
   * the time of the record, which may be its producer's.
   */
  findOffsets (name: string, timeMs: number): Promise<bigint[]>
  /**
   * Reads records of a partition, from one offset to before another, with their metadata: for tools, on topics that
   * Relay writes (transactions are ignored). Deleted records are skipped.
   */
  readRecords (name: string, partition: number, fromOffset: bigint, toOffset: bigint): AsyncIterable<LoggedRecord>
  openProducer (): Promise<EventProducer>
  /**
   * Opens a consumer, which joins the group.
   * @param join how it joins, if not by its own membership: see `split-group.ts`
   * @throws RelayError RELAY_TOPIC_MISSING, RELAY_EVENT_LOG_UNREACHABLE
   */
  openConsumer (settings: ConsumerSettings, join?: JoinGroup): Promise<EventConsumer>
  /** Prepares to join a group, for consumers that share one membership. Throws like `openConsumer`. */
  openGroup (settings: ConsumerSettings): Promise<JoinGroup>
  close (): Promise<void>
}

export interface TopicSettings {
  readonly name: string
  readonly partitions: number
  readonly retentionMs: number
  /** -1: the default of the broker; ignored by a log without replicas */
  readonly replicationFactor: number
}

export interface Topic {
  readonly name: string
  /** UUID; a recreated topic has another one */
  readonly topicId: string
  readonly partitions: number
}

export interface PartitionOffsets {
  readonly partition: number
  /** oldest readable offset */
  readonly startOffset: bigint
  /** offset of the next record */
  readonly endOffset: bigint
}

export interface ProducedRecord {
  /** records of one key stay in order, in one partition; null: any partition */
  readonly key: string | Buffer | null
  readonly value: string | Buffer | null
  readonly headers?: Readonly<Record<string, string>>
}

export interface LoggedRecord {
  readonly partition: number
  readonly offset: bigint
  /** ms since the epoch; with Kafka the time of the record, which may be its producer's */
  readonly appendedMs: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: Readonly<Record<string, string>>
}

export interface EventProducer {
  /**
   * Appends records to a topic. Resolves when all are durable (Kafka: `acks=all`, idempotent). Rejects if that is
   * unknown; some may have been written.
   * @throws RelayError RELAY_EVENT_LOG_UNREACHABLE, RELAY_TOPIC_MISSING; RELAY_RECORD_TOO_LARGE: do not retry
   */
  send (topic: string, records: readonly ProducedRecord[]): Promise<void>
  close (): Promise<void>
}

/** How far and how often a consumer reads ahead. */
export interface ReadSettings {
  /** most fetched bytes that wait in memory */
  readonly fetchBufferMaxBytes: number
  /**
   * called when everything was read that the log had: time until it is read again, ms, for owners that take their
   * records in turns. A second at most
   */
  readonly readDelayMs?: () => number
}

export interface ConsumerSettings extends ReadSettings {
  readonly topic: string
  /** consumers of one group share the partitions */
  readonly group: string
  /** stable and unique name of this member: a quick restart with the same name moves no partition */
  readonly instanceId?: string
  /** a silent member loses its partitions after this time */
  readonly sessionTimeoutMs: number
}

/**
 * News for the owner of a consumer, in order:
 *
 *     assigned ──start()──▶ records… ──▶ revoked ──release()──▶ (someone else's)
 *                              └──▶ gap (records are missing; nothing more comes until start())
 *
 * `assigned` and `revoked` only name changes. Between `revoked` and `release()` the owner may still write what it
 * holds. An owner that is too slow, or lost its session, gets `lost` instead, and has nothing to release.
 */
export type ConsumerNews =
  | { readonly kind: 'assigned', readonly topic: Topic, readonly partitions: readonly number[] }
  | { readonly kind: 'revoked', readonly partitions: readonly number[] }
  | { readonly kind: 'lost', readonly partitions: readonly number[] }
  | { readonly kind: 'records', readonly records: RecordSet }
  | {
    readonly kind: 'gap',
    /** what was found: the position is not in the log, or the log has other records before it than were read */
    readonly gap: Exclude<GapKind, 'topic-recreated'>,
    readonly partition: number,
    readonly expectedOffset: bigint,
    readonly startOffset: bigint,
    readonly endOffset: bigint
  }
  /** nothing happened within the wait */
  | { readonly kind: 'idle' }

export interface EventConsumer {
  /**
   * The next news. One call at a time. Temporary errors, such as an unreachable broker, are retried inside and logged;
   * they never look like an empty partition.
   * @param waitMaxMs longest wait before `idle`
   * @param signal aborts the wait; the promise then resolves to `idle`
   */
  next (waitMaxMs: number, signal?: AbortSignal): Promise<ConsumerNews>
  /**
   * Starts (or moves) the reading of an assigned partition at `offset`.
   * @param read the last record that was read before: if the log has another one in its place, now or when it is back
   *   after an interruption, that is a gap. Ignored by a log that is never restored apart from progress
   */
  start (partition: number, offset: bigint, read?: RecordMark): void
  /** Releases revoked partitions; their next owner may start. */
  release (partitions: readonly number[]): Promise<void>
  /**
   * Commits offsets of the group, if the log can store them (Kafka). Only lag tools read them. Best effort: failures
   * are logged.
   */
  commit (nextOffsets: ReadonlyMap<number, bigint>): Promise<void>
  /**
   * Leaves the group. Unreleased partitions are free for others at once; those of a member with an `instanceId` wait
   * for its return, for a session timeout.
   */
  close (): Promise<void>
}

/** Events of a group for its member; `assigned` comes with everything known about the topic. */
export interface GroupEvents {
  /** partitions of a topic were assigned; those of an older topic with the same name were revoked before */
  assigned (topic: Topic, partitions: number[]): void
  /** another member gets them after their release */
  revoked (partitions: number[]): void
  /** another member may have them already */
  lost (partitions: number[]): void
  /** records were, or may have been, appended; only some logs report this */
  appended (): void
  failed (error: unknown): void
}

/** Calls of a member to its group: see `EventConsumer` for their meaning. */
export interface GroupMembership {
  release (partitions: readonly number[]): void
  commit (nextOffsets: ReadonlyMap<number, bigint>): Promise<void>
  close (): Promise<void>
}

/** Joins a group. Events come later, never during the call. */
export type JoinGroup = (events: GroupEvents) => GroupMembership

/** A record that was read, for recognizing a log that has another one in its place. */
export interface RecordMark {
  readonly offset: bigint
  /** CRC-32C of its value; 0: it has none */
  readonly valueCrc: number
}

/** Records of one partition in memory: walked, without an object per record. */
export interface RecordSet {
  readonly partition: number
  /** `offsetDelta` is relative to this */
  readonly baseOffset: bigint
  /** where reading continues after this set; offsets without a record (control records, compaction) are skipped */
  readonly nextOffset: bigint
  /** end of the partition's log at the time of the fetch: `endOffset - nextOffset` is the lag */
  readonly endOffset: bigint
  readonly sizeBytes: number
  /** the last readable record; undefined: there is none, or the log is never restored apart from progress */
  readonly lastRecord?: RecordMark | undefined
  /** Visits each record once, in order of offset. Buffers are valid until the visit of the whole set ends. */
  forEach (visitor: RecordVisitor): void
}

export interface RecordVisitor {
  /**
   * Comes before the records of a batch.
   * @param appendedMs when its newest record was appended, ms since the epoch. With Kafka it is the time of the record,
   *   which may be its producer's. If the record is known to be newer, it is the latest time at which it was not there
   *   yet
   */
  batch? (appendedMs: number): void
  /**
   * @param buffer holds key and value of the record
   * @param keyStart first byte of the key; -1: no key
   * @param valueStart first byte of the value; -1: the value is null
   * @param offsetDelta offset of the record, relative to `baseOffset`
   */
  record (
    buffer: Buffer, keyStart: number, keyEnd: number, valueStart: number, valueEnd: number, offsetDelta: number
  ): void
  /**
   * Comes after a record with headers, and only then.
   * @param find value of a header, as text; undefined: the record has no such header. Valid during the visit
   */
  headers? (find: (name: string) => string | undefined, offsetDelta: number): void
  /** An unreadable part of the log (wrong checksum or format), with its original bytes. */
  corrupt (bytes: Buffer, offsetDelta: number, recordCount: number, detail: string): void
}
