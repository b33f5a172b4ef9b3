import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

import { tellLocalStack } from 'relay-common'

import { openSite } from '../../relay-processor/test/support/open-processor.ts'
import { documents, runCli } from './support/run-cli.ts'

test('what is wrong is one line, and the exit code tells a wrong command line from work that failed', async t => {
  const site = (await openSite(t, 'postgres'))!
  const missing = await runCli({ ...site, environment: { ...site.environment, EVENTS_TOPIC: 'no-such-topic' } }, ['lag'])
  assert.deepEqual([missing.code, missing.stdout], [2, ''])
  assert.match(missing.stderr, /^relay: there is no topic no-such-topic .*\(RELAY_TOPIC_MISSING\)\n$/)

  const away = { ...site.environment, DATABASE_URL: 'postgres://relay:secret@127.0.0.1:1/relay' }
  const unreachable = await runCli({ ...site, environment: away }, ['lag'])
  assert.equal(unreachable.code, 2)
  assert.match(unreachable.stderr, /^relay: no connection to PostgreSQL at 127.0.0.1:1\/relay.*\n$/)
  assert.doesNotMatch(unreachable.stderr, /secret/)

  const noPassword = new URL(site.environment.DATABASE_URL)
  noPassword.password = ''
  const nobody = await runCli({ ...site, environment: { ...site.environment, DATABASE_URL: noPassword.href } }, ['lag'])
  assert.equal(nobody.code, 2)
  assert.match(nobody.stderr, /^relay: PostgreSQL at \S+ asks for a password, and there is none.*POSTGRES_PASSWORD_FILE.*\n$/)

  for (const args of [['lagg'], ['lag', '--nonsense'], ['verify'], ['verify', '--from', 'yesterday', '--to', '0s']]) {
    const usage = await runCli(site, args)
    assert.equal(usage.code, 64, args.join(' '))
    assert.match(usage.stderr, /^error: [^]*--help/)
  }
  const help = await runCli(site, ['replay', '--help'])
  assert.equal(help.code, 0)
  assert.match(help.stdout, /Examples:/)
})

test('settings that name no database and no log mean the local stack; one that does leaves it out', async t => {
  const site = (await openSite(t, 'postgres'))!
  const folder = await mkdtemp(join(tmpdir(), 'relay-test-cli-'))
  t.after(() => rm(folder, { recursive: true }))
  const { DATABASE_URL, EVENT_LOG, ...rest } = site.environment
  const environment = { ...rest, RELAY_DATA_DIR: folder }
  const told = await tellLocalStack(folder, { DATABASE_URL, EVENT_LOG })
  const lag = await runCli({ environment }, ['lag', '--json'])
  assert.equal(lag.code, 0, lag.stderr)
  assert.equal(documents(lag)[0].topic, site.config.EVENTS_TOPIC)
  const elsewhere = await runCli({ environment: { ...environment, POSTGRES_PORT: '1' } }, ['lag'])
  assert.match(elsewhere.stderr, /no connection to PostgreSQL at \S+:1\//)
  await told.close()
  await told.close() // a second time is no harm
})
