/** Generations of processors: who does not own a partition stands by; each step of a deployment is a transaction. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test, type TestContext } from 'node:test'

import { RelayError, type Database, type PoolClient } from 'relay-common'

import { openLocalPostgres } from 'relay-test-support/local-postgres.ts'
import { until } from 'relay-test-support/until.ts'
import { endAbort, giveBack, promote, readDeployment, startCanary } from '../src/deployment.ts'
import { openPostgresStore } from '../src/postgres-store.ts'
import type { Store } from '../src/store.ts'
import { claimed } from './support/open-owner.ts'

interface Site {
  readonly database: Database
  readonly topic: { readonly name: string, readonly topicId: string, readonly partitions: number }
  readonly blue: Store
  readonly green: Store
}

async function openStores (t: TestContext, partitions = 4): Promise<Site> {
  const { database } = await openLocalPostgres(t)
  const open = async (generation: string) => {
    const store = await openPostgresStore(
      database, { kind: 'kafka', generation, group: 'relay-processor', takeoverFrom: undefined })
    t.after(() => store.close())
    return store
  }
  const topic = { name: 'iot-events', topicId: randomUUID(), partitions }
  return { database, topic, blue: await open('blue'), green: await open('green') }
}

/** A site whose partitions were all claimed by blue. */
async function openClaimed (t: TestContext): Promise<Site> {
  const site = await openStores(t)
  for (let n = 0; n < 4; n++) claimed(await site.blue.claim(site.topic, n, 'blue-1', 0n))
  return site
}

const epochs = async ({ database }: Site) => {
  const rows = await database.query<{ epoch: bigint }>('select epoch from progress order by source_partition')
  return rows.map(it => Number(it.epoch))
}

const step = <T>({ database }: Site, work: (client: PoolClient) => Promise<T>) => database.transaction(work)

test('the first claim of a database makes its generation active, and another one stands by', async t => {
  const site = await openStores(t)
  const { topic, blue, green } = site
  assert.deepEqual(await green.readOwned(topic.topicId, [0, 1]), [0, 1], 'nobody has them yet')
  claimed(await blue.claim(topic, 0, 'blue-1', 0n))
  assert.deepEqual(await green.claim(topic, 0, 'green-1', 0n), { ownedBy: 'blue' })
  assert.deepEqual(await green.claim(topic, 1, 'green-1', 0n), { ownedBy: 'blue' })
  assert.deepEqual(await epochs(site), [1], 'the refused claims changed nothing')
  assert.deepEqual(await green.readOwned(topic.topicId, [0, 1]), [])
  assert.deepEqual(await blue.readOwned(topic.topicId, [0, 1]), [0, 1])
})

test('of two generations that claim an empty database at once, one becomes active', async t => {
  const { topic, blue, green } = await openStores(t)
  const outcomes = await Promise.all([blue, green].flatMap((store, n) =>
    [0, 1, 2, 3].map(it => store.claim(topic, it, `owner-${n}`, 0n))))
  assert.equal(outcomes.filter(it => 'ownedBy' in it).length, 4)
  assert.equal(new Set(outcomes.map(it => 'ownedBy' in it)).size, 2)
})

test('a canary gets its partitions, promote gives it the rest, and whoever had them is fenced', async t => {
  const site = await openClaimed(t)
  const { database, topic, blue, green } = site
  const canary = await step(site, client => startCanary(client, topic, 'green', 1))
  assert.deepEqual(canary.partitions.map(it => it.isCanary), [false, false, false, true])
  assert.deepEqual(await epochs(site), [1, 1, 1, 2], 'the owner of its partition is fenced, and no other')
  assert.deepEqual(await blue.claim(topic, 3, 'blue-1', 0n), { ownedBy: 'green' })
  claimed(await green.claim(topic, 3, 'green-1', 0n))
  assert.deepEqual(await green.claim(topic, 0, 'green-1', 0n), { ownedBy: 'blue' })
  assert.deepEqual(await green.readOwned(topic.topicId, [0, 1, 2, 3]), [3])

  await step(site, client => promote(client, topic))
  assert.deepEqual(await epochs(site), [2, 2, 2, 3], 'the canary keeps what it has in memory')
  assert.deepEqual(await green.readOwned(topic.topicId, [0, 1, 2, 3]), [0, 1, 2, 3])
  assert.deepEqual(await blue.claim(topic, 0, 'blue-1', 0n), { ownedBy: 'green' })
  const { active, canary: none, generations } = await readDeployment(database)
  assert.deepEqual([active, none, generations.map(it => it.state)], ['green', undefined, ['standby', 'active']])
})

