/**
 * The state of a group in PostgreSQL: its members, and the owner of each partition. One transaction at a time per
 * group, under its lock. Each heartbeat also maintains the group, so no leader is needed.
 *
 *     free ──granted──▶ held ──revoked──▶ asked back ──released, or not within the session timeout──▶ free
 *                        └── member left, or not heard of within its session timeout ──▶ free
 *
 * Only the clock of the server counts. Time while the server was down does not, because it could not receive
 * heartbeats.
 */
import { RelayError } from '../../errors.ts'
import type { PoolClient } from '../../database/database.ts'
import { balance } from '../balance.ts'
import type { Topic } from '../port.ts'
import { channelOf } from './connection.ts'

export interface GroupMember {
  readonly group: string
  /** its name, or a generated one for this process */
  readonly name: string
  /** of this process; another session with the same name has taken over */
  readonly sessionId: string
  readonly sessionTimeoutMs: number
}

/** State of a member after a heartbeat. */
export type MemberState =
  | { readonly kind: 'member', readonly partitions: number, readonly leases: readonly HeldLease[] }
  /** another process uses our name */
  | { readonly kind: 'replaced' }
  | { readonly kind: 'topic-gone' }

export interface HeldLease { readonly partition: number, readonly leaseId: bigint, readonly isRevoked: boolean }

const FOREIGN_KEY_VIOLATION = '23503'

/**
 * Reports that a member is alive, releases partitions, and updates the leases of its group. A member that was silent
 * for too long joins again, without any earlier lease.
 * @param hasJoined whether an earlier heartbeat of this process has joined; only the first may take over its name
 * @param releasing revoked partitions to release
 */
export async function heartbeat (
  client: PoolClient, topic: Topic, member: GroupMember, hasJoined: boolean, releasing: readonly number[]
): Promise<MemberState> {
  const place = [topic.topicId, member.group]
  await begin(client, topic, member)

  let isNew = false
  const { rowCount: renewed } = await client.query(`
    update event_log_members set expires_at = clock_timestamp() + session_timeout
    where topic_id = $1 and group_name = $2 and member = $3 and session_id = $4`,
  [...place, member.name, member.sessionId])
  if (renewed === 0) {
    const refusal = await join(client, topic, member, hasJoined)
    if (refusal) {
      await client.query('rollback')
      return refusal
    }
    isNew = true
  }

  const { rowCount: expired } = await client.query(`
    delete from event_log_members
    where topic_id = $1 and group_name = $2
      and greatest(expires_at, pg_postmaster_start_time() + session_timeout) < clock_timestamp()`, place)
  const { rowCount: freed } = await client.query(`
    delete from event_log_leases l using event_log_members m
    where l.topic_id = $1 and l.group_name = $2 and m.topic_id = $1 and m.group_name = $2 and m.member = l.member
      and l.revoked_at is not null
      and (l.member = $3 and l.partition = any ($4::integer[])
        or l.revoked_at < clock_timestamp() - m.session_timeout)`,
  [...place, member.name, releasing])

  const { rows: [{ partitions }] } = await client.query<{ partitions: number }>(
    'select partitions from event_log_topics where topic_id = $1', [topic.topicId])
  const moved = await rebalance(client, topic, partitions, member.group)
  if (isNew || expired || freed || moved) await tellGroup(client, topic, member.group)
  const { rows: leases } = await client.query<HeldLease>(`
    select partition, lease_id as "leaseId", revoked_at is not null as "isRevoked" from event_log_leases
    where topic_id = $1 and group_name = $2 and member = $3 order by partition`, [...place, member.name])
  await client.query('commit')
  return { kind: 'member', partitions, leases }
}

/**
 * Leaves the group and releases everything. A named member only releases revoked partitions: the others wait for its
 * return until its session times out.
 */
