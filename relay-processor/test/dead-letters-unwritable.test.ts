/** Dead letters that can't be written delay progress, for valid and invalid records alike. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'

import { Admin, ConfigResourceTypes, IncrementalAlterConfigOperationTypes } from '@platformatic/kafka'
import getPort from 'get-port'

import { until } from 'relay-test-support/until.ts'
import { makeEvents, openSite, send, settled, spawnProcessor, type Site } from './support/open-processor.ts'
import { readDeadLetters } from './support/read-dead-letters.ts'
import { readWindows, recompute } from './support/recompute.ts'

const events = makeEvents(40)
const poison = Array.from({ length: 20 }, (_, n) => ({ key: `poison-${n}`, value: '{' }))

async function sendAll (site: Site): Promise<void> {
  await site.producer.send(site.config.EVENTS_TOPIC, poison) // first: a flush between two sends has some of it
  await send(site, events)
}

/** Sum of the offsets of the rollups. */
async function progressOf (site: Site): Promise<bigint> {
  const [{ sum }] = await site.database.query<{ sum: bigint | null }>(
    'select sum(next_offset)::bigint as sum from progress where topic = $1', [site.config.EVENTS_TOPIC])
  return sum ?? 0n
}

async function assertAllThere (site: Site): Promise<void> {
  // a letter in progress at a kill may be there twice, with the same source offset
  const letters = new Map((await readDeadLetters(site)).map(it => [
    `${it.sourcePartition} ${it.sourceOffset}`, it.key!.toString()
  ]))
  assert.deepEqual([...letters.values()].sort(), poison.map(it => it.key).sort())
  assert.deepEqual(Object.fromEntries(await readWindows(site.database)), Object.fromEntries(recompute(events)))
}

test('the processor waits for dead letters that can\'t be written, and a kill leaves no progress without them', async t => {
  const site = (await openSite(t, 'postgres'))!
  const [{ name }] = await site.database.query<{ name: string }>('select current_database() as name')
  await site.database.query(`alter database ${name} set lock_timeout = '200ms'`)
  const port = await getPort({ host: '127.0.0.1' })
  const first = await spawnProcessor(t, site, { HEALTH_PORT: String(port) })
  const readyz = async () => await (await fetch(`http://127.0.0.1:${port}/readyz`)).text()

  const locker = await site.database.connect()
  try {
    await locker.query('begin')
    await locker.query(`
      select from event_log_partitions join event_log_topics using (topic_id) where topic = $1 for update`,
    [site.config.DEAD_LETTERS_TOPIC])
    await sendAll(site)
    await until('the processor to say what fails', async () => /writing dead letters failed/.test(await readyz()))
    assert.equal(await progressOf(site), 0n)
    first.kill('SIGKILL')
    await once(first, 'exit')
    await locker.query('commit')
  } finally {
    locker.release(true)
  }
  assert.equal(await progressOf(site), 0n)
  const second = await spawnProcessor(t, site)
  await settled(site)
  second.kill('SIGTERM')
  await once(second, 'exit')
  await assertAllThere(site)
})

test('a topic that refuses letters permanently ends the processor, and nothing moves until it is fixed', { timeout: 120_000 }, async t => {
  const site = await openSite(t, 'kafka')
  if (!site) return
  const admin = new Admin({ clientId: 'test', bootstrapBrokers: [site.config.KAFKA_BOOTSTRAP_SERVERS!] })
  t.after(() => admin.close())
  const setLargest = (value: string) => admin.incrementalAlterConfigs({
    resources: [{
      resourceType: ConfigResourceTypes.TOPIC,
      resourceName: site.config.DEAD_LETTERS_TOPIC,
      configs: [{ name: 'max.message.bytes', configOperation: IncrementalAlterConfigOperationTypes.SET, value }]
    }]
  })

  // long before the first letter: a broker applies a new limit after a moment
  await site.eventLog.ensureTopic(
    { name: site.config.DEAD_LETTERS_TOPIC, partitions: 1, retentionMs: 3_600_000, replicationFactor: -1 })
  await setLargest('100') // less than any letter has
  const first = await spawnProcessor(t, site)
  const exited = once(first, 'exit')
  await sendAll(site)
  assert.deepEqual(await exited, [1, null])
  assert.equal(await progressOf(site), 0n)

  await setLargest('1048588')
  const second = await spawnProcessor(t, site)
  await settled(site)
  second.kill('SIGTERM')
  await once(second, 'exit')
  await assertAllThere(site)
})
