/** The protocol of a group, and groups of others. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test, type TestContext } from 'node:test'

import {
  encodeConsumerProtocolSubscription, FindCoordinatorKeyTypes, type findCoordinatorV6, type joinGroupV9
} from '@platformatic/kafka'

import { KafkaClient, kafkaErrors, type GroupProtocol } from '../src/kafka/client.ts'
import { openKafkaEventLog } from '../src/kafka/kafka.ts'
import type { ConsumerSettings, EventConsumer, EventLog } from '../src/port.ts'
import { createLogger, type ErrorCode, RelayError } from 'relay-common'
import { openClassicKafka, openLocalKafka, openOwnKafka } from 'relay-test-support/local-kafka.ts'
import { Group, nextNews, SESSION_TIMEOUT_MS, waitAssigned } from 'relay-test-support/members.ts'

const log = createLogger('test', 'silent')

/** A topic of this test on a broker, with consumers that close before the broker. */
class Site {
  readonly topic = `protocol-${randomUUID()}`
  readonly group = randomUUID()
  readonly server: string
  readonly #opened: AsyncDisposableStack
  readonly #eventLogs = new Map<GroupProtocol, EventLog>()

  constructor (opened: AsyncDisposableStack, server: string) {
    this.#opened = opened
    this.server = server
  }

  async log (groupProtocol: GroupProtocol): Promise<EventLog> {
    const present = this.#eventLogs.get(groupProtocol)
    if (present) return present
    const eventLog = this.#opened.adopt(
      await openKafkaEventLog(
        { bootstrapServers: [this.server], clientId: 'test', groupProtocol }, log
      ), it => it.close())
    this.#eventLogs.set(groupProtocol, eventLog)
    await eventLog.ensureTopic({ name: this.topic, partitions: 2, retentionMs: 3_600_000, replicationFactor: -1 })
    return eventLog
  }

  async join (groupProtocol: GroupProtocol, settings: Partial<ConsumerSettings> = {}): Promise<EventConsumer> {
    const { topic, group } = this
    const eventLog = await this.log(groupProtocol)
    return this.#opened.adopt(await eventLog.openConsumer(
      {
        topic, group, sessionTimeoutMs: SESSION_TIMEOUT_MS, fetchBufferMaxBytes: 1024 * 1024, ...settings
      }), it => it.close())
  }
}

async function isRefused (consumer: EventConsumer, code: ErrorCode, words: RegExp): Promise<void> {
  await assert.rejects(nextNews(consumer), (error: unknown) => {
    assert.ok(error instanceof RelayError)
    assert.equal(error.code, code)
    assert.match(error.message, words)
    return true
  })
}

/** Number of members of a group by protocol, according to the broker. */
async function protocolOf (server: string, group: string): Promise<string | undefined> {
  const client = new KafkaClient({ bootstrapServers: [server], clientId: 'test' })
  try {
    const { groups } = await client.call<{ groups: { groupId: string, groupType: string }[] }>(
      'ListGroups', await client.anyBroker(), [], [])
    return groups.find(it => it.groupId === group)?.groupType
  } finally {
    await client.close()
  }
}

/** Joins a group like a member of another program, without later heartbeats. */
async function joinAsForeigner (t: TestContext, site: Site): Promise<void> {
  const client = new KafkaClient({ bootstrapServers: [site.server], clientId: 'foreigner' })
  t.after(() => client.close())
  const metadata = encodeConsumerProtocolSubscription({ version: 0, topics: [site.topic], userData: '' })
  await client.retry(30_000, async () => {
    const { coordinators: [address] } = await client.call<findCoordinatorV6.FindCoordinatorResponse>(
      'FindCoordinator', await client.anyBroker(), FindCoordinatorKeyTypes.GROUP, [site.group])
    const connection = await client.broker(address)
    const join = (memberId: string) => client.call<joinGroupV9.JoinGroupResponse>('JoinGroup', connection,
      site.group, 300_000, 300_000, memberId, null, 'consumer', [{ name: 'range', metadata }], null)
    try {
      await join('')
    } catch (error) { // the broker assigns an id first
      const { response } = error as { response?: joinGroupV9.JoinGroupResponse }
      if (response?.errorCode !== kafkaErrors.MEMBER_ID_REQUIRED) throw error
      await join(response.memberId)
    }
  })
}

