import type { Database } from 'relay-common'
import { levels } from 'relay-rollups'

import { writeEvents } from './write-events.ts'

/**
 * A reading per minute of one device, `d-1`. All buckets have the same relative bytes, so hours and days only exist.
 */
export async function writeMinutes (database: Database, startMs: number, rows: number): Promise<void> {
  const event = { deviceId: 'd-1', deviceType: 'THERMOSTAT', zone: 'Zone A', value: 21.5, sourcePartition: 0 }
  await writeEvents(database, [{ ...event, timestampMs: startMs }])
  for (const { name, table, sizeMs } of levels) {
    await database.query(
      'select ensure_rollup_partitions($1, to_timestamp($2), to_timestamp($3))',
      [name, startMs / 1000, startMs / 1000 + rows * 60]
    )
    await database.query(`
      insert into ${table} (series_id, bucket_start, source_partition, count, sum, min, max, body)
      select series_id, bucket_start + n * interval '${sizeMs / 60_000} minutes', source_partition, count, sum, min, max, body
      from ${table}, generate_series(1, $1::integer) n
      where series_id = (select series_id from series where device_id is not null)`, [Math.ceil(rows * 60_000 / sizeMs) - 1])
  }
  await database.query('analyze rollups_minute')
}
