/**
 * Rows that are known to be new are written as such; if the database has some of them anyway, the result is right too.
 */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'

import type { Database } from 'relay-common'
import { partitionOf } from 'relay-event-log'
import { openLocalPostgres } from 'relay-test-support/local-postgres.ts'
import { Folder } from '../src/fold.ts'
import { encode, makeEvents } from './support/open-processor.ts'
import { openOwner } from './support/open-owner.ts'
import { readWindows, recompute } from './support/recompute.ts'
import { recordsOf } from './support/records.ts'

const topic = { name: 'iot-events', topicId: randomUUID(), partitions: 2 }
const nowMs = Date.parse('2024-06-01T00:00:00Z')
const folder = new Folder({ deviceTypes: new Set(['THERMOSTAT', 'HEART_RATE_METER', 'CAR_FUEL']), futureMaxMs: 0 })

test('progress that was reset by hand counts everything again, once, beside a healthy partition', async t => {
  const { database } = await openLocalPostgres(t)
  await using opened = new AsyncDisposableStack()
  const events = makeEvents(400)
  const ofPartition = [0, 1].map(half => events.filter(it => partitionOf(
    Buffer.from(it.deviceId), 2
  ) === half).map(encode))

  const first = await openOwner(database, topic, opened)
  const before = await first.claim(0)
  folder.fold(before, recordsOf(0, 0n, ofPartition[0].slice(0, 100)), nowMs)
  await first.flusher.flush([before], nowMs)
  await first.flusher.written()
  await database.query('update progress set next_offset = 0, event_time_max = null')

  const { flusher, claim, fenced } = await openOwner(database, topic, opened)
  const partitions = [await claim(0), await claim(1)]
  for (const half of [0, 1]) { // the first flush finds unknown rows, the second continues them
    for (const { partition } of partitions) {
      const values = ofPartition[partition]
      const cut = Math.ceil(0.9 * values.length)
      const part = half === 0 ? values.slice(0, cut) : values.slice(cut)
      folder.fold(partitions[partition], recordsOf(partition, half === 0 ? 0n : BigInt(cut), part), nowMs)
    }
    await flusher.flush(partitions, nowMs)
    await flusher.written()
  }
  assert.deepEqual(fenced, [])
  assert.deepEqual(Object.fromEntries(await readWindows(database)), Object.fromEntries(recompute(events)))
  assert.deepEqual(await database.query('select next_offset from progress order by source_partition'),
    ofPartition.map(it => ({ next_offset: BigInt(it.length) })))
})

test('a flush announces every row that it writes, new or changed', async t => {
  const { database } = await openLocalPostgres(t)
  await using opened = new AsyncDisposableStack()
  const { flusher, claim } = await openOwner(database, topic, opened)
  const partition = await claim(0)
  const values = [20, 21] // in the second flush all rows exist
  for (const [n, value] of values.entries()) {
    const events = makeEvents(100).map(it => encode({ ...it, value }))
    await database.query('delete from rollup_commits')
    folder.fold(partition, recordsOf(0, BigInt(100 * n), events), nowMs)
    await flusher.flush([partition], nowMs)
    await flusher.written()
    assert.deepEqual(await readAnnounced(database), await readKeys(database))
  }
})

async function readAnnounced (database: Database): Promise<unknown[]> {
  return await database.query(`
    select level, first_bucket as bucket, unnest(series_ids) as series_id from rollup_commits order by 1, 2, 3`)
}

async function readKeys (database: Database): Promise<unknown[]> {
  return await database.query(`
    select 0 as level, bucket_start as bucket, series_id from rollups_minute
    union all select 1, bucket_start, series_id from rollups_hour
    union all select 2, bucket_start, series_id from rollups_day order by 1, 2, 3`)
}