test('an abort gives the partitions back with the offsets that the canary reached, and can be repeated', async t => {
  const site = await openClaimed(t)
  const { database, topic, blue, green } = site
  await step(site, client => startCanary(client, topic, 'green', [1, 2]))
  const { epoch, historyId } = claimed(await green.claim(topic, 1, 'green-1', 0n))
  await database.query('update progress set next_offset = 40 where source_partition = 1')

  const given = await step(site, client => giveBack(client, topic))
  assert.deepEqual(given.partitions.filter(it => it.isCanary).map(it => [it.partition, it.fromOffset, it.toOffset]),
    [[1, 0n, 40n], [2, 0n, 0n]])
  const standing = await green.readStanding(topic.topicId, [1])
  assert.ok(standing.epochs.get(1)! > epoch && standing.historyId === historyId, 'the canary is fenced')
  assert.deepEqual(await green.claim(topic, 1, 'green-1', 0n), { ownedBy: 'blue' })
  assert.equal(claimed(await blue.claim(topic, 1, 'blue-1', 0n)).nextOffset, 40n, 'and blue goes on from there')

  const before = await epochs(site)
  assert.deepEqual(await step(site, client => giveBack(client, topic)), given)
  assert.deepEqual(await epochs(site), before)
  await step(site, client => endAbort(client, 'green'))
  await step(site, client => endAbort(client, 'green'))
  assert.equal((await readDeployment(database)).canary, undefined)
  await step(site, client => startCanary(client, topic, 'green', 1))
})

test('steps in an impossible order are refused, and say what to do', async t => {
  const empty = await openStores(t)
  const refused = (site: Site, work: (client: PoolClient) => Promise<unknown>, message: RegExp) =>
    assert.rejects(step(site, work), (error: RelayError) => {
      assert.equal(error.code, 'RELAY_DEPLOY_REFUSED')
      assert.match(error.message, message)
      return true
    })
  await refused(empty, client => startCanary(client, empty.topic, 'green', 1), /no processor has claimed/)

  const site = await openClaimed(t)
  const { topic } = site
  await refused(site, client => promote(client, topic), /start one with relay deploy canary/)
  await refused(site, client => giveBack(client, topic), /nothing to abort/)
  await refused(site, client => startCanary(client, topic, 'blue', 1), /blue is active/)
  await refused(site, client => startCanary(client, topic, 'green', 5), /no such partitions; .*0, 1, 2, 3/)
  await refused(site, client => startCanary(client, topic, 'green', [0, 9]), /no such partitions/)
  await refused(site, client => startCanary(client, topic, 'green', 4), /at least one must stay with generation blue/)
  assert.deepEqual(await epochs(site), [1, 1, 1, 1], 'a refused step changes nothing')

  await step(site, client => startCanary(client, topic, 'green', 1))
  await refused(site, client => startCanary(client, topic, 'red', 1), /green is a canary since .*promote or abort/)
  await step(site, client => giveBack(client, topic))
  await refused(site, client => promote(client, topic), /being aborted: run relay deploy abort again/)
  await refused(site, client => startCanary(client, topic, 'red', 1), /green is being aborted/)
})

test('a claim waits for a step that is under way, and follows it', async t => {
  const site = await openClaimed(t)
  const { database, topic, blue } = site
  const client = await database.connect()
  try {
    await client.query('begin')
    await startCanary(client, topic, 'green', 1)
    const claim = blue.claim(topic, 3, 'blue-2', 0n)
    await until('the claim to wait', async () => (await database.query(
      "select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()")).length > 0)
    await client.query('commit')
    assert.deepEqual(await claim, { ownedBy: 'green' })
  } finally {
    client.release()
  }
})
