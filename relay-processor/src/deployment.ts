/**
 * Deployments: which generation of processors owns which partitions (migration 0030), and the steps that change it.
 *
 *     standby ──startCanary──▶ canary ──promote──▶ active, and the one before stands by
 *                                 └──giveBack──▶ aborting ──rows are rebuilt (canary-range.ts)──▶ endAbort: standby
 *
 * Each step is one transaction, which also fences the owners of all partitions that change hands. So a kill leaves
 * either the state before or the state after. From `giveBack` on the active generation reads on; an abort that was
 * killed is repeated.
 */
import { readPrograms, RelayError, type Database, type PoolClient } from 'relay-common'
import type { Topic } from 'relay-event-log'

export interface Generation {
  readonly name: string
  readonly state: 'active' | 'canary' | 'aborting' | 'standby'
  readonly sinceMs: number
}

/** A partition since the start of a canary. */
export interface NotedPartition {
  readonly partition: number
  readonly topicId: string
  /** false: it stayed with the active generation */
  readonly isCanary: boolean
  readonly fromOffset: bigint
  readonly fromEpoch: bigint
  /** event time of the oldest reading in its journal, or on its way home, at the start, ms; Infinity: none */
  readonly oldestMs: number
  /** when it was given back; undefined: not yet */
  readonly toOffset: bigint | undefined
}

export interface Canary {
  readonly generation: string
  readonly state: 'canary' | 'aborting'
  readonly startedMs: number
  readonly partitions: readonly NotedPartition[]
}

export interface Deployment {
  /** undefined: nothing was claimed yet */
  readonly active: string | undefined
  readonly generations: readonly Generation[]
  readonly canary: Canary | undefined
}

/** Processors that run, by the generation that they report. */
export interface RunningProcessor {
  readonly instance: string
  readonly version: string
  readonly startedMs: number
  /** undefined: it is of a release without generations */
  readonly generation: string | undefined
}

/** What `query` of a pool and of a transaction have in common. */
type Reader = Pick<Database, 'query'>

const over = (client: PoolClient): Reader =>
  ({ query: (async (text: string, values: unknown[]) => (await client.query(text, values)).rows) as Database['query'] })

export async function readDeployment (database: Reader): Promise<Deployment> {
  const generations = await database.query<{ generation: string, state: Generation['state'], since: number }>(
    'select generation, state, since from processor_generations order by generation')
  const partitions = await database.query<{
    source_partition: number,
    topic_id: string,
    is_canary: boolean,
    from_offset: bigint,
    from_epoch: bigint,
    oldest_time: number | null,
    to_offset: bigint | null,
    started_at: number
  }>('select * from canary_partitions order by source_partition')
  const found = generations.find(it => it.state === 'canary' || it.state === 'aborting')
  return {
    active: generations.find(it => it.state === 'active')?.generation,
    generations: generations.map(it => ({ name: it.generation, state: it.state, sinceMs: it.since })),
    canary: found && {
      generation: found.generation,
      state: found.state as Canary['state'],
      startedMs: partitions[0]?.started_at ?? found.since,
      partitions: partitions.map(it => ({
        partition: it.source_partition,
        topicId: it.topic_id,
        isCanary: it.is_canary,
        fromOffset: it.from_offset,
        fromEpoch: it.from_epoch,
        oldestMs: it.oldest_time ?? Infinity,
        toOffset: it.to_offset ?? undefined
      }))
    }
  }
}

export async function readRunning (database: Database): Promise<RunningProcessor[]> {
  return (await readPrograms(database)).filter(it => it.program === 'relay-processor' && it.isUp)
    .map(({ instance, version, startedMs, measured: { generation } }) => ({ instance, version, startedMs, generation }))
}

/**
 * Gives partitions to a generation that stands by, and notes where all are.
 * @param partitions how many (those with the highest numbers), or which
 * @throws RelayError RELAY_DEPLOY_REFUSED
 */
