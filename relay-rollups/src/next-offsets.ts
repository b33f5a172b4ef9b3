/** The next offset of each partition, as the rollups in the database have it (table `progress`). */
import type { Database } from 'relay-common'

export async function readNextOffsets (
  database: Pick<Database, 'queryPrepared'>, topicId: string
): Promise<Map<number, bigint>> {
  const rows = await database.queryPrepared<{ source_partition: number, next_offset: bigint }>('next offsets',
    'select source_partition, next_offset from progress where topic_id = $1', [topicId])
  return new Map(rows.map(it => [it.source_partition, it.next_offset]))
}
