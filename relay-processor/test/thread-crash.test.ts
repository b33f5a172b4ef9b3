/** A crashing thread ends its processor with one line, and others continue from the last commit. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test, type TestContext } from 'node:test'

import { until } from 'relay-test-support/until.ts'
import type { CrashWay } from './support/crash-thread.ts'
import { makeEvents, openSite, send, settled, spawnProcessor, type Site } from './support/open-processor.ts'
import { readWindows, recompute } from './support/recompute.ts'

const preload = new URL('./support/crash-thread.ts', import.meta.url)

/** A processor of two threads that can be made to crash, and its log above the level of warnings. */
async function spawnVictim (t: TestContext, site: Site) {
  const processor = await spawnProcessor(t, site, {
    PROCESSOR_THREADS: '2',
    LOG_LEVEL: 'error',
    NODE_OPTIONS: `--import ${preload} --max-old-space-size=96` // MB per thread: it is soon full
  })
  const log: string[] = []
  processor.stdout!.setEncoding('utf8').on('data', text => log.push(text))
  return { processor, readErrors: () => log.join('').split('\n').filter(it => it !== '').map(line => JSON.parse(line)) }
}

/** The processes that own partitions. */
async function readOwners ({ database, config }: Site): Promise<Array<number | undefined>> {
  const rows = await database.query<{ owner: string }>(
    'select owner from progress where topic = $1', [config.EVENTS_TOPIC]
  )
  return rows.map(it => Number(it.owner.split(':').at(-1)))
}

const crashes: ReadonlyArray<readonly [CrashWay, RegExp]> = [
  ['an error that nobody handles', /^thread 1 of the processor failed: a bug of this thread$/],
  ['a rejection that nobody handles', /^thread 1 of the processor failed: a bug of this thread$/],
  ['no memory', /^thread 1 of the processor failed: .*memory/],
  ['an exit', /^thread 1 of the processor ended$/]
]

for (const [way, message] of crashes) {
  test(`${way} in a thread ends the processor with one line; another continues, nothing is lost or doubled`, async t => {
    const site = (await openSite(t, 'postgres'))!
    const events = makeEvents(3_000)
    const { processor: victim, readErrors } = await spawnVictim(t, site)
    await send(site, events.slice(0, 1_000))
    await settled(site)
    const other = await spawnProcessor(t, site)
    await until('the two to share the partitions', async () => {
      const owners = await readOwners(site)
      return [victim, other].every(it => owners.includes(it.pid))
    })

    const ended = Promise.all([once(victim, 'exit'), once(victim.stdout!, 'end')])
    for (let at = 1_000; at < events.length; at += 50) {
      await send(site, events.slice(at, at + 50))
      if (at === 1_500) victim.send(way) // with data in memory, or on its way to the database
    }
    const [[code]] = await ended
    assert.equal(code, 1)
    const [error, ...more] = readErrors()
    assert.match(error.msg, message)
    assert.deepEqual([error.level, error.code, more], ['fatal', 'RELAY_PROGRAM_FAILED', []])

    await settled(site)
    other.kill('SIGTERM')
    await once(other, 'exit')
    assert.deepEqual(Object.fromEntries(await readWindows(site.database)), Object.fromEntries(recompute(events)))
  })
}
