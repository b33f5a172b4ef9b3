/**
 * Readings as plain rows of PostgreSQL: a table of devices, rows by binary COPY, a covering index on device
 * and time, a BRIN index on time. Nothing prevents a reading from being stored twice.
 */
import { once } from 'node:events'
import { join } from 'node:path'

import getPort from 'get-port'
import { Client, type ClientBase } from 'pg'
import { from as copyFrom } from 'pg-copy-streams'

import { ensureDatabase, startPostgres } from '../../relay-stack/src/postgres.ts'
import { endOnSignal } from './children.ts'
import type { FleetDevice } from './history-fleet.ts'

/** Settings of its server, for a machine of its own. */
const serverParameters = [
  'shared_buffers=2GB', 'work_mem=64MB', 'maintenance_work_mem=1GB', 'max_wal_size=4GB', 'checkpoint_timeout=15min',
  'random_page_cost=1.1', 'effective_cache_size=8GB'
]

export interface RowsServer extends AsyncDisposable {
  readonly url: string
  /** of the server's first process */
  readonly pid: number
  readonly client: Client
}

/** Starts its server on an empty folder, with a database and a client of it. */
export async function startRowsServer (folder: string): Promise<RowsServer> {
  await using opened = new AsyncDisposableStack()
  const server = opened.adopt(await startPostgres({
    dataDir: join(folder, 'data'),
    logFile: join(folder, 'postgres.log'),
    port: await getPort({ host: '127.0.0.1' }),
    parameters: serverParameters
  }), it => it.close())
  opened.use(endOnSignal(() => server.close()))
  await ensureDatabase(server, 'rows')
  const url = server.url('rows')
  const client = opened.adopt(new Client({ connectionString: url }), it => it.end())
  await client.connect()
  const running = opened.move()
  return { url, pid: server.pid, client, [Symbol.asyncDispose]: () => running.disposeAsync() }
}

export async function createRowsTable (client: ClientBase, fleet: readonly FleetDevice[]): Promise<void> {
  await client.query(`
    create table devices (
      device_id int primary key, name text not null unique, zone text not null, type text not null)`)
  await client.query('create table readings (ts timestamptz not null, value float8 not null, device_id int not null)')
  await client.query(`
    insert into devices
    select n, name, zone, type from unnest($1::int[], $2::text[], $3::text[], $4::text[]) as d (n, name, zone, type)`,
  [fleet.map((_, n) => n), fleet.map(it => it.id), fleet.map(it => it.zone), fleet.map(it => it.type)])
}

/** After loading a history: building an index is faster than growing it. */
export async function createRowsIndexes (client: ClientBase): Promise<void> {
  await client.query('create index readings_device on readings (device_id, ts) include (value)')
  await client.query('create index readings_time on readings using brin (ts) with (pages_per_range = 32)')
  await client.query('vacuum (analyze) readings, devices')
}

const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1')
const TRAILER = Buffer.from([0xff, 0xff])
const ROW_BYTES = 2 + (4 + 8) + (4 + 8) + (4 + 4)
/** timestamptz counts microseconds from 2000-01-01 */
const POSTGRES_EPOCH_MS = Date.UTC(2000, 0, 1)
const TWO_32 = 2 ** 32
const CHUNK_ROWS = 20_000

/** A COPY that is under way. */
export class RowsCopy {
  readonly #copy
  #chunk = Buffer.allocUnsafe(CHUNK_ROWS * ROW_BYTES)
  #length = 0

  constructor (client: ClientBase) {
    this.#copy = client.query(copyFrom('copy readings (ts, value, device_id) from stdin (format binary)'))
    this.#copy.write(SIGNATURE)
  }

  get isFull (): boolean {
    return this.#length === this.#chunk.length
  }

  /** To be called while it is not full. */
  append (device: number, timeMs: number, value: number): void {
    const us = (timeMs - POSTGRES_EPOCH_MS) * 1000
    const chunk = this.#chunk
    let at = chunk.writeInt16BE(3, this.#length)
    at = chunk.writeInt32BE(8, at)
    at = chunk.writeInt32BE(Math.floor(us / TWO_32), at)
    at = chunk.writeUInt32BE(((us % TWO_32) + TWO_32) % TWO_32, at)
    at = chunk.writeDoubleBE(value, chunk.writeInt32BE(8, at))
    this.#length = chunk.writeInt32BE(device, chunk.writeInt32BE(4, at))
  }

  /** Waits while PostgreSQL is behind. */
  async drain (): Promise<void> {
    const isTaken = this.#copy.write(this.#chunk.subarray(0, this.#length))
    this.#chunk = Buffer.allocUnsafe(CHUNK_ROWS * ROW_BYTES)
    this.#length = 0
    if (!isTaken) await once(this.#copy, 'drain')
  }

  /** Commits. */
  async close (): Promise<void> {
    this.#copy.end(Buffer.concat([this.#chunk.subarray(0, this.#length), TRAILER]))
    await once(this.#copy, 'finish')
  }
}
