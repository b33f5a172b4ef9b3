/**
 * The state of a group in PostgreSQL: its members, and the owner of each partition. One transaction at a time per
 * group, under its lock. Each heartbeat also maintains the group, so no leader is needed.
 *
 *     free ──granted──▶ held ──revoked──▶ asked back ──released, or not within the session timeout──▶ free
 *                        └── member left, or not heard of within its session timeout ──▶ free
 *
 * Members time one another by their own steady clocks (steady-waits.ts), because the clock of the server may be set.
 * Time while the server was down does not count, because it could not receive heartbeats.
 */
import { type PoolClient, RelayError } from 'relay-common'
import { balance } from '../balance.ts'
import type { Topic } from '../port.ts'
import { channelOf } from './connection.ts'
import type { SteadyWaits } from './steady-waits.ts'

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

interface StoredMember {
  readonly member: string
  readonly sessionId: string
  readonly sessionTimeoutMs: number
  /** the transaction that wrote the row: another one after each heartbeat */
  readonly version: string
  readonly isOverOnServer: boolean
  readonly serverStart: string
}

interface StoredLease extends HeldLease { readonly member: string, readonly isOverOnServer: boolean }

const FOREIGN_KEY_VIOLATION = '23503'

/**
 * Reports that a member is alive, releases partitions, and updates the leases of its group. A member that was silent
 * for too long joins again, without any earlier lease.
 * @param hasJoined whether an earlier heartbeat of this process has joined; only the first may take over its name
 * @param waits what this process has seen of the group
 * @param releasing revoked partitions to release
 */
export async function heartbeat (
  client: PoolClient, topic: Topic, member: GroupMember, hasJoined: boolean, waits: SteadyWaits,
  releasing: readonly number[]
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

  const { members, leases, hasDropped } = await dropOverdue(client, topic, member, waits, releasing)
  const { rows: [{ partitions }] } = await client.query<{ partitions: number }>(
    'select partitions from event_log_topics where topic_id = $1', [topic.topicId])
  const hasMoved = await rebalance(client, topic, partitions, member.group, members, leases)
  if (isNew || hasDropped || hasMoved) await tellGroup(client, topic, member.group)
  const { rows: held } = await client.query<HeldLease>(`
    select partition, lease_id as "leaseId", revoked_at is not null as "isRevoked" from event_log_leases
    where topic_id = $1 and group_name = $2 and member = $3 order by partition`, [...place, member.name])
  await client.query('commit')
  return { kind: 'member', partitions, leases: held }
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

/**
 * Deletes members that were silent for too long, and leases that were released or not released in time.
 * @returns what is left
 */
async function dropOverdue (
  client: PoolClient, topic: Topic, member: GroupMember, waits: SteadyWaits, releasing: readonly number[]
): Promise<{ members: readonly StoredMember[], leases: readonly StoredLease[], hasDropped: boolean }> {
  const place = [topic.topicId, member.group]
  const { rows: members } = await client.query<StoredMember>(`
    select member, session_id as "sessionId", xmin::text as version, pg_postmaster_start_time()::text as "serverStart",
      (extract(epoch from session_timeout) * 1000)::float8 as "sessionTimeoutMs",
      greatest(expires_at, pg_postmaster_start_time() + session_timeout) < clock_timestamp() as "isOverOnServer"
    from event_log_members where topic_id = $1 and group_name = $2`, place)
  const { rows: leases } = await client.query<StoredLease>(`
    select l.partition, l.member, l.lease_id as "leaseId", l.revoked_at is not null as "isRevoked",
      coalesce(l.revoked_at < clock_timestamp() - m.session_timeout, false) as "isOverOnServer"
    from event_log_leases l
    join event_log_members m using (topic_id, group_name, member)
    where l.topic_id = $1 and l.group_name = $2`, place)

  const timeouts = new Map(members.map(it => [it.member, it.sessionTimeoutMs]))
  const over = waits.look([
    ...members.map(({ sessionId, version, sessionTimeoutMs, isOverOnServer }) =>
      ({ id: sessionId, version, limitMs: sessionTimeoutMs, isOverOnServer })),
    ...leases.filter(it => it.isRevoked).map(({ leaseId, member, isOverOnServer }) =>
      ({ id: String(leaseId), version: '', limitMs: timeouts.get(member)!, isOverOnServer }))
  ], performance.now(), members[0].serverStart)

  const silent = new Set(members.filter(it => over.has(it.sessionId)).map(it => it.member))
  const isFree = (it: StoredLease) => it.isRevoked &&
    (over.has(String(it.leaseId)) || (it.member === member.name && releasing.includes(it.partition)))
  const freed = leases.filter(it => !silent.has(it.member) && isFree(it)).map(it => it.leaseId)
  if (silent.size > 0) {
    await client.query(`
      delete from event_log_members where topic_id = $1 and group_name = $2 and member = any ($3::text[])`,
    [...place, [...silent]])
  }
  if (freed.length > 0) {
    await client.query(`
      delete from event_log_leases where topic_id = $1 and group_name = $2 and lease_id = any ($3::bigint[])`,
    [...place, freed])
  }
  return {
    members: members.filter(it => !silent.has(it.member)),
    leases: leases.filter(it => !silent.has(it.member) && !isFree(it)),
    hasDropped: silent.size > 0 || freed.length > 0
  }
}

/** Returns whether anything was granted or revoked. */
async function rebalance (
  client: PoolClient, topic: Topic, partitions: number, group: string, members: readonly StoredMember[],
  leases: readonly StoredLease[]
): Promise<boolean> {
  const place = [topic.topicId, group]
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
