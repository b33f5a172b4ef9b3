/** Abandoned statements end on the server, and their connections serve the next ones. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'

import fc from 'fast-check'
import { createLogger, databaseFor, openDatabase, type Database } from 'relay-common'
import { openLocalPostgres } from 'relay-test-support/local-postgres.ts'
import { until } from 'relay-test-support/until.ts'

const POOL_MAX = 3
const limit = { timeout: 120_000 }

async function active (database: Database, program: string): Promise<number> {
  return (await database.query(`
    select from pg_stat_activity
    where datname = current_database() and application_name = $1 and state <> 'idle'`, [program])).length
}

/** All connections of the pool at once: each answers its own query, and no leftover. */
async function askAll (database: Database, connections = POOL_MAX): Promise<void> {
  const clients = await Promise.all(Array.from({ length: connections }, () => database.connect()))
  const answers = await Promise.all(clients.map((it, n) => it.query('select $1::integer as n, pg_sleep(0.02)', [n])))
  for (const it of clients) it.release()
  assert.deepEqual(answers.map(it => it.rows[0].n), clients.map((_, n) => n))
}

test('a statement ends on the server when its signal does, with the reason, in any state', limit, async t => {
  const { database: watcher, settings } = await openLocalPostgres(t)
  const database = await openDatabase(
    { ...settings, DATABASE_POOL_MAX: POOL_MAX }, 'cancelled', createLogger('test', 'silent')
  )
  t.after(() => database.close())
  const ways: ReadonlyArray<(database: Database, n: number, seconds: number) => Promise<number>> = [
    async (database, n, seconds) => (await database.query<{ n: number }>(
      'select $1::integer as n, pg_sleep($2)', [n, seconds]
    ))[0].n,
    async (database, n, seconds) =>
      (await database.queryPrepared<{ n: number }>(
        'sleep', 'select $1::integer as n, pg_sleep($2)', [n, seconds]
      ))[0].n,
    async (database, n, seconds) => {
      let seen = -1
      await database.streamPrepared('rows', `
        select $1::integer, pg_sleep($2::float8 / 10) from generate_series(1, 10)`, [n, seconds], ([it]) => { seen = it as number })
      return seen
    }
  ]
  const asked = fc.record({
    way: fc.nat(ways.length - 1),
    seconds: fc.constantFrom(0, 0.005, 60),
    endAfterMs: fc.option(fc.nat(30), { nil: undefined })
  }).map(it => it.seconds === 60 ? { ...it, endAfterMs: it.endAfterMs ?? 10 } : it)

  let cancelled = 0
  await fc.assert(fc.asyncProperty(fc.array(asked, { minLength: 1, maxLength: 12 }), async all => {
    await Promise.all(all.map(async ({ way, seconds, endAfterMs }, n) => {
      const ending = new AbortController()
      const reason = new Error(`the ${n}-th`)
      if (endAfterMs === 0) ending.abort(reason)
      else if (endAfterMs !== undefined) delay(endAfterMs).then(() => ending.abort(reason))
      const answer = ways[way](databaseFor(database, { signal: ending.signal }), n, seconds)
      await answer.then(it => assert.equal(it, n), error => {
        cancelled++
        assert.equal(error, reason)
      })
    }))
    await askAll(database)
    assert.equal(await active(watcher, 'cancelled'), 0)
  }), { numRuns: 60 })
  assert.ok(cancelled > 60, `${cancelled} were cancelled`)
})

test('a wait for a connection ends with its signal, and the connection serves others', limit, async t => {
  const { settings } = await openLocalPostgres(t)
  const database = await openDatabase(
    { ...settings, DATABASE_POOL_MAX: POOL_MAX }, 'waiting', createLogger('test', 'silent')
  )
  t.after(() => database.close())
  const held = await Promise.all(Array.from({ length: POOL_MAX }, () => database.connect()))
  const ending = new AbortController()
  const waiting = database.query('select 1', [], { signal: ending.signal })
  ending.abort(new Error('gone'))
  await assert.rejects(waiting, { message: 'gone' })
  for (const it of held) it.release()
  await askAll(database)
})

