import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createLogger, migrate } from 'relay-common'
import { openLocalPostgres } from 'relay-test-support/local-postgres.ts'

const log = createLogger('test', 'silent')

test('programs that start at once on an empty database migrate it once', async t => {
  const { database } = await openLocalPostgres(t, { migrated: false })
  const taken = await Promise.all([1, 2, 3].map(() => migrate(database, log)))
  assert.deepEqual(taken.map(it => it.length > 0).sort(), [false, false, true])
  assert.deepEqual(await migrate(database, log), [])
})
