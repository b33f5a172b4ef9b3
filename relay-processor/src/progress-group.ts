/**
 * The consumer group that writes the rollups of a database (migration 0023). A processor of another group is refused
 * before its first claim, unless it is configured to take over:
 *
 *     first claim of a database ──▶ its group holds
 *     another group             ──▶ refused, at its start and at each claim
 *     … that takes over from it ──▶ holds from its first claim on; the one before is fenced, and refused when it claims again
 */
import { RelayError, type Database, type PoolClient } from 'relay-common'

export interface ProgressGroup {
  readonly group: string
  /** the group that this one replaces; undefined: none */
  readonly takeoverFrom: string | undefined
}

/**
 * Checks at the start of a processor, before it joins its group, whether it may claim. Changes nothing.
 * @throws RelayError RELAY_GROUP_REFUSED
 */
export async function checkProgressGroup (database: Database, ours: ProgressGroup): Promise<void> {
  const [row] = await database.query<GroupRow>(SELECT)
  if (row && row.consumer_group !== ours.takeoverFrom) refuseOther(row.consumer_group, ours)
}

/**
 * Locks the permission of a group to claim until the caller's transaction ends. Stores the first group, and takes over
 * if configured.
 * @throws RelayError RELAY_GROUP_REFUSED
 */
export async function holdProgressGroup (client: PoolClient, ours: ProgressGroup): Promise<void> {
  const { rows: [known] } = await client.query<GroupRow>(SELECT)
  if (known?.consumer_group !== ours.group) {
    await client.query(`
      insert into progress_group as held (consumer_group) values ($1)
      on conflict (is_only) do update set consumer_group = excluded.consumer_group, since = now()
        where held.consumer_group = $2`, [ours.group, ours.takeoverFrom ?? null])
  }
  // claims of one group run in parallel; claims and a takeover wait for each other
  const { rows: [held] } = await client.query<GroupRow>(`${SELECT} for share`)
  refuseOther(held.consumer_group, ours)
}

interface GroupRow {
  readonly consumer_group: string
}

const SELECT = 'select consumer_group from progress_group'

function refuseOther (holder: string, { group }: ProgressGroup): void {
  if (holder === group) return
  throw new RelayError('RELAY_GROUP_REFUSED',
    `consumer group "${group}" may not write to this database: consumer group "${holder}" writes its rollups, and two groups ` +
    `would take partitions from each other forever. Set CONSUMER_GROUP=${holder} to join it; or set ` +
    `CONSUMER_GROUP_TAKEOVER_FROM=${holder} to replace it; or use another database`)
}
