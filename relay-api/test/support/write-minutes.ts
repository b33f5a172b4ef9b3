import type { Database } from 'relay-common'

import { writeEvents } from './write-events.ts'

/** A reading a minute of one device, `d-1`. All minutes have the same bytes: they are relative. */
export async function writeMinutes (database: Database, startMs: number, rows: number): Promise<void> {
  const event = { deviceId: 'd-1', deviceType: 'THERMOSTAT', zone: 'Zone A', value: 21.5, sourcePartition: 0 }
  await writeEvents(database, [{ ...event, timestampMs: startMs }])
  await database.query("select ensure_rollup_partitions('minute', to_timestamp($1), to_timestamp($2))",
    [startMs / 1000, startMs / 1000 + rows * 60])
  await database.query(`
    insert into rollups_minute (series_id, bucket_start, source_partition, count, sum, min, max, body)
    select series_id, bucket_start + n * interval '1 minute', source_partition, count, sum, min, max, body
    from rollups_minute, generate_series(1, $1 - 1) n
    where series_id = (select series_id from series where device_id is not null)`, [rows])
  await database.query('analyze rollups_minute')
}