export async function leave (
  client: PoolClient, topic: Topic, member: GroupMember, isNamed: boolean, releasing: readonly number[]
): Promise<void> {
  const place = [topic.topicId, member.group, member.name, member.sessionId]
  await begin(client, topic, member)
  if (isNamed) {
    await client.query(`
      delete from event_log_leases l using event_log_members m
      where m.topic_id = $1 and m.group_name = $2 and m.member = $3 and m.session_id = $4
        and l.topic_id = $1 and l.group_name = $2 and l.member = $3
        and l.revoked_at is not null and l.partition = any ($5::integer[])`, [...place, releasing])
  } else {
    await client.query(`
      delete from event_log_members where topic_id = $1 and group_name = $2 and member = $3 and session_id = $4`, place)
  }
  await tellGroup(client, topic, member.group)
  await client.query('commit')
}

/** Begins a transaction with a lock on the group. A process that is paused in the middle must not keep the lock. */
async function begin (client: PoolClient, topic: Topic, member: GroupMember): Promise<void> {
  await client.query('begin')
  await client.query(`
    select set_config('idle_in_transaction_session_timeout', $1, true), pg_advisory_xact_lock(hashtextextended($2, 0))`,
  [String(member.sessionTimeoutMs), `event log ${topic.topicId} ${member.group}`])
}

async function join (
  client: PoolClient, topic: Topic, member: GroupMember, hasJoined: boolean
): Promise<{ kind: 'replaced' } | { kind: 'topic-gone' } | undefined> {
  const identity = [topic.topicId, member.group, member.name]
  if (hasJoined) {
    const { rows } = await client.query(
      'select from event_log_members where topic_id = $1 and group_name = $2 and member = $3', identity)
    if (rows.length > 0) return { kind: 'replaced' }
  }
  try {
    await client.query(`
      insert into event_log_members (topic_id, group_name, member, session_id, session_timeout, expires_at)
      values ($1, $2, $3, $4, $5 * interval '1 ms', clock_timestamp() + $5 * interval '1 ms')
      on conflict (topic_id, group_name, member) do update
      set session_id = excluded.session_id, session_timeout = excluded.session_timeout,
        expires_at = excluded.expires_at`,
    [...identity, member.sessionId, member.sessionTimeoutMs])
  } catch (error) {
    if ((error as { code?: string }).code === FOREIGN_KEY_VIOLATION) return { kind: 'topic-gone' }
    throw error
  }
  // partitions that its predecessor was asked for, but did not live to release
  await client.query(`
    delete from event_log_leases
    where topic_id = $1 and group_name = $2 and member = $3 and revoked_at is not null`, identity)
  return undefined
}

/** Returns whether anything was granted or revoked. */
async function rebalance (client: PoolClient, topic: Topic, partitions: number, group: string): Promise<boolean> {
  const place = [topic.topicId, group]
  const { rows: members } = await client.query<{ member: string }>(
    'select member from event_log_members where topic_id = $1 and group_name = $2', place)
  const { rows: leases } = await client.query<{ partition: number, member: string, isRevoked: boolean }>(`
    select partition, member, revoked_at is not null as "isRevoked" from event_log_leases
    where topic_id = $1 and group_name = $2`, place)
  const { grants, revokes } = balance(partitions, members.map(it => it.member), leases)
  if (grants.length > 0) {
    await client.query(`
      insert into event_log_leases (topic_id, group_name, partition, member)
      select $1, $2, * from unnest($3::integer[], $4::text[])`,
    [...place, grants.map(it => it.partition), grants.map(it => it.member)])
  }
  if (revokes.length > 0) {
    await client.query(`
      update event_log_leases set revoked_at = clock_timestamp()
      where topic_id = $1 and group_name = $2 and partition = any ($3::integer[])`, [...place, revokes])
  }
  return grants.length > 0 || revokes.length > 0
}

async function tellGroup (client: PoolClient, topic: Topic, group: string): Promise<void> {
  await client.query('select pg_notify($1, $2)', [channelOf(topic.topicId), group])
}

/** The error of a member whose name another process uses. */
export function replacedError (topic: Topic, member: GroupMember): RelayError {
  return new RelayError('RELAY_PARTITION_FENCED', `another process joined group ${member.group} of topic ` +
    `${topic.name} as ${member.name}; give each process its own CONSUMER_INSTANCE_ID`)
}
