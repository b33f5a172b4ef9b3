import assert from 'node:assert/strict'
import { test } from 'node:test'

import type { Database, PoolClient } from 'relay-common'
import { openLocalPostgres } from 'relay-test-support/local-postgres.ts'
import { until } from 'relay-test-support/until.ts'

interface Commit {
  readonly level: number
  readonly first_bucket: number
  readonly last_bucket: number
  readonly series_ids: number[] | null
}

type Change = readonly [level: number, bucketMs: number, seriesIds: readonly number[] | null]

/** A transaction of a flush that only contains its announcement. */
async function announce (
  client: PoolClient, changes: readonly Change[], beforeCommit: () => Promise<void> = async () => {}
): Promise<void> {
  await client.query('begin')
  await client.query('select announce_rollups($1, $2, $3)', [
    changes.map(([level]) => level),
    changes.map(([, bucketMs]) => new Date(bucketMs).toISOString()),
    changes.map(([, , seriesIds]) => seriesIds && `{${seriesIds.join(',')}}`)
  ])
  await beforeCommit()
  await client.query('commit')
}

async function openConnection (database: Database): Promise<PoolClient & AsyncDisposable> {
  const client = await database.connect()
  return Object.assign(client, { [Symbol.asyncDispose]: async () => client.release(true) })
}

const readCommits = (database: Database) => database.query<Commit>(
  'select level, first_bucket, last_bucket, series_ids from rollup_commits order by level, first_bucket')

const minute = (n: number) => Date.UTC(2024, 0, 1, 0, n)

test('a commit names its changed buckets, and their series', async t => {
  const { database } = await openLocalPostgres(t)
  await using client = await openConnection(database)
  await announce(client, [[0, minute(1), [5, 7]], [0, minute(2), [5]], [2, minute(0), [5]]])
  assert.deepEqual(await readCommits(database), [
    { level: 0, first_bucket: minute(1), last_bucket: minute(1), series_ids: [5, 7] },
    { level: 0, first_bucket: minute(2), last_bucket: minute(2), series_ids: [5] },
    { level: 2, first_bucket: minute(0), last_bucket: minute(0), series_ids: [5] }
  ])
})

test('a commit without rows leaves no trace, and a very large one a short trace', async t => {
  const { database } = await openLocalPostgres(t)
  await using client = await openConnection(database)
  await announce(client, [])
  assert.deepEqual(await readCommits(database), [])

  await announce(client, [[0, minute(9), null]])
  assert.deepEqual(await readCommits(database), [
    { level: 0, first_bucket: minute(9), last_bucket: minute(9), series_ids: null }
  ])

  await database.query('delete from rollup_commits')
  await announce(client, Array.from({ length: 301 }, (_, n) => [0, minute(n), [1]] as const))
  assert.deepEqual(await readCommits(database), [
    { level: 0, first_bucket: minute(0), last_bucket: minute(297), series_ids: null },
    ...[298, 299, 300].map(n => ({ level: 0, first_bucket: minute(n), last_bucket: minute(n), series_ids: [1] }))
  ])
})

test('a listener is notified of a commit when it is readable, and not before', async t => {
  const { database } = await openLocalPostgres(t)
  await using listener = await openConnection(database)
  await listener.query('listen rollup_commits')
  const heard = new Promise(resolve => listener.once('notification', resolve))
  let hasHeard = false
  heard.then(() => { hasHeard = true })

  await using client = await openConnection(database)
  await announce(client, [[0, minute(1), [7]]], async () => {
    await listener.query('select 1') // a notification would come with the answer
    assert.equal(hasHeard, false)
  })
  await heard
  assert.equal((await readCommits(database)).length, 1)
})

/** Sets the clock of the server, which can't be set here: what it has told moves the other way. */
async function setClock (database: Database, by: string): Promise<void> {
  await database.query('update rollup_commit_marks set newest_at = newest_at - $1::interval', [by])
}

test('commits are deleted after some minutes, by later ones', async t => {
  const { database } = await openLocalPostgres(t)
  await using client = await openConnection(database)
  await announce(client, [[0, minute(1), [7]]])
  for (let n = 0; n < 2; n++) {
    await setClock(database, '16 minutes')
    await announce(client, [[0, minute(1), [7]]])
    assert.equal((await readCommits(database)).length, n + 2)
  }
  // a transaction of another test may be older than the commits: then they stay until it has ended
  await until('the oldest to be deleted', async () => {
    await setClock(database, '16 minutes')
    await announce(client, [[0, minute(1), [7]]])
    return (await readCommits(database)).length <= 4
  })
  const [{ gone }] = await database.query<{ gone: boolean }>(`
    select not exists (select from rollup_commits, rollup_commit_marks where xact_id < oldest) as gone`)
  assert.ok(gone)
})

test('a clock that is set forward by years deletes no commit, and set back it delays no deletion', async t => {
  const { database } = await openLocalPostgres(t)
  await using client = await openConnection(database)
  await announce(client, [[0, minute(1), [7]]])
  await setClock(database, '10 years')
  for (let n = 0; n < 3; n++) await announce(client, [[0, minute(1), [7]]])
  assert.equal((await readCommits(database)).length, 4)
  await setClock(database, '-10 years')
  for (let n = 0; n < 3; n++) await announce(client, [[0, minute(1), [7]]])
  assert.equal((await readCommits(database)).length, 7)
  await until('the oldest to be deleted', async () => {
    await setClock(database, '16 minutes')
    await announce(client, [[0, minute(1), [7]]])
    return (await readCommits(database)).length <= 4
  })
})

test('commits in a database that was loaded from a dump of an older server are kept', async t => {
  const { database } = await openLocalPostgres(t)
  await using client = await openConnection(database)
  await database.query(`
    update rollup_commit_marks set oldest = '9000000000', middle = '9000000001', newest = '9000000002'`)
  for (let n = 0; n < 3; n++) await announce(client, [[0, minute(1), [7]]])
  assert.equal((await readCommits(database)).length, 3)
})
