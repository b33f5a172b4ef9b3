/**
 * Generations: which processors may claim a partition (migration 0030). Processors of two versions run side by side,
 * each assigned all partitions by a consumer group of its own; the claim decides.
 *
 *     claim by its owner        ──▶ an epoch: every earlier owner is fenced
 *     claim by another one      ──▶ `ownedBy`: it stands by, and reads nothing of the partition
 *     change of owner (deployment.ts) ──▶ raises the epoch in the same transaction: who stood by claims it within seconds
 */
import { Gauge, within, type Database, type PoolClient, type Registry } from 'relay-common'
import type { Topic } from 'relay-event-log'

/** Name of the only generation of a plain site, so that it needs no setting. */
export const GENERATION_DEFAULT = 'blue'

/** The consumer group in which the processors of a generation share the partitions of the log. */
export function groupOfGeneration (group: string, generation: string): string {
  return generation === GENERATION_DEFAULT ? group : `${group}-${generation}`
}

interface Owners {
  /** null: nobody has claimed anything yet */
  readonly active: string | null
  /** null: there is no canary */
  readonly canary: string | null
  /** partitions of the canary, of one topic */
  readonly partitions: readonly number[]
}

const SELECT = `
  select (select generation from processor_generations where state = 'active') as active,
    (select generation from processor_generations where state = 'canary') as canary,
    array(select source_partition from canary_partitions where is_canary and topic_id = $1) as partitions`

function ownerOf ({ active, canary, partitions }: Owners, partition: number): string | null {
  return canary !== null && partitions.includes(partition) ? canary : active
}

/**
 * Locks the owner of a partition until the caller's transaction ends. The first claim of a database makes its
 * generation the active one.
 * @returns the generation that owns it
 */
export async function holdOwner (
  client: PoolClient, topic: Topic, partition: number, generation: string
): Promise<string> {
  await client.query('lock table processor_generations in row share mode') // the statements below see what is now
  const read = async () => {
    const { rows: [owners] } = await client.query<Owners>(SELECT, [topic.topicId])
    return ownerOf(owners, partition)
  }
  const known = await read()
  if (known !== null) return known
  await client.query(`
    insert into processor_generations (generation, state) values ($1, 'active') on conflict do nothing`, [generation])
  return (await read())!
}

/** Of some partitions, those that a generation may claim now. */
export async function readOwned (
  database: Pick<Database, 'queryPrepared'>, topicId: string, partitions: readonly number[], generation: string
): Promise<number[]> {
  const [owners] = await database.queryPrepared<Owners & Record<string, unknown>>('read owners', SELECT, [topicId])
  return partitions.filter(it => (ownerOf(owners, it) ?? generation) === generation)
}

/** A scrape waits no longer than this for a hanging database. */
const ANSWER_MAX_MS = 500

/** Reports how long a canary has been under way, for the person who forgot it. */
export function measureCanary (registry: Registry, database: Pick<Database, 'query'>): void {
  new Gauge({ // eslint-disable-line no-new
    name: 'relay_canary_age_seconds',
    help: 'time since the start of a canary that was neither promoted nor completely aborted; 0: there is none',
    registers: [registry],
    async collect () {
      const [row] = await within(ANSWER_MAX_MS, database.query<{ age: number }>(`
        select coalesce(extract(epoch from now() - min(started_at)), 0)::float8 as age from canary_partitions`))
        .catch(() => []) // it keeps its value
      if (row) this.set(row.age)
    }
  })
}
