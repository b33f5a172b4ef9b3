/**
 * Progress and gaps in the database: how far each partition was read into the rollups, and who may move it (store.ts).
 */
import type { Database, PoolClient } from 'relay-common'
import type { EventLog, Topic } from 'relay-event-log'

import { holdOwner } from './generations.ts'
import { areMisplaced, holdHomes, toTimestamp } from './homes.ts'
import { readStoredJournal } from './journal-rows.ts'
import { holdProgressGroup, type ProgressGroup } from './progress-group.ts'
import type {
  Claim, ClaimName, CurrentClaims, Gap, MoveOutcome, OwnedElsewhere, ProgressMove
} from './store.ts'

/** The source, the group and the generation of a store. */
export interface StoreSettings extends ProgressGroup {
  readonly generation: string
  /** of the event log */
  readonly kind: EventLog['kind']
}

/** Takes over a partition (store.ts). Rows only know the number of their partition, not its topic. */
export async function claimPartition (
  database: Database, { kind, generation, ...group }: StoreSettings, topic: Topic, partition: number, owner: string,
  startOffset: bigint
): Promise<Claim | OwnedElsewhere> {
  const [{ history_id: historyId }] = await database.query<{ history_id: string }>(
    'select ensure_history() as history_id'
  )
  return await database.transaction(async client => {
    await holdProgressGroup(client, group)
    const ownedBy = await holdOwner(client, topic, partition, generation)
    if (ownedBy !== generation) return { ownedBy }
    const homes = await holdHomes(client, topic)
    const claimed = await raiseEpoch(client, kind, topic, partition, owner, startOffset)
    await forgetClaims(client, topic, partition, startOffset)
    // nobody else may write there now
    return { ...claimed, historyId, homes, journal: await readStoredJournal(client, partition) }
  })
}

/** Removes claims of which the log has no records any more. */
async function forgetClaims (
  client: PoolClient, { topicId }: Topic, partition: number, startOffset: bigint
): Promise<void> {
  await client.query(`
    delete from progress_claims
    where topic_id = $1 and source_partition = $2 and epoch < (
      select max(epoch) from progress_claims where topic_id = $1 and source_partition = $2 and from_offset <= $3)`,
  [topicId, partition, startOffset])
}

/** Raises the epoch, which fences the owner before: its moves no longer match. */
async function raiseEpoch (
  client: PoolClient, kind: EventLog['kind'], topic: Topic, partition: number, owner: string, startOffset: bigint
): Promise<Omit<Claim, 'historyId' | 'homes' | 'journal'>> {
  const { rows: [row] } = await client.query<{
    epoch: bigint, next_offset: bigint, event_time_max: number | null, last_record: bigint | null, value_crc: bigint
  }>(`
    with others as (
      update progress set epoch = epoch + 1 where source_partition = $2 and topic_id <> $1 returning event_time_max)
    insert into progress
      (topic_id, source_partition, event_log, topic, epoch, owner, next_offset, topic_partitions, event_time_max)
    select $1::uuid, $2::integer, $3, $4, 1, $5, $6::bigint, $7::integer, max(event_time_max) from others
    on conflict (topic_id, source_partition) do update
      set epoch = progress.epoch + 1, owner = excluded.owner, updated_at = now(),
        event_time_max = greatest(progress.event_time_max, excluded.event_time_max)
    returning epoch, next_offset, event_time_max, last_record_value_crc as value_crc,
      case when last_record_next_offset = next_offset then last_record_offset end as last_record`,
  [topic.topicId, partition, kind, topic.name, owner, startOffset, topic.partitions])
  return {
    epoch: row.epoch,
    nextOffset: row.next_offset,
    lastRecord: row.last_record === null ? undefined : { offset: row.last_record, valueCrc: Number(row.value_crc) },
    eventTimeMaxMs: row.event_time_max ?? -Infinity
  }
}

/** Moves a partition to an offset for whoever claims it next: the owner before is fenced. */
export async function setNextOffset (
  client: PoolClient, kind: EventLog['kind'], topic: Topic, partition: number, owner: string, nextOffset: bigint
): Promise<void> {
  await raiseEpoch(client, kind, topic, partition, owner, nextOffset)
  await client.query(`
    update progress set next_offset = $3, last_record_next_offset = null
    where topic_id = $1 and source_partition = $2`, [topic.topicId, partition, nextOffset])
}

/**
 * Moves the progress of partitions, in the transaction of their rollups.
 * @returns the partitions that did not move: fenced, different from the database, or claimed in another history
 */
export async function moveProgress (
  client: PoolClient, topicId: string, moves: readonly ProgressMove[]
): Promise<number[]> {
  const refused: number[] = []
  for (let n = 0; n < moves.length; n += MOVES_MAX) {
    refused.push(...await moveSome(client, topicId, moves.slice(n, n + MOVES_MAX)))
  }
  return refused
}

/** PostgreSQL may compare each move of a statement with each row, so both are few. */
const MOVES_MAX = 16

