/** A processor with events spread over decades, and with partitions of an earlier version. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'

import { createLogger, openDatabase } from 'relay-common'
import { DAY_MS } from 'relay-rollups'

import { openLocalPostgres } from 'relay-test-support/local-postgres.ts'
import { readContent, readPartitions, WEEK_MS, writeOldPartitions } from 'relay-test-support/rollup-partitions.ts'
import { readProcessorConfig } from '../src/config.ts'
import { Folder } from '../src/fold.ts'
import { startRetention } from '../src/retention.ts'
import { encode, makeEvents } from './support/open-processor.ts'
import { openOwner } from './support/open-owner.ts'
import { recordsOf } from './support/records.ts'
import { readWindows, recompute } from './support/recompute.ts'

const topic = { name: 'iot-events', topicId: randomUUID(), partitions: 1 }
const log = createLogger('test', 'silent')

test('an event of any week since 1970 counts, in a bounded number of partitions', async t => {
  const { database } = await openLocalPostgres(t)
  await using opened = new AsyncDisposableStack()
  const nowMs = Date.now()
  const weeks = Math.floor(nowMs / WEEK_MS)
  const [first] = makeEvents(1)
  const events = Array.from({ length: weeks }, (_, n) => ({ ...first, timestampMs: n * WEEK_MS + 1_000, value: n }))
  const folder = new Folder({ deviceTypes: new Set(['THERMOSTAT', 'HEART_RATE_METER', 'CAR_FUEL']), futureMaxMs: 0 })
  for (const owner of [1, 2]) { // the second one reads all of them back
    const { flusher, claim } = await openOwner(database, topic, opened)
    const partition = await claim(0)
    folder.fold(partition, recordsOf(0, partition.nextOffset, events.map(encode)), nowMs)
    await flusher.flush([partition], nowMs)
    await flusher.written()
    assert.deepEqual(
      Object.fromEntries(await readWindows(database)), Object.fromEntries(recompute(events)), `owner ${owner}`
    )
  }
  const partitions = await readPartitions(database)
  assert.ok(weeks > 2_900 && partitions.length < 200, `${partitions.length} partitions for ${weeks} weeks`)
})

test('a processor merges partitions of past years at start, and its retention settings drop some', async t => {
  const { database, settings } = await openLocalPostgres(t)
  const week = Math.floor(Date.now() / WEEK_MS)
  await writeOldPartitions(database, week - 200, week)
  await database.query(`
    insert into rollups_minute select 1, to_timestamp(w * 604800::bigint), 0, 1, 1, 1, 1, '' from generate_series($1::bigint, $2) w`,
  [week - 200, week - 1])
  const before = await readContent(database)
  const [{ name }] = await database.query<{ name: string }>('select current_database() as name')
  await database.query(`alter database ${name} set default_transaction_isolation = 'repeatable read'`)
  const own = await openDatabase(settings, 'test', log)
  t.after(() => own.close())
  const upkeep = async (environment: Record<string, string>) => {
    const retention = await startRetention(own, readProcessorConfig(environment), log)
    await retention.keptUp
    await retention.close()
  }
  await upkeep({})
  assert.deepEqual(await readContent(database), before)
  const merged = await readPartitions(database)
  assert.ok(merged.length < 120, `${merged.length} partitions`)
  for (const { startMs, endMs } of merged.filter(it => it.endMs < Date.now() - 500 * DAY_MS)) {
    assert.ok(endMs - startMs >= 26 * WEEK_MS || startMs <= (week - 200) * WEEK_MS)
  }

  await upkeep({ RETENTION_MINUTE_DAYS: '400' })
  const [{ oldest }] = await database.query<{ oldest: number }>(
    'select min(bucket_start) as oldest from rollups_minute'
  )
  const keptFromMs = Date.now() - 400 * DAY_MS
  assert.ok(oldest > keptFromMs - 40 * DAY_MS && oldest < keptFromMs + WEEK_MS, new Date(oldest).toISOString())
})
