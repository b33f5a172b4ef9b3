import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createLogger, migrate } from 'relay-common'
import { openLocalPostgres } from './support/local-postgres.ts'

const log = createLogger('test', 'silent')

test('programs that start at once on an empty database migrate it once', async t => {
  const { database } = await openLocalPostgres(t, { migrated: false })
  const taken = await Promise.all([1, 2, 3].map(() => migrate(database, log)))
  assert.deepEqual(taken.map(it => it.length > 0).sort(), [false, false, true])
  assert.deepEqual(await migrate(database, log), [])
})

test('partitions are made for any age of bucket, once, also by several at a time', async t => {
  const { database } = await openLocalPostgres(t)
  const make = (first: string, last: string) =>
    database.query('select ensure_rollup_partitions($1, $2, $3)', ['minute', first, last])
  await Promise.all([1, 2, 3].map(() => make('2024-01-01T00:00:00Z', '2024-01-20T00:00:00Z')))
  await make('1970-01-01T00:00:00Z', '1970-01-01T00:00:00Z')

  await database.query(`insert into rollups_minute values
    (1, '2024-01-01T00:00:00Z', 0, 1, 1, 1, 1, ''), (1, '2024-01-20T23:59:00Z', 0, 1, 1, 1, 1, ''),
    (1, '1970-01-01T00:00:00Z', 0, 1, 1, 1, 1, '')`)
  const [{ rows }] = await database.query<{ rows: bigint }>('select count(*) as rows from rollups_minute')
  assert.equal(rows, 3n)
})

test('a level with a retention loses the partitions that are wholly older, and no other', async t => {
  const { database } = await openLocalPostgres(t)
  await database.query("select ensure_rollup_partitions('minute', '2024-01-01', '2024-03-01')")
  await database.query("select ensure_rollup_partitions('hour', '2024-01-01', '2024-03-01')")
  await database.query('insert into rollups_minute select 1, day, 0, 1, 1, 1, 1, \'\' from generate_series(\'2024-01-01\'::timestamptz, \'2024-03-01\', \'1 day\') day')

  await database.query("select set_rollup_retention('minute', '30 days')")
  const dropped = await database.query("select * from drop_old_rollups('2024-03-01')")
  assert.ok(dropped.length >= 3, `dropped ${dropped.length}`)

  const [{ oldest }] = await database.query<{ oldest: number }>('select min(bucket_start) as oldest from rollups_minute')
  const cutMs = Date.parse('2024-01-31T00:00:00Z')
  assert.ok(oldest <= cutMs && oldest > cutMs - 7 * 86_400_000, new Date(oldest).toISOString())
  assert.deepEqual(await database.query("select * from drop_old_rollups('2024-03-01')"), [])
})
