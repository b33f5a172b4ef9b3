/** A processor whose database is behind PgBouncer. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

import { createLogger } from 'relay-common'

import { behindPgbouncer, startPgbouncer } from 'relay-test-support/local-pgbouncer.ts'
import { startProcessor } from '../src/processor.ts'
import { makeEvents, openSite, send, settled } from './support/open-processor.ts'
import { readWindows, recompute } from './support/recompute.ts'

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url))

test('behind a pooler that gives transactions different sessions a processor ends with advice', behindPgbouncer, async t => {
  const site = (await openSite(t, 'postgres'))!
  const pooler = await startPgbouncer(t, site.environment.DATABASE_URL, { pool_mode: 'transaction' })
  const child = spawn(process.execPath, [main], {
    env: { ...process.env, ...site.environment, DATABASE_URL: pooler.url, LOG_LEVEL: 'fatal' },
    stdio: ['ignore', 'pipe', 'inherit']
  })
  t.after(() => { child.kill('SIGKILL') })
  const [[code], said] = await Promise.all([once(child, 'exit'), text(child.stdout)])
  assert.equal(code, 1)
  const line = JSON.parse(said)
  assert.equal(line.code, 'RELAY_DATABASE_POOLED')
  assert.match(line.msg, /pool_mode=transaction.*relay-processor.*pool_mode=session.*DATABASE_URL/)
  assert.doesNotMatch(line.msg, /DATABASE_LISTEN_URL/, 'it has no such setting')
  assert.deepEqual(await site.database.query('select * from progress'), [])
})

for (const kind of ['kafka', 'postgres'] as const) {
  test(`behind a pooler that keeps sessions every event counts once: ${kind}`, behindPgbouncer, async t => {
    const site = await openSite(t, kind)
    if (!site) return
    const [{ name }] = await site.database.query<{ name: string }>('select current_database() as name')
    await site.database.query(`alter database ${name} set timezone = 'Asia/Kolkata'`)
    const pooler = await startPgbouncer(
      t, site.environment.DATABASE_URL, { pool_mode: 'session', default_pool_size: 50 }
    )
    const events = makeEvents(2_000)
    const pooled = { ...site.config, DATABASE_URL: pooler.url, PROCESSOR_THREADS: 2 }
    for (const part of [events.slice(0, 1_000), events.slice(1_000)]) { // the second one reads rows back
      const processor = await startProcessor(pooled, createLogger('test', 'silent'))
      await send(site, part)
      await settled(site).finally(() => processor.close())
    }
    assert.deepEqual(Object.fromEntries(await readWindows(site.database)), Object.fromEntries(recompute(events)))
  })
}