async function moveSome (client: PoolClient, topicId: string, moves: readonly ProgressMove[]): Promise<number[]> {
  const { rows } = await client.query<{ source_partition: number }>(`
    update progress p
    set next_offset = m.to_offset, event_time_max = greatest(p.event_time_max, m.event_time_max), updated_at = now(),
      last_record_offset = m.last_record, last_record_value_crc = m.value_crc, last_record_next_offset = m.to_offset
    from unnest($2::integer[], $3::bigint[], $4::bigint[], $5::bigint[], $6::timestamptz[], $7::text[], $8::bigint[],
        $9::bigint[])
      as m (source_partition, epoch, from_offset, to_offset, event_time_max, history_id, last_record, value_crc)
    where p.topic_id = $1 and p.source_partition = any ($2::integer[]) and p.source_partition = m.source_partition
      and p.epoch = m.epoch and p.next_offset = m.from_offset and m.history_id = (select history_id from current_history)
    returning p.source_partition`,
  [topicId, moves.map(it => it.partition), moves.map(it => it.epoch), moves.map(it => it.fromOffset),
    moves.map(it => it.toOffset), moves.map(it => toTimestamp(it.eventTimeMaxMs)), moves.map(it => it.historyId),
    moves.map(it => it.lastRecord?.offset), moves.map(it => it.lastRecord?.valueCrc)])
  const moved = new Set(rows.map(it => it.source_partition))
  return moves.map(it => it.partition).filter(it => !moved.has(it))
}

/** The outcome of a move whose COMMIT was not answered: read, never guessed. */
export async function readOutcome (database: Database, topicId: string, move: ProgressMove): Promise<MoveOutcome> {
  const [row] = await database.query<{ epoch: bigint, next_offset: bigint }>(
    'select epoch, next_offset from progress where topic_id = $1 and source_partition = $2', [topicId, move.partition])
  if (!row || row.epoch !== move.epoch) return 'fenced'
  // only readings that reached their home, or compaction
  if (move.fromOffset === move.toOffset && row.next_offset === move.toOffset) {
    if (move.taken.length === 0) return 'not-moved' // unknown, but writing the same again does no harm
    return await areMisplaced(database, move) ? 'not-moved' : 'moved'
  }
  if (row.next_offset === move.toOffset) return 'moved'
  return row.next_offset === move.fromOffset ? 'not-moved' : 'fenced'
}

/**
 * Records a gap (store.ts).
 * @param claim required claim of the partition; undefined: not claimed yet
 */
export async function recordGap (
  database: Database, topic: Topic, gap: Gap, claim: ClaimName | undefined
): Promise<boolean> {
  const rows = await database.query(`
    with owned as (
      select where $7::bigint is null or exists (
        select from progress
        where topic_id = $1 and source_partition = $3 and epoch = $7 and next_offset in ($5, $6)
          and $8 = (select history_id from current_history))),
    recorded as (
      insert into gaps (topic_id, topic, source_partition, kind, expected_offset, available_offset)
      select $1, $2, $3, $4, $5, $6 from owned on conflict do nothing)
    select from owned`,
  [
    topic.topicId, topic.name, gap.partition, gap.kind, gap.expectedOffset, gap.availableOffset, claim?.epoch,
    claim?.historyId
  ])
  return rows.length > 0
}

/** Records that are missing before a partition that was never claimed (store.ts). */
export async function findGap (
  database: Database, kind: EventLog['kind'], topic: Topic, partition: number, startOffset: bigint
): Promise<Gap | undefined> {
  const [row] = await database.query<{ former: bigint | null, is_added: boolean }>(`
    select
      (select next_offset from progress
        where event_log = $1 and topic = $2 and source_partition = $3 and topic_id <> $4
        order by updated_at desc limit 1) as former,
      exists (select from progress where topic_id = $4 and topic_partitions <= $3) as is_added
    where not exists (select from progress where topic_id = $4 and source_partition = $3)`,
  [kind, topic.name, partition, topic.topicId])
  if (row?.former) {
    return { kind: 'topic-recreated', partition, expectedOffset: row.former, availableOffset: startOffset }
  }
  if (!row?.is_added || startOffset === 0n) return undefined
  return { kind: 'offset-out-of-range', partition, expectedOffset: 0n, availableOffset: startOffset }
}

/** Moves progress past a gap (store.ts). */
export async function skipGap (database: Database, topic: Topic, gap: Gap, claim: ClaimName): Promise<boolean> {
  const rows = await database.query(`
    update progress set next_offset = $5, last_record_next_offset = null, updated_at = now()
    where topic_id = $1 and source_partition = $2 and epoch = $3 and next_offset in ($4, $5)
      and $6 = (select history_id from current_history)
    returning source_partition`,
  [topic.topicId, gap.partition, claim.epoch, gap.expectedOffset, gap.availableOffset, claim.historyId])
  return rows.length > 0
}

/** The claims that hold now (store.ts). */
export async function readStanding (
  database: Pick<Database, 'queryPrepared'>, topicId: string, partitions: readonly number[]
): Promise<CurrentClaims> {
  const rows = await database.queryPrepared<{
    history_id: string | null, source_partition: number | null, epoch: bigint
  }>('read standing', `
    select history_id, p.source_partition, p.epoch
    from (select (select history_id from current_history) as history_id) h
    left join progress p on p.topic_id = $1 and p.source_partition = any($2::integer[])`, [topicId, partitions])
  const claimed = rows.filter(it => it.source_partition !== null)
  return { historyId: rows[0].history_id, epochs: new Map(claimed.map(it => [it.source_partition!, it.epoch])) }
}
