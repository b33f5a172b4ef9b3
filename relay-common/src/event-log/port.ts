/**
 * The event log: where devices' events wait, in order, until a processor has folded them.
 *
 * A topic has partitions; a partition is a sequence of records, each at an offset that only grows. Consumers of one
 * group share the partitions among them. The log remembers nothing about what was processed: positions live in
 * PostgreSQL, beside the rollups, and a consumer is told where to start.
 *
 * Two adapters, one contract (`test/event-log.contract.ts`): Kafka and PostgreSQL.
 */

export interface EventLog {
  readonly kind: 'kafka' | 'postgres'
  /** where the log is, for people: `kafka at 127.0.0.1:9092` */
  readonly description: string
  /**
   * Creates the topic where it is missing; leaves one that is there as it is.
   * @throws RelayError RELAY_EVENT_LOG_UNREACHABLE
   */
  ensureTopic (settings: TopicSettings): Promise<Topic>
  /** The topic as it is now; undefined where there is none. */
  describeTopic (name: string): Promise<Topic | undefined>
  /** Whether records may be dropped for newer ones of their key, before anybody has read them. */
  isCompacted (name: string): Promise<boolean>
  /** First and next offset of every partition, by partition. */
  readOffsets (name: string): Promise<PartitionOffsets[]>
  /**
   * Where the records begin that were appended at a time or later, by partition: the next offset where there are none.
   * Kafka goes by the time of the record, which may be its producer's.
   */
  findOffsets (name: string, timeMs: number): Promise<bigint[]>
  /**
   * Reads records of a partition, from one offset to before another, with all that is about them: for tools, on topics
   * that Relay writes (transactions are not looked at). Records that are gone by then are left out.
   */
  readRecords (name: string, partition: number, fromOffset: bigint, toOffset: bigint): AsyncIterable<LoggedRecord>
  openProducer (): Promise<EventProducer>
  /**
   * Opens a consumer, which joins the group.
   * @param join what it joins by, where not by a membership of its own: see `group.ts`
   * @throws RelayError RELAY_TOPIC_MISSING, RELAY_EVENT_LOG_UNREACHABLE
   */
  openConsumer (settings: ConsumerSettings, join?: JoinGroup): Promise<EventConsumer>
  /** Makes ready to join a group, for consumers that share one membership. Throws as `openConsumer` does. */
  openGroup (settings: ConsumerSettings): Promise<JoinGroup>
  close (): Promise<void>
}

export interface TopicSettings {
  readonly name: string
  readonly partitions: number
  readonly retentionMs: number
  /** -1: the broker's default; a log without replicas ignores it */
  readonly replicationFactor: number
}

export interface Topic {
  readonly name: string
  /** UUID; a topic that is deleted and made anew has another one */
  readonly topicId: string
  readonly partitions: number
}

export interface PartitionOffsets {
  readonly partition: number
  /** oldest offset that can still be read */
  readonly startOffset: bigint
  /** offset that the next record will get */
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
   * Appends records to a topic. Resolves when all of them are durable (Kafka: `acks=all`, idempotent); rejects when it
   * is not known that they are, and then some may have been written.
   * @throws RelayError RELAY_EVENT_LOG_UNREACHABLE, RELAY_TOPIC_MISSING; RELAY_RECORD_TOO_LARGE: never to be sent again
   */
  send (topic: string, records: readonly ProducedRecord[]): Promise<void>
  close (): Promise<void>
}

export interface ConsumerSettings {
  readonly topic: string
  /** consumers of one group share the partitions */
  readonly group: string
  /** stable name of this member, of nobody else's: a quick restart under the same name moves no partition */
  readonly instanceId?: string
  /** a member that was not heard of for so long loses its partitions */
  readonly sessionTimeoutMs: number
  /** most bytes that wait in memory, fetched and not yet taken */
  readonly fetchBufferMaxBytes: number
}

/**
 * What a consumer's owner learns, in order:
 *
 *     assigned ──start()──▶ records… ──▶ revoked ──release()──▶ (someone else's)
 *                              └──▶ gap (the position is not in the log; nothing more comes until start())
 *
 * `assigned` and `revoked` name only what changed. Between `revoked` and `release()` the owner may still write what it
 * holds; an owner that is too slow (or has lost its session) is told `lost` instead: there is nothing to release.
 */
