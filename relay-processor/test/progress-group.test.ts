/** Two consumer groups on one database: the second one is refused by name, unless it is configured to take over. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'

import { createLogger, RelayError } from 'relay-common'
import type { DeviceEvent } from 'relay-rollups'

import { openLocalPostgres } from 'relay-test-support/local-postgres.ts'
import { until } from 'relay-test-support/until.ts'
import { openPostgresStore } from '../src/postgres-store.ts'
import { startProcessor } from '../src/processor.ts'
import { makeEvents, openSite, send, settled, type Site } from './support/open-processor.ts'
import { readWindows, recompute } from './support/recompute.ts'

const log = createLogger('test', 'silent')
const main = fileURLToPath(new URL('../src/main.ts', import.meta.url))

/** Runs a processor until it ends by itself. */
async function runToItsEnd (t: TestContext, site: Site, settings: Record<string, string>) {
  const child = spawn(process.execPath, [main], {
    env: { ...process.env, ...site.environment, LOG_LEVEL: 'fatal', ...settings }, stdio: ['ignore', 'pipe', 'inherit']
  })
  t.after(() => { child.kill('SIGKILL') })
  const [[code], said] = await Promise.all([once(child, 'exit'), text(child.stdout)])
  return { code, said }
}

const claims = async (site: Site) =>
  await site.database.query('select source_partition, epoch, owner from progress order by source_partition')

const equal = async (site: Site, events: readonly DeviceEvent[]) =>
  assert.deepEqual(Object.fromEntries(await readWindows(site.database)), Object.fromEntries(recompute(events)))

for (const kind of ['kafka', 'postgres'] as const) {
  test(`a second consumer group on a database is refused by name, and the first one keeps its partitions: ${kind}`, { timeout: 180_000 }, async t => {
    const site = await openSite(t, kind)
    if (!site) return
    const events = makeEvents(600)
    await using running = new AsyncDisposableStack()
    running.adopt(await startProcessor(site.config, log), it => it.close())
    await send(site, events.slice(0, 300))
    await settled(site)
    await until('all partitions to be claimed', async () => (await claims(site)).length === 4)
    const before = await claims(site)

    const second = await runToItsEnd(t, site, { CONSUMER_GROUP: 'second' })
    assert.equal(second.code, 1)
    const line = JSON.parse(second.said)
    assert.equal(line.code, 'RELAY_GROUP_REFUSED')
    const { CONSUMER_GROUP: first } = site.config
    for (const part of ['"second"', `"${first}"`, `CONSUMER_GROUP=${first}`, `CONSUMER_GROUP_TAKEOVER_FROM=${first}`]) {
      assert.ok(line.msg.includes(part), `${part} is not in: ${line.msg}`)
    }
    const third = await runToItsEnd(t, site, { CONSUMER_GROUP: 'third', CONSUMER_GROUP_TAKEOVER_FROM: 'second' })
    assert.equal(
      JSON.parse(third.said).code, 'RELAY_GROUP_REFUSED', 'who takes over from another group than the one that holds'
    )

    await send(site, events.slice(300))
    await settled(site)
    assert.deepEqual(await claims(site), before)
    await equal(site, events)
  })

  test(`a group configured to take over does so, the old one ends, and every event counts once: ${kind}`, { timeout: 180_000 }, async t => {
    const site = await openSite(t, kind)
    if (!site) return
    const events = makeEvents(1_200)
    const { CONSUMER_GROUP: first } = site.config
    await using running = new AsyncDisposableStack()
    const former = await startProcessor(site.config, log)
    running.defer(() => former.close().catch(() => {})) // it has failed
    let end: unknown
    former.done.catch(error => { end = error })
    await send(site, events.slice(0, 300))
    await settled(site)

    const takeover = { ...site.config, CONSUMER_GROUP: 'second', CONSUMER_GROUP_TAKEOVER_FROM: first }
    const second = running.adopt(await startProcessor(takeover, log), it => it.close())
    for (let at = 300; at < 900; at += 100) await send(site, events.slice(at, at + 100)) // to the current owner
    await until('the processor of the group before to end', () => end !== undefined)
    assert.ok(end instanceof RelayError && end.code === 'RELAY_GROUP_REFUSED', String(end))
    assert.match(end.message, /"second"/)
    assert.equal(
      JSON.parse((await runToItsEnd(t, site, {})).said).code, 'RELAY_GROUP_REFUSED', 'and is refused when it comes back'
    )
    await settled(site)
    await equal(site, events.slice(0, 900))

    await second.close()
    running.adopt(await startProcessor({ ...takeover, CONSUMER_GROUP_TAKEOVER_FROM: undefined }, log), it => it.close())
    await send(site, events.slice(900))
    await settled(site)
    await equal(site, events)
  })
}

test('of two groups that claim an empty database at once, one gets all partitions', async t => {
  const { database } = await openLocalPostgres(t)
  await using opened = new AsyncDisposableStack()
  const topic = { name: 'iot-events', topicId: randomUUID(), partitions: 8 }
  const claimAll = async (group: string) => {
    const store = opened.adopt(
      await openPostgresStore(database, { kind: 'kafka', generation: 'blue', group, takeoverFrom: undefined }),
      it => it.close()
    )
    return await Promise.allSettled(Array.from({ length: 4 }, (_, n) => store.claim(topic, n, group, 0n)))
  }
  const outcomes = await Promise.all([claimAll('a'), claimAll('b')])
  const [holder, other] = outcomes[0][0].status === 'fulfilled' ? outcomes : outcomes.toReversed()
  assert.deepEqual(holder.map(it => it.status), Array(4).fill('fulfilled'))
  assert.deepEqual(other.map(it => it.status === 'rejected' && it.reason.code), Array(4).fill('RELAY_GROUP_REFUSED'))
})
