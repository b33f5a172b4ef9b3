/** A consumer group in Kafka as its consumer sees it: the membership, and the topic of its partitions. */
import { setTimeout as delay } from 'node:timers/promises'

import { type Logger, within } from 'relay-common'

import { KafkaClassicMembership } from './classic-membership.ts'
import { describeError, KafkaClient, topicMissing, type KafkaSettings, type TopicLayout } from './client.ts'
import type { KafkaMembershipProtocol, MembershipEvents } from './coordinator.ts'
import { chooseProtocol } from './group-protocol.ts'
import { KafkaMembership } from './membership.ts'
import type { ConsumerSettings, GroupMembership, GroupEvents, JoinGroup } from '../port.ts'

const OPEN_TIMEOUT_MS = 10_000
const NEW_TOPIC_TIMEOUT_MS = 2_000
const NEW_TOPIC_POLL_MS = 100
/** Closing waits no longer for commits in progress: only lag tools use them. */
const LAST_COMMIT_TIMEOUT_MS = 1_000

/**
 * Checks that the topic exists; returns a function that joins the group. `assigned` names the topic by its layout.
 * @throws RelayError RELAY_TOPIC_MISSING, RELAY_EVENT_LOG_UNREACHABLE
 */
export async function openKafkaGroup (
  cluster: KafkaSettings, settings: ConsumerSettings, log: Logger
): Promise<JoinGroup> {
  const client = new KafkaClient(cluster)
  try {
    if (!await knowsTopic(client, settings.topic)) throw topicMissing(settings.topic, client.servers)
    const { groupProtocol = 'auto' } = cluster
    const protocol = await client.retry(OPEN_TIMEOUT_MS, () => chooseProtocol(client, groupProtocol, settings.group))
    log.debug({ group: settings.group, protocol }, 'joining the group')
    return events => joinGroup(cluster, settings, protocol, log, events)
  } finally {
    await client.close()
  }
}

/** A topic that was just created may be unknown to another broker for a moment. */
async function knowsTopic (client: KafkaClient, name: string): Promise<boolean> {
  for (const untilMs = performance.now() + NEW_TOPIC_TIMEOUT_MS; ;) {
    if (await client.retry(OPEN_TIMEOUT_MS, () => client.describe(name))) return true
    if (performance.now() > untilMs) return false
    await delay(NEW_TOPIC_POLL_MS)
  }
}

function joinGroup (
  cluster: KafkaSettings, settings: ConsumerSettings, protocol: 'consumer' | 'classic', log: Logger, events: GroupEvents
): GroupMembership {
  const client = new KafkaClient(cluster)
  const membershipEvents: MembershipEvents = {
    assigned: async (topicId, partitions) => events.assigned(
      await findTopic(client, settings.topic, topicId), partitions
    ),
    revoked: partitions => events.revoked(partitions),
    lost: partitions => events.lost(partitions),
    failed: error => events.failed(error)
  }
  const membership: KafkaMembershipProtocol = protocol === 'consumer'
    ? new KafkaMembership(client, settings, log, membershipEvents)
    : new KafkaClassicMembership(cluster, client, settings, log, membershipEvents)
  let committing: Promise<unknown> = Promise.resolve()
  let isClosing = false
  const commit = async (nextOffsets: ReadonlyMap<number, bigint>) => {
    try {
      await membership.commit(nextOffsets)
    } catch (error) {
      if (isClosing) return // it was cut off
      log.warn({ reason: describeError(error) }, 'could not commit offsets to Kafka (only lag tools use them)')
    }
  }
  return {
    release: partitions => membership.release(partitions),
    commit: async nextOffsets => {
      if (nextOffsets.size === 0) return
      const done = commit(nextOffsets)
      committing = Promise.all([committing, done])
      await done
    },
    close: async () => {
      await within(LAST_COMMIT_TIMEOUT_MS, committing).catch(() => {}) // too late: it is cut off
      isClosing = true
      await membership.close()
      await client.close()
    }
  }
}

/** The assignment has the id of a topic; our layout of that name may be of a deleted one. */
async function findTopic (client: KafkaClient, name: string, topicId: string): Promise<TopicLayout> {
  const layout = await client.retry(OPEN_TIMEOUT_MS, () => client.describe(name))
  if (layout?.topicId === topicId) return layout
  throw client.unreachable(new Error(`topic ${name} is not the one of the assignment`))
}