export async function startCanary (
  client: PoolClient, topic: Topic, generation: string, partitions: number | readonly number[]
): Promise<Canary> {
  const { active, canary } = await lockDeployment(client)
  if (canary) {
    refuse(`generation ${canary.generation} is ${describeState(canary)}: run promote or abort first`)
  }
  if (active === undefined) refuse('no processor has claimed a partition of this database yet: nothing to compare with')
  if (active === generation) refuse(`generation ${generation} is active: name the one that stands by`)
  const known = await lockPartitions(client, topic.topicId)
  const chosen = typeof partitions === 'number'
    ? known.slice(Math.max(0, known.length - partitions))
    : known.filter(it => partitions.includes(it))
  if (chosen.length < (typeof partitions === 'number' ? partitions : partitions.length)) {
    refuse(`${topic.name} has no such partitions; those that processors read: ${known.join(', ')}`)
  }
  if (chosen.length === 0) refuse('a canary needs at least one partition')
  if (chosen.length === known.length) {
    refuse(`the canary would get all ${known.length} partitions: at least one must stay with generation ${active}, ` +
      'to compare with')
  }
  await client.query(`
    insert into processor_generations as g (generation, state) values ($1, 'canary')
    on conflict (generation) do update set state = excluded.state, since = now()`, [generation])
  await client.query(`
    insert into canary_partitions (source_partition, topic_id, is_canary, from_offset, from_epoch, oldest_time)
    select source_partition, topic_id, source_partition = any ($2), next_offset, epoch, least(
      (select min(first_time) from journal j where j.source_partition = p.source_partition),
      (select min(first_time) from misplaced_readings m where m.home_partition = p.source_partition))
    from progress p where topic_id = $1`, [topic.topicId, chosen])
  await fence(client, chosen)
  return (await readDeployment(over(client))).canary!
}

/** Makes the canary the active generation, with all partitions. @throws RelayError RELAY_DEPLOY_REFUSED */
export async function promote (client: PoolClient, topic: Topic): Promise<Canary> {
  const { active, canary } = await lockDeployment(client)
  if (!canary) refuse('no canary is under way: start one with relay deploy canary')
  if (canary.state === 'aborting') {
    refuse(`the canary of ${canary.generation} is being aborted: run relay deploy abort again to complete it`)
  }
  const known = await lockPartitions(client, topic.topicId)
  const others = known.filter(it => !canary.partitions.some(noted => noted.isCanary && noted.partition === it))
  await setState(client, active!, 'standby')
  await setState(client, canary.generation, 'active')
  await client.query('delete from canary_partitions')
  await fence(client, others) // the canary keeps its own, with what it has in memory
  return canary
}

/**
 * Gives the partitions of the canary back to the active generation, which reads on where the canary was. First half
 * of an abort; does nothing if it was done.
 * @throws RelayError RELAY_DEPLOY_REFUSED
 */
export async function giveBack (client: PoolClient, topic: Topic): Promise<Canary> {
  const { canary } = await lockDeployment(client)
  if (!canary) {
    refuse('no canary is under way: nothing to abort. After promote, start a canary of the generation before')
  }
  if (canary.state === 'aborting') return canary
  await lockPartitions(client, topic.topicId)
  await setState(client, canary.generation, 'aborting')
  await client.query(`
    update canary_partitions c set to_offset = p.next_offset
    from progress p where p.topic_id = c.topic_id and p.source_partition = c.source_partition`)
  await fence(client, canary.partitions.filter(it => it.isCanary).map(it => it.partition))
  // what the canary read belongs to the abort now: the dead letters of the canary decide nothing (refused-records.ts)
  await client.query(`
    update progress_claims p set from_offset = c.from_offset
    from canary_partitions c join progress using (topic_id, source_partition)
    where c.is_canary and p.topic_id = c.topic_id and p.source_partition = c.source_partition
      and p.epoch = progress.epoch`)
  return (await readDeployment(over(client))).canary!
}

/** Ends an abort after its rows were rebuilt. */
export async function endAbort (client: PoolClient, generation: string): Promise<void> {
  const { canary } = await lockDeployment(client)
  if (canary?.generation !== generation || canary.state !== 'aborting') return // another run was faster
  await setState(client, generation, 'standby')
  await client.query('delete from canary_partitions')
}

/** Claims wait until the caller's transaction ends, and see its changes then. */
async function lockDeployment (client: PoolClient): Promise<Deployment> {
  await client.query('lock table processor_generations in exclusive mode')
  return await readDeployment(over(client))
}

/** In the order that others use too, so that no deadlock is possible. */
async function lockPartitions (client: PoolClient, topicId: string): Promise<number[]> {
  const { rows } = await client.query<{ topic_id: string, source_partition: number }>(
    'select topic_id, source_partition from progress order by source_partition, topic_id for update')
  return rows.filter(it => it.topic_id === topicId).map(it => it.source_partition)
}

async function fence (client: PoolClient, partitions: readonly number[]): Promise<void> {
  await client.query(`
    update progress set epoch = epoch + 1, owner = 'relay deploy', updated_at = now()
    where source_partition = any ($1)`, [partitions])
}

async function setState (client: PoolClient, generation: string, state: Generation['state']): Promise<void> {
  await client.query(
    'update processor_generations set state = $2, since = now() where generation = $1', [generation, state])
}

function describeState ({ state, startedMs }: Canary): string {
  return `${state === 'canary' ? 'a canary' : 'being aborted'} since ${new Date(startedMs).toISOString()}`
}

function refuse (message: string): never {
  throw new RelayError('RELAY_DEPLOY_REFUSED', message)
}
