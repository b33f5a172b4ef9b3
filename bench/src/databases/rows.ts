/** PostgreSQL with plain rows. */
import type { Client } from 'pg'

import { readingTimeMs } from '../history-fleet.ts'
import { readTreeUsage } from '../process-usage.ts'
import { createRowsIndexes, createRowsTable, RowsCopy, startRowsServer } from '../rows-table.ts'
import type { DatabasePeer } from './peer.ts'
import { TOP, type Answer, type BenchmarkQuery, type Selection } from './queries.ts'
import { inBatches, orderOfDevices, storedSteps, tailReadings } from './readings.ts'

/** rows of a transaction of the last hour */
const TAIL_ROWS = 20_000

export async function openRows (folder: string): Promise<DatabasePeer> {
  await using opened = new AsyncDisposableStack()
  const { client, pid } = opened.use(await startRowsServer(folder))

  const running = opened.move()
  return {
    name: 'PostgreSQL, rows',
    async fill (stored) {
      await createRowsTable(client, stored.fleet)
      const order = orderOfDevices(stored)
      const copy = new RowsCopy(client)
      for (const { startMs, at, values } of storedSteps(stored)) {
        for (const n of order) {
          copy.append(n, readingTimeMs(n, startMs, 0, stored.readingMs), values[n][at])
          if (copy.isFull) await copy.drain()
        }
      }
      await copy.close()
      await createRowsIndexes(client)
    },
    async takeTail (stored) {
      for (const batch of inBatches(tailReadings(stored), TAIL_ROWS)) {
        const copy = new RowsCopy(client)
        for (const { n, timeMs, value } of batch) {
          if (copy.isFull) await copy.drain()
          copy.append(n, timeMs, value)
        }
        await copy.close()
      }
      await client.query('vacuum (analyze) readings') // autovacuum would, some minutes later
    },
    ask: query => ask(client, query),
    readUsage: () => readTreeUsage(pid),
    async readSizeBytes () {
      const { rows: [{ size }] } = await client.query<{ size: number }>(
        'select pg_database_size(current_database())::float8 as size')
      return size
    },
    [Symbol.asyncDispose]: () => running.disposeAsync()
  }
}

const stats = 'count(*)::float8 as count, min(value), max(value), avg(value)'

async function ask (client: Client, query: BenchmarkQuery): Promise<Answer> {
  if (query.kind === 'latest') {
    const { rows } = await client.query<{ device: string, ms: number, value: number }>(`
      select d.name as device, extract(epoch from r.ts)::float8 * 1000 as ms, r.value
      from devices d
      cross join lateral (select ts, value from readings where device_id = d.device_id order by ts desc limit 1) r
      order by d.name`)
    return rows.map(({ device, ms, value }) => ({ device, timeMs: Math.round(ms), value }))
  }
  const { startMs, endMs } = query
  const { condition, values } = chosen(query.selection)
  const where = `where ts >= $1 and ts < $2${condition}`
  const parameters = [new Date(startMs).toISOString(), new Date(endMs).toISOString(), ...values]
  switch (query.kind) {
    case 'top': {
      const { rows } = await client.query(`
        select d.name as device, t.avg
        from (select device_id, avg(value) from readings ${where} group by device_id order by avg desc limit ${TOP}) t
        join devices d using (device_id) order by t.avg desc`, parameters)
      return rows
    }
    case 'p99': {
      const { rows } = await client.query(
        `select percentile_cont(0.99) within group (order by value) as p99 from readings ${where}`, parameters)
      return rows
    }
    case 'total':
      return (await client.query(`select ${stats} from readings ${where}`, parameters)).rows
    case 'rows': {
      const bucket = `date_trunc('${query.interval}', ts, '${query.timeZone}')`
      const { rows } = await client.query(
        `select ${stats} from readings ${where} group by ${bucket} order by ${bucket}`, parameters)
      return rows
    }
  }
}

/** A condition with the third parameter. */
function chosen ({ device, zone, type }: Selection): { condition: string, values: string[] } {
  if (device !== undefined) {
    return { condition: ' and device_id = (select device_id from devices where name = $3)', values: [device] }
  }
  const values = [zone, type].filter(it => it !== undefined)
  if (values.length === 0) return { condition: '', values }
  const column = zone === undefined ? 'type' : 'zone'
  return { condition: ` and device_id = any (array(select device_id from devices where ${column} = $3))`, values }
}
