import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createLogger, openDatabase, pendingMigrations } from 'relay-common'

import { openLocalPostgres } from '../../relay-common/test/support/local-postgres.ts'
import { documents, runCli } from './support/run-cli.ts'

test('a database is brought up to date, once; a dry run only says what there is to do', async t => {
  const { database, url, settings } = await openLocalPostgres(t, { migrated: false })
  const site = { environment: { DATABASE_URL: url, EVENT_LOG: 'postgres' } }
  const [pending] = documents(await runCli(site, ['migrate', '--dry-run', '--json']))
  assert.ok(pending.length > 5)
  assert.deepEqual(await pendingMigrations(database), pending)

  assert.deepEqual(documents(await runCli(site, ['migrate', '--json'])), [pending])
  assert.deepEqual(await pendingMigrations(database), [])
  assert.match((await runCli(site, ['migrate'])).stdout, /nothing to do/)

  const again = await openDatabase(settings, 'test', createLogger('test', 'silent'))
  assert.deepEqual(await again.query('select count(*) as n from series'), [{ n: 0n }])
  await again.close()
})
