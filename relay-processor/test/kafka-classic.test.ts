/** Processors that share a topic on a broker without KIP-848, while they join, leave and are killed. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'

import { openClassicKafka } from 'relay-test-support/local-kafka.ts'
import { until } from 'relay-test-support/until.ts'
import { makeEvents, openSite, send, settled, spawnProcessor } from './support/open-processor.ts'
import { readWindows, recompute } from './support/recompute.ts'

const limit = { timeout: 180_000 }

test('a hand-over, a kill -9 and a restart under the same name lose nothing and count nothing twice', limit, async t => {
  const kafka = await openClassicKafka(t)
  if (!kafka) return
  const site = await openSite(t, 'kafka', { KAFKA_BOOTSTRAP_SERVERS: kafka.bootstrapServers })
  if (!site) return
  const epochs = async () => (await site.database.query<{ epoch: bigint }>(
    'select epoch from progress where topic = $1 order by ' +
      'source_partition', [site.config.EVENTS_TOPIC])).map(it => it.epoch)

  const events = makeEvents(12_000, 11)
  const batches = Array.from({ length: 12 }, (_, n) => events.slice(n * 1_000, (n + 1) * 1_000))
  const sendNext = async () => send(site, batches.shift()!)

  const leaving = await spawnProcessor(t, site)
  await sendNext()
  const named = await spawnProcessor(t, site, { CONSUMER_INSTANCE_ID: 'processor-0' })
  await sendNext()
  const victim = await spawnProcessor(t, site)
  for (let n = 0; n < 3; n++) await sendNext()
  await settled(site)

  const left = once(leaving, 'exit')
  leaving.kill('SIGTERM')
  await sendNext()
  assert.deepEqual(await left, [0, null])
  victim.kill('SIGKILL')
  for (let n = 0; n < 3; n++) await sendNext()
  await settled(site)

  // the last one, which restarts under its name, claims each partition exactly once more
  const before = await epochs()
  named.kill('SIGKILL')
  await spawnProcessor(t, site, { CONSUMER_INSTANCE_ID: 'processor-0' })
  await until('it to have claimed its partitions', async () =>
    (await epochs()).every((epoch, partition) => epoch > before[partition]))
  while (batches.length > 0) await sendNext()
  await settled(site)
  assert.deepEqual(await epochs(), before.map(it => it + 1n))
  assert.deepEqual(Object.fromEntries(await readWindows(site.database)), Object.fromEntries(recompute(events)))
})
