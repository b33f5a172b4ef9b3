import type { Database } from 'relay-common'
import { decodeJournal } from 'relay-rollups'

/**
 * Checks a result: at every level each event counts once for its device and once for its group, in rows or in the
 * journal.
 * @returns the number of events
 */
export async function checkCounts (database: Database, events: number): Promise<number> {
  await database.transaction(async client => {
    await client.query('set transaction isolation level repeatable read')
    const journal = { devices: 0, groups: 0 }
    const { rows } = await client.query<{ body: Buffer }>('select body from journal')
    for (const { body } of rows) {
      decodeJournal(body, {
        readings: (_, { timesMs }) => { journal.devices += timesMs.length },
        rollup: (_, __, { count }) => { journal.groups += count }
      })
    }
    for (const level of ['minute', 'hour', 'day']) {
      const { rows: [{ devices, groups }] } = await client.query<{ devices: number, groups: number }>(`
        select coalesce(sum(count) filter (where device_id is not null), 0)::float8 as devices,
          coalesce(sum(count) filter (where device_id is null), 0)::float8 as groups
        from rollups_${level} join series using (series_id)`)
      const found = [devices + journal.devices, groups + journal.groups]
      if (found.some(it => it !== events)) {
        throw new Error(`${events} events were sent; by the ${level} devices and groups count ${found.join(' and ')}`)
      }
    }
  })
  return events
}
