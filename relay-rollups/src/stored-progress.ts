/**
 * How far the rollups have read each partition of a topic: table `progress`, for programs that only look at it.
 * relay-processor moves it (`progress.ts` there).
 */
import type { Database } from 'relay-common'

export interface StoredProgress {
  readonly partition: number
  /** the processor that claimed it last */
  readonly owner: string
  /** rises with each claim */
  readonly epoch: bigint
  readonly nextOffset: bigint
  /** newest time of a reading, ms since the epoch; undefined: there was none */
  readonly eventTimeMaxMs: number | undefined
  /** of the last flush, ms since the epoch by the clock of the database */
  readonly flushedMs: number
  /** since the last flush */
  readonly flushAgeMs: number
}

interface Row {
  readonly source_partition: number
  readonly owner: string
  readonly epoch: bigint
  readonly next_offset: bigint
  readonly event_time_max: number | null
  readonly updated_at: number
  readonly age_ms: number
}

const COLUMNS = `source_partition, owner, epoch, next_offset, event_time_max, updated_at,
  (extract(epoch from now() - updated_at) * 1000)::float8 as age_ms`

type ForReading = Pick<Database, 'queryPrepared'>

/** Progress of a topic by its id. A partition that nobody has claimed yet is left out. */
export async function readProgress (database: ForReading, topicId: string): Promise<StoredProgress[]> {
  return (await database.queryPrepared<Row & Record<string, unknown>>('read progress', `
    select ${COLUMNS} from progress where topic_id = $1`, [topicId])).map(fromRow)
}

/** Progress by the name of a topic. Rows of former topics with that name count only if the new one has none. */
export async function readProgressByName (database: ForReading, topic: string): Promise<StoredProgress[]> {
  return (await database.queryPrepared<Row & Record<string, unknown>>('read progress by name', `
    select distinct on (source_partition) ${COLUMNS}
    from progress where topic = $1 order by source_partition, updated_at desc`, [topic])).map(fromRow)
}

/** The next offset of each partition. */
export async function readNextOffsets (database: ForReading, topicId: string): Promise<Map<number, bigint>> {
  return new Map((await readProgress(database, topicId)).map(it => [it.partition, it.nextOffset]))
}

function fromRow (row: Row): StoredProgress {
  return {
    partition: row.source_partition,
    owner: row.owner,
    epoch: row.epoch,
    nextOffset: row.next_offset,
    eventTimeMaxMs: row.event_time_max ?? undefined,
    flushedMs: row.updated_at,
    flushAgeMs: row.age_ms
  }
}
