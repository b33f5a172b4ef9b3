import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createLogger, type Database } from 'relay-common'
import { DAY_MS } from 'relay-rollups'

import { openLocalPostgres } from 'relay-test-support/local-postgres.ts'
import { readProcessorConfig } from '../src/config.ts'
import { startRetention } from '../src/retention.ts'

/** One count per time, written with the role of a processor. */
async function writeCounts (database: Database, timesMs: readonly number[]): Promise<void> {
  for (const timeMs of timesMs) {
    await database.query(
      "select ensure_rollup_partitions('arrivals', to_timestamp($1), to_timestamp($1))", [timeMs / 1000]
    )
  }
  await database.transaction(async client => {
    await client.query('set local role relay_processor')
    await client.query(`
      insert into arrival_counts (series_id, bucket_start, source_partition, late, duplicates, late_minutes)
      select 1, to_timestamp(time_s), 0, 0, 1, 0 from unnest($1::float8[]) as t (time_s)`, [timesMs.map(it => it / 1000)])
  })
}

async function readTimes (database: Database): Promise<number[]> {
  return await database.transaction(async client => {
    await client.query('set local role relay_api')
    const { rows } = await client.query<{ at: number }>('select bucket_start as at from arrival_counts order by 1')
    return rows.map(it => it.at)
  })
}

test('counts of late readings and duplicates are kept as long as the level with the longest retention', async t => {
  const { database } = await openLocalPostgres(t)
  const thisHourMs = Math.floor(Date.now() / 3_600_000) * 3_600_000
  const [ancientMs, oldMs, newMs] = [3_000, 300, 1].map(days => thisHourMs - days * DAY_MS)
  await writeCounts(database, [ancientMs, oldMs, newMs])
  const retain = async (minute: string, hour: string, day: string) => {
    const config = readProcessorConfig({
      RETENTION_MINUTE_DAYS: minute, RETENTION_HOUR_DAYS: hour, RETENTION_DAY_DAYS: day
    })
    const retention = await startRetention(database, config, createLogger('test', 'silent'))
    await retention.keptUp
    await retention.close()
    return await readTimes(database)
  }
  assert.deepEqual(await retain('7', '30', '0'), [ancientMs, oldMs, newMs])
  assert.deepEqual(await retain('7', '30', '1000'), [oldMs, newMs])
  assert.deepEqual(await retain('7', '30', '60'), [newMs])
  await assert.rejects(database.transaction(async client => {
    await client.query('set local role relay_api')
    await client.query('delete from arrival_counts')
  }), { code: '42501' })
})