test('a connection whose statement can\'t be cancelled is dropped and replaced', limit, async t => {
  const { database: watcher, settings } = await openLocalPostgres(t)
  const database = await openDatabase(
    { ...settings, DATABASE_POOL_MAX: POOL_MAX }, 'stubborn', createLogger('test', 'silent')
  )
  t.after(() => database.close())
  const ending = new AbortController()
  // it ignores cancellations, for longer than anybody waits
  const stubborn = database.query(`do $$ begin
    for n in 1..100 loop begin perform pg_sleep(0.1); exception when query_canceled then null; end; end loop; end $$`,
  [], { signal: ending.signal })
  await until('it to run', async () => await active(watcher, 'stubborn') === 1)
  ending.abort(new Error('gone'))
  await assert.rejects(stubborn, { message: 'gone' })
  await askAll(database)
})

test('rows are read at the pace of their consumer, while others are answered', limit, async t => {
  const { settings } = await openLocalPostgres(t)
  const database = await openDatabase(
    { ...settings, DATABASE_POOL_MAX: POOL_MAX }, 'paced', createLogger('test', 'silent')
  )
  t.after(() => database.close())
  const ROWS = 200_000 // 20 MB: more than sockets hold
  let seen = 0
  let turns = 0
  let letOn = () => {}
  const pace = () => {
    if (seen < ROWS / 2 || turns > 0) return undefined
    turns++
    return new Promise<void>(resolve => { letOn = resolve })
  }
  const reading = database.streamPrepared('wide rows', `
    select n, repeat('x', 100) from generate_series(1, ${ROWS}) n`, [], () => { seen++ }, { pace })
  await until('its turn to be awaited', () => turns === 1)
  const seenAtOnce = seen
  for (let n = 0; n < 20; n++) await askAll(databaseFor(database, {}), POOL_MAX - 1)
  assert.equal(seen, seenAtOnce)
  assert.ok(seen < ROWS, `${seen} rows`)
  letOn()
  await reading
  assert.equal(seen, ROWS)
})

test('a statement whose rows wait for a turn ends with its signal, and the connection serves others', limit, async t => {
  const { database: watcher, settings } = await openLocalPostgres(t)
  const database = await openDatabase(
    { ...settings, DATABASE_POOL_MAX: POOL_MAX }, 'paced and gone', createLogger('test', 'silent')
  )
  t.after(() => database.close())
  const ending = new AbortController()
  let isAwaited = false
  const reading =
    database.streamPrepared('wide rows', "select n, repeat('x', 100) from generate_series(1, 200000) n", [], () => {}, {
      signal: ending.signal,
      pace () {
        isAwaited = true
        return new Promise<void>((_resolve, reject) => {
          ending.signal.addEventListener(
            'abort', () => reject(ending.signal.reason)
          )
        })
      }
    })
  await until('its turn to be awaited', () => isAwaited)
  ending.abort(new Error('gone'))
  await assert.rejects(reading, { message: 'gone' })
  await askAll(database)
  await until('the statement to have ended', async () => await active(watcher, 'paced and gone') === 0)
})

test('a finished statement never delays the next one on its connection', limit, async t => {
  const { settings } = await openLocalPostgres(t)
  const database = await openDatabase(
    { ...settings, DATABASE_POOL_MAX: 1 }, 'paced to the end', createLogger('test', 'silent')
  )
  t.after(() => database.close())
  const { promise: turn, resolve: letOn } = Promise.withResolvers<void>()
  await database.streamPrepared(
    'few rows', 'select n from generate_series(1, 10) n', [], () => {}, { pace: () => turn }
  )
  const ROWS = 200_000 // 20 MB: more than sockets hold
  let seen = 0
  let isAwaited = false
  const next = Promise.withResolvers<void>()
  const reading =
    database.streamPrepared('wide rows', `select n, repeat('x', 100) from generate_series(1, ${ROWS}) n`, [], () => { seen++ }, {
      pace () {
        isAwaited = true
        return next.promise
      }
    })
  await until('the next statement to have rows', () => isAwaited)
  letOn()
  await delay(0)
  assert.ok(seen < ROWS, 'the turn of the one before is not that of this one')
  next.resolve()
  await reading
  assert.equal(seen, ROWS)
})
