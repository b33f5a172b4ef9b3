/** One moment of the database, for commands that compare it with the event log. */
import { liftTimeLimits, type Database, type PoolClient } from 'relay-common'
import { levels } from 'relay-rollups'

/** A connection with a snapshot of the database. */
export interface Snapshot extends Pick<Database, 'queryPrepared'> {
  readonly client: PoolClient
}

export async function openSnapshot (database: Database): Promise<Snapshot & Disposable> {
  const client = await database.connect()
  await liftTimeLimits(client)
  await client.query('begin isolation level repeatable read, read only')
  // before the snapshot, which the first query takes: it would lack rows of partitions merged after it
  await client.query(`lock table only ${levels.map(it => it.table).join(', only ')} in access share mode`)
  return {
    client,
    queryPrepared: async (name, text, values) => (await client.query({ name, text, values })).rows,
    [Symbol.dispose]: () => client.release(true)
  }
}