export type ConsumerNews =
  | { readonly kind: 'assigned', readonly topic: Topic, readonly partitions: readonly number[] }
  | { readonly kind: 'revoked', readonly partitions: readonly number[] }
  | { readonly kind: 'lost', readonly partitions: readonly number[] }
  | { readonly kind: 'records', readonly records: RecordSet }
  | { readonly kind: 'gap', readonly partition: number, readonly expectedOffset: bigint, readonly startOffset: bigint, readonly endOffset: bigint }
  /** nothing happened within the wait */
  | { readonly kind: 'idle' }

export interface EventConsumer {
  /**
   * The next thing that happened. One call at a time. Errors that time may heal (a broker is away) are retried inside
   * and logged; they never surface as an empty partition.
   * @param waitMaxMs longest wait before `idle`
   * @param signal aborts the wait; the promise then resolves `idle`
   */
  next (waitMaxMs: number, signal?: AbortSignal): Promise<ConsumerNews>
  /** Starts (or moves) the reading of an assigned partition: the next records of it begin at `offset`. */
  start (partition: number, offset: bigint): void
  /** Gives revoked partitions up; whoever takes them over may start. */
  release (partitions: readonly number[]): Promise<void>
  /**
   * Tells the log how far this group has come, where it has a place for that (Kafka), for lag tools alone: nothing
   * reads it back. Best effort: failures are logged.
   */
  commit (nextOffsets: ReadonlyMap<number, bigint>): Promise<void>
  /**
   * Leaves the group. Partitions that were not released are up for others at once; those of a member with an
   * `instanceId` wait for it to come back, for a session timeout.
   */
  close (): Promise<void>
}

/** What a group tells its member; `assigned` comes with all that the log knows of the topic. */
export interface GroupEvents {
  /** partitions of a topic are ours; partitions of another topic of that name were revoked before */
  assigned (topic: Topic, partitions: number[]): void
  /** somebody else is to have them, once they were released */
  revoked (partitions: number[]): void
  /** somebody else may have them already */
  lost (partitions: number[]): void
  /** records were appended, or may have been while nobody listened; only some logs say so */
  appended (): void
  failed (error: unknown): void
}

/** What a member tells its group: see `EventConsumer` for what each means. */
export interface Group {
  release (partitions: readonly number[]): void
  commit (nextOffsets: ReadonlyMap<number, bigint>): Promise<void>
  close (): Promise<void>
}

/** Joins a group. Events come later, never within the call. */
export type JoinGroup = (events: GroupEvents) => Group

/** Records of one partition, as they lie in memory: walked, never turned into an object each. */
export interface RecordSet {
  readonly partition: number
  /** what `offsetDelta` counts from */
  readonly baseOffset: bigint
  /** where reading goes on behind this set; offsets without a record (control records, compaction) are passed over */
  readonly nextOffset: bigint
  /** end of the partition's log when this was fetched: `endOffset - nextOffset` is the lag */
  readonly endOffset: bigint
  readonly sizeBytes: number
  /** Shows each record once, in order of offset. Buffers are valid until the visit of the whole set ends. */
  forEach (visitor: RecordVisitor): void
}

export interface RecordVisitor {
  /**
   * Comes before the records of a batch.
   * @param appendedMs when its newest record was appended, ms since the epoch. Kafka knows the time of the record, which may be
   *   its producer's; where the record came later than that for sure, it is the latest time at which it was not there yet
   */
  batch? (appendedMs: number): void
  /**
   * @param buffer holds the record's key and value
   * @param keyStart first byte of the key; -1: no key
   * @param valueStart first byte of the value; -1: the value is null
   * @param offsetDelta the record's offset, counted from `baseOffset`
   */
  record (buffer: Buffer, keyStart: number, keyEnd: number, valueStart: number, valueEnd: number, offsetDelta: number): void
  /** A stretch of the log that can't be read (checksum or format is wrong), with its bytes as they came. */
  corrupt (bytes: Buffer, offsetDelta: number, recordCount: number, detail: string): void
}
