import assert from 'node:assert/strict'
import { test } from 'node:test'

import { openSite } from '../../relay-processor/test/support/open-processor.ts'
import { runCli } from './support/run-cli.ts'

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

  for (const args of [['lagg'], ['lag', '--nonsense'], ['verify'], ['verify', '--from', 'yesterday', '--to', '0s']]) {
    const usage = await runCli(site, args)
    assert.equal(usage.code, 64, args.join(' '))
    assert.match(usage.stderr, /^error: [^]*--help/)
  }
  const help = await runCli(site, ['replay', '--help'])
  assert.equal(help.code, 0)
  assert.match(help.stdout, /Examples:/)
})