test('the newer protocol is used if the broker supports it, otherwise the classic one', async t => {
  for (const [open, expected] of [[openLocalKafka, 'consumer'], [openClassicKafka, 'classic']] as const) {
    const kafka = await open(t)
    if (!kafka) return
    await using opened = new AsyncDisposableStack()
    const site = new Site(opened, kafka.bootstrapServers)
    await waitAssigned(await site.join('auto'), 2)
    assert.equal(await protocolOf(site.server, site.group), expected)
  }
})

test('the classic protocol can be chosen on a broker that supports both', async t => {
  const kafka = await openLocalKafka(t)
  if (!kafka) return
  await using opened = new AsyncDisposableStack()
  const site = new Site(opened, kafka.bootstrapServers)
  // the broker's minimum is 6 s: a shorter session is not refused, but extended
  await waitAssigned(await site.join('classic', { sessionTimeoutMs: 1_000 }), 2)
  assert.equal(await protocolOf(site.server, site.group), 'classic')
})

test('a consumer configured for the newer protocol reports at once that its brokers lack it', async t => {
  const kafka = await openClassicKafka(t)
  if (!kafka) return
  await using opened = new AsyncDisposableStack()
  const site = new Site(opened, kafka.bootstrapServers)
  await isRefused(await site.join('consumer'), 'RELAY_EVENT_LOG_UNSUPPORTED',
    /Kafka 4\.0.*group\.coordinator\.rebalance\.protocols.*KAFKA_GROUP_PROTOCOL=auto/)
})

test('a group of other programs is reported by name, and not touched', async t => {
  const kafka = await openClassicKafka(t)
  if (!kafka) return
  await using opened = new AsyncDisposableStack()
  const site = new Site(opened, kafka.bootstrapServers)
  await site.log('auto')
  await joinAsForeigner(t, site)
  await isRefused(await site.join('auto'), 'RELAY_GROUP_FOREIGN', new RegExp(`${site.group}.*CONSUMER_GROUP`))
})

test('a consumer whose name is taken over reports the new owner, and does not fight', async t => {
  const kafka = await openClassicKafka(t)
  if (!kafka) return
  await using opened = new AsyncDisposableStack()
  const site = new Site(opened, kafka.bootstrapServers)
  const before = await site.join('auto', { instanceId: 'processor-0' })
  await waitAssigned(before, 2)
  const after = await site.join('auto', { instanceId: 'processor-0' })
  await waitAssigned(after, 2)
  assert.deepEqual(await nextNews(before), { kind: 'lost', partitions: [0, 1] })
  await isRefused(before, 'RELAY_PARTITION_FENCED', /processor-0.*CONSUMER_INSTANCE_ID/)
  assert.deepEqual(await after.next(1_500), { kind: 'idle' })
})

test('members of both protocols share a group if the broker converts it, as during an upgrade', async t => {
  const kafka = await openLocalKafka(t)
  if (!kafka) return
  await using opened = new AsyncDisposableStack()
  const site = new Site(opened, kafka.bootstrapServers)
  const { topic } = site
  const classic = new Group(opened, await site.log('classic'), topic, site.group)
  const old = await classic.join('old', { sessionTimeoutMs: 6_000 })
  await classic.until('the one of the classic protocol has all', () => old.owned.size === 2)
  const newer = new Group(opened, await site.log('consumer'), topic, site.group)
  const updated = await newer.join('updated', { sessionTimeoutMs: 6_000 })
  await newer.until('the newer one has half', () => updated.owned.size === 1)
  assert.deepEqual([...old.owned, ...updated.owned].sort(), [0, 1])
  await old.close()
  await newer.until('the newer one has all', () => updated.owned.size === 2)
})

test('if the broker may not convert groups, a group with the other protocol is reported', async t => {
  const kafka = await openOwnKafka(t, { properties: ['group.consumer.migration.policy=disabled'] })
  if (!kafka) return
  await using opened = new AsyncDisposableStack()
  for (const [first, other] of [['classic', 'consumer'], ['consumer', 'classic']] as const) {
    const site = new Site(opened, kafka.bootstrapServers)
    await waitAssigned(await site.join(first, { sessionTimeoutMs: 6_000 }), 2)
    await isRefused(await site.join(other, { sessionTimeoutMs: 6_000 }), 'RELAY_GROUP_FOREIGN',
      new RegExp(`${site.group}.*KAFKA_GROUP_PROTOCOL`))
  }
})
