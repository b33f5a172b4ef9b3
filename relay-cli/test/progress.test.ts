import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createLogger } from 'relay-common'
import { readProcessorConfig } from '../../relay-processor/src/config.ts'
import { startProcessor } from '../../relay-processor/src/processor.ts'
import { makeEvents, openSite, send, settled, type Site } from '../../relay-processor/test/support/open-processor.ts'
import { readWindows, recompute } from '../../relay-processor/test/support/recompute.ts'
import { until } from 'relay-test-support/until.ts'
import { documents, runCli } from './support/run-cli.ts'

const log = createLogger('test', 'silent')

/** The same site with a topic of another name and other offsets, as a mirror has. */
async function mirrorOf (site: Site): Promise<Site> {
  const name = `${site.config.EVENTS_TOPIC}.mirror`
  const environment = { ...site.environment, EVENTS_TOPIC: name }
  await site.eventLog.ensureTopic({ name, partitions: 4, retentionMs: 3_600_000, replicationFactor: -1 })
  return { ...site, environment, config: readProcessorConfig(environment) }
}

for (const kind of ['kafka', 'postgres'] as const) {
  test(`processors go on in a mirror of the ${kind} log at the time that was set, and count everything once`, async t => {
    const site = await openSite(t, kind)
    if (!site) return
    const [events, more] = [makeEvents(1_500), makeEvents(500, 7)]
    const before = await startProcessor(site.config, log)
    await send(site, events)
    await settled(site)
    await before.close()

    const mirror = await mirrorOf(site)
    const set = (...args: string[]) => runCli(mirror, ['progress', 'set', ...args])
    await send(mirror, events.slice(500, 1_000))
    const half = await mirror.eventLog.readOffsets(mirror.config.EVENTS_TOPIC)
    const time = new Date(await nextMs()).toISOString()
    await send(mirror, [...events.slice(1_000), ...more])

    const shown = await set('--time', time)
    assert.match(shown.stdout, /^partition {2}next offset {2}becomes {2}to read\n[^]*nothing was changed; --yes sets it\n$/)
    const done = documents(await set('--time', time, '--yes', '--json'))[0]
    assert.deepEqual(done.partitions.map((it: any) => it.to), half.map(it => String(it.endOffset)))

    const after = await startProcessor(mirror.config, log)
    await settled(mirror)
    const right = Object.fromEntries(recompute([...events, ...more]))
    assert.deepEqual(Object.fromEntries(await readWindows(site.database)), right)
    const offsets = await site.database.query<{ next_offset: bigint }>(
      'select next_offset from progress where topic = $1', [mirror.config.EVENTS_TOPIC])
    assert.ok(offsets.every(it => it.next_offset > 0n))

    // back, while a processor runs: it reads them again, and they count once
    assert.equal((await set('--time', '1h', '--yes')).code, 0)
    await until('the processor to claim its partitions again', async () => (await site.database.query(
      "select from progress where topic = $1 and owner = 'relay progress set'", [mirror.config.EVENTS_TOPIC]
    )).length === 0)
    await settled(mirror)
    assert.deepEqual(Object.fromEntries(await readWindows(site.database)), right)
    await after.close()

    await send(mirror, makeEvents(100, 8))
    const later = new Date(await nextMs()).toISOString()
    const refused = await set('--time', later, '--yes')
    assert.equal(refused.code, 2)
    assert.match(refused.stderr, /100 unread records would be passed over and never counted[^\n]*--allow-skip/)
    assert.equal((await set('--time', later, '--yes', '--allow-skip')).code, 0)
    const acts = await site.database.query("select from audit_log where act = 'progress.set'")
    assert.equal(acts.length, 3)
    for (const wrong of [[], ['--time', 'soon'], ['--time', '']]) assert.equal((await set(...wrong)).code, 64)
  })
}

/** A moment after everything that was appended, on the clock of this machine. */
async function nextMs (): Promise<number> {
  const nowMs = Date.now()
  await until('the clock to go on', () => Date.now() > nowMs + 1)
  return Date.now()
}
