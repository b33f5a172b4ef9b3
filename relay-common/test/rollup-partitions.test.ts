/** The number of partitions is bounded, for any event times, and old ones are merged meanwhile. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Client } from 'pg'

import { isConnectionError, type Database } from 'relay-common'
import { DAY_MS } from 'relay-rollups'
import { openLocalPostgres } from 'relay-test-support/local-postgres.ts'
import {
  mergeAll, readContent, readPartitions, writeOldPartitions, WEEK_MS
} from 'relay-test-support/rollup-partitions.ts'
import { until } from 'relay-test-support/until.ts'

const insertMinute = 'insert into rollups_minute values ($1, to_timestamp($2), $3, 1, $4, 0, 0, $5)'

test('partitions are created for buckets of any age, once, also by several programs at a time', async t => {
  const { database } = await openLocalPostgres(t)
  const make = (first: string, last: string) =>
    database.query('select ensure_rollup_partitions($1, $2, $3)', ['minute', first, last])
  await Promise.all([1, 2, 3].map(() => make('2024-01-01T00:00:00Z', '2024-01-20T00:00:00Z')))
  await make('1970-01-01T00:00:00Z', '1970-01-01T00:00:00Z')

  await database.query(`insert into rollups_minute values
    (1, '2024-01-01T00:00:00Z', 0, 1, 1, 1, 1, ''), (1, '2024-01-20T23:59:00Z', 0, 1, 1, 1, 1, ''),
    (1, '1970-01-01T00:00:00Z', 0, 1, 1, 1, 1, '')`)
  const [{ rows }] = await database.query<{ rows: bigint }>('select count(*) as rows from rollups_minute')
  assert.equal(rows, 3n)
  for (const [first, last] of [
    ['1969-12-31', '1970-01-01'], ['2024-01-01', '2999-01-01'], ['2024-01-02', '2024-01-01']
  ]) {
    await assert.rejects(make(first, last), { code: '22008' })
  }
})

test('all time since 1970 has a partition per year, and small ones only for recent time', async t => {
  const { database } = await openLocalPostgres(t)
  const nowMs = Date.now()
  for (const level of ['minute', 'hour', 'day', 'arrivals']) {
    await database.query("select ensure_rollup_partitions($1, '1970-01-01Z', now())", [level])
  }
  const partitions = await readPartitions(database)
  const counts = Map.groupBy(partitions, it => it.level)
  assert.ok(counts.get('minute')!.length <= 130, `${counts.get('minute')!.length} of minutes`)
  assert.ok(partitions.length <= 240, `${partitions.length} in all`)
  const newest = partitions.find(it => it.level === 'minute' &&
    it.startMs <= nowMs - WEEK_MS && it.endMs > nowMs - WEEK_MS)!
  assert.equal(newest.endMs - newest.startMs, WEEK_MS)
})

/** Of one level, in order; each time belongs to at most one. */
function assertApart (partitions: ReadonlyArray<{ startMs: number, endMs: number }>): void {
  for (const [n, it] of partitions.entries()) {
    assert.ok(it.startMs < it.endMs)
    if (n > 0) assert.ok(partitions[n - 1].endMs <= it.startMs, JSON.stringify([partitions[n - 1], it]))
  }
}

test('every time belongs to one partition, in any order of creating, dropping and merging', async t => {
  const { database } = await openLocalPostgres(t)
  const firstDay = Date.parse('2010-01-01T00:00:00Z') / DAY_MS
  const step = fc.oneof(
    {
      weight: 6, arbitrary: fc.record({ kind: fc.constant('make' as const), day: fc.integer({ min: 0, max: 2_000 }) })
    },
    {
      weight: 2, arbitrary: fc.record({ kind: fc.constant('merge' as const), steps: fc.integer({ min: 1, max: 12 }) })
    },
    {
      weight: 1, arbitrary: fc.record({ kind: fc.constant('drop' as const), days: fc.integer({ min: 0, max: 1_500 }) })
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('wait' as const), days: fc.integer({ min: 1, max: 400 }) }) })
  let merges = 0
  await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 8, maxLength: 40 }), async steps => {
    await database.query('update rollup_levels set retention = null')
    for (const { partition } of (await readPartitions(database)).filter(it => it.level === 'minute')) {
      await database.query('select abandon_rollup_merge($1::regclass)', [partition])
      await database.query(`drop table ${partition}`)
    }
    let clockDay = firstDay + 800
    const expected = new Map<number, number>() // by day, its row
    for (const it of steps) {
      const clock = new Date(clockDay * DAY_MS).toISOString()
      if (it.kind === 'make') {
        const day = firstDay + it.day
        const [{ starts, ends }] = await database.query<{ starts: number, ends: number }>(
          "select * from make_rollup_partition('minute', to_timestamp($1), $2)", [day * 86_400, clock])
        assert.ok(starts <= day * DAY_MS && ends > day * DAY_MS)
        expected.set(day, (expected.get(day) ?? 0) + 1)
        await database.query(`${insertMinute}
          on conflict (series_id, bucket_start, source_partition) do update set sum = excluded.sum`,
        [day, day * 86_400, 0, expected.get(day), Buffer.of(1)])
      } else if (it.kind === 'wait') {
        clockDay += it.days
      } else if (it.kind === 'merge') {
        for (let n = 0; n < it.steps; n++) {
          const [{ state }] = await database.query<{ state: string }>(
            'select merge_rollups_before($1) as state', [clock]
          )
          if (state === 'again') merges++
        }
      } else {
        const keepDays = it.days + 1
        await database.query(
          "update rollup_levels set retention = make_interval(days => $1) where name = 'minute'", [keepDays]
        )
        const dropped = (await readPartitions(database)).filter(it => it.level === 'minute')
        await database.query('select drop_rollups_before($1)', [clock])
        await database.query('update rollup_levels set retention = null')
        const kept = new Set((await readPartitions(database)).map(it => it.startMs))
        for (const { startMs, endMs } of dropped.filter(it => !kept.has(it.startMs))) {
          assert.ok(endMs <= (clockDay - keepDays) * DAY_MS)
          for (const day of [...expected.keys()]) {
            if (day * DAY_MS >= startMs && day * DAY_MS < endMs) expected.delete(day)
          }
        }
      }
      const partitions = (await readPartitions(database)).filter(it => it.level === 'minute')
      assertApart(partitions)
      const rows = await database.query<{ day: number, sum: number }>(
        'select series_id as day, sum from rollups_minute order by 1'
      )
      assert.deepEqual(rows.map(it => [it.day, it.sum]), [...expected].sort((a, b) => a[0] - b[0]))
    }
  }), { numRuns: 25 })
  assert.ok(merges > 0)
})

test('small partitions of a past year are merged, including rows that are written, changed and deleted meanwhile', async t => {
  const { database } = await openLocalPostgres(t)
  await writeOldPartitions(database, 1_500, 1_500 + 104)
  await database.query('create table expected (like rollups_minute)')
  const both = async (sql: (table: string) => string) => await database.transaction(async client => {
    for (const table of ['rollups_minute', 'expected']) await client.query(sql(table))
  })
  const at = (week: number, minute: string) => `to_timestamp(${week} * 604800::bigint + ${minute} * 60)`
  await both(table => `insert into ${table} select s, ${at(1_500, 'm * 997')}, s % 2, 1, m, 0, 0, '\\x01'
    from generate_series(1, 40) s, generate_series(0, 1040) m`)
  let steps = 0
  const states = new Set<string>()
  await mergeAll(database, async state => {
    states.add(state)
    const n = steps++
    // a new row, a changed one and a deleted one, at any step of the merge
    await both(table =>
      `insert into ${table} values (${100 + n}, ${at(1_500 + n % 100, '7')}, 0, 1, ${n}, 0, 0, '\\x02')`)
    await both(table =>
      `update ${table} set sum = -sum where series_id = ${1 + n % 40} and bucket_start >= ${at(1_510, '0')} and bucket_start < ${at(1_580, '0')}`)
    await both(table =>
      `delete from ${table} where series_id = ${1 + n % 40} and bucket_start < ${at(1_503 + n % 30, '0')}`)
  })
  assert.deepEqual([...states].sort(), ['again', 'done'])
  assert.ok(steps > 8, `${steps} steps`)
  assert.deepEqual(await readContent(database), await readContent(database, 'expected'))
  const partitions = (await readPartitions(database)).filter(it => it.level === 'minute')
  assert.ok(partitions.length <= 3, `${partitions.length} partitions`)
  assert.deepEqual(await database.query('select from rollup_merge_changes'), [])
})

test('a merge that is killed at any step continues from there, also with several processors, and readers always see every row', async t => {
  const { database, url } = await openLocalPostgres(t)
  await writeOldPartitions(database, 1_500, 1_500 + 60)
  await database.query(`
    insert into rollups_minute select s, to_timestamp((1500 + m % 60) * 604800::bigint + m * 60), 0, 1, m, 0, 0, '\\x01'
    from generate_series(1, 30) s, generate_series(0, 599) m`)
  const before = await readContent(database)
  const done = new AbortController()
  let kills = 0
  const killer = (async () => {
    while (!done.signal.aborted && kills < 20) {
      const killed = await database.query(`
        select pg_terminate_backend(pid) from pg_stat_activity
        where application_name = 'merger' and state = 'active' and query like '%merge_old_rollups%' and random() < 0.3`)
      kills += killed.length
    }
  })()
  const reader = (async () => {
    let reads = 0
    while (!done.signal.aborted) {
      assert.deepEqual(await readContent(database), before)
      reads++
    }
    return reads
  })()
  const merger = async () => {
    for (;;) {
      const client = new Client({ connectionString: url, application_name: 'merger' })
      client.on('error', () => {})
      try {
        await client.connect()
        for (;;) {
          const { rows: [{ state }] } = await client.query('select merge_old_rollups() as state')
          if (state === 'done') return
        }
      } catch (error) {
        // killed
        assert.ok(isConnectionError(error), String(error))
      } finally {
        await client.end().catch(() => {})
      }
    }
  }
  await Promise.all([1, 2, 3].map(merger))
  done.abort()
  await killer
  assert.ok(await reader > 0)
  assert.ok(kills > 0, 'nothing was killed')
  assert.deepEqual(await readContent(database), before)
  assert.ok((await readPartitions(database)).length <= 3)
  assert.deepEqual(await database.query(
    "select from pg_class where relname like '%\\_merged' and not relispartition and relkind = 'r'"
  ), [])
})

test('a merge is refused if its snapshot could be older than its locks', async t => {
  const { database } = await openLocalPostgres(t)
  for (const level of ['repeatable read', 'serializable']) {
    await assert.rejects(database.transaction(async client => {
      await client.query(`set transaction isolation level ${level}`)
      await client.query('select merge_old_rollups()')
    }), { code: '25000' })
  }
})

test('a partition past its retention is dropped during its merge', async t => {
  const { database } = await openLocalPostgres(t)
  await writeOldPartitions(database, 1_560, 1_560 + 52)
  await database.query('select merge_old_rollups()')
  assert.equal((await database.query('select from rollup_merges')).length, 1)
  await database.query("select set_rollup_retention('minute', '400 days')")
  await dropAll(database)
  assert.deepEqual(await readPartitions(database), [])
  assert.deepEqual(await database.query('select from rollup_merges'), [])
  assert.deepEqual(
    await database.query("select from pg_class where relname like 'rollups\\_minute\\_%' and relkind = 'r'"), []
  )
})

async function dropAll (database: Database): Promise<number> {
  for (let calls = 1; ; calls++) {
    if ((await database.query('select drop_old_rollups()')).length === 0) return calls
  }
}

test('thousands of partitions past their retention are dropped, few per transaction, while others read', async t => {
  const { database } = await openLocalPostgres(t)
  await writeOldPartitions(database, 0, 700)
  await database.query("select set_rollup_retention('minute', '30 days')")
  const dropped = await database.query<{ name: string }>('select name from drop_old_rollups() as t (name)')
  assert.ok(dropped.length > 0 && dropped.length <= 10, `${dropped.length}`)
  for (const { name } of dropped) assert.match(name, /rollups_minute_\d{8}$/)
  assert.ok(await dropAll(database) > 60)
  assert.deepEqual(await readPartitions(database), [])
})

test('after a jump of the clock retention catches up by a day per hour, and a clock that was set back takes it along', async t => {
  const { database } = await openLocalPostgres(t)
  const jumpWeeks = 522
  const jumpDays = 7 * jumpWeeks
  const week = Math.floor(Date.now() / WEEK_MS) - jumpWeeks // of the jump
  await writeOldPartitions(database, week - 3, week)
  await database.query("select set_rollup_retention('minute', '30 days')")
  await database.query(`
    update rollup_clock set reached_at = now() - make_interval(days => $1), looked_at = now() - make_interval(days => $1)`, [jumpDays])
  const before = await readPartitions(database)
  for (let n = 0; n < 5; n++) await database.query('select drop_old_rollups(), trim_old_rollups()')
  assert.deepEqual(await readPartitions(database), before)

  const behind = async () => (await database.query<{ days: number }>(
    'select extract(epoch from now() - reached_at)::float8 / 86400 as days from rollup_clock'))[0].days
  assert.ok(Math.abs(await behind() - (jumpDays - 1)) < 0.1, `${await behind()}`)
  for (let hours = 1; hours <= 30; hours++) {
    await database.query("update rollup_clock set looked_at = looked_at - interval '1 hour'")
    await dropAll(database)
  }
  assert.ok(Math.abs(await behind() - (jumpDays - 31)) < 0.1, `${await behind()}`)
  assert.deepEqual(await readPartitions(database), [])

  await database.query(`
    update rollup_clock set reached_at = now() + interval '5 days', looked_at = now() + interval '5 days'`)
  await dropAll(database)
  assert.ok(Math.abs(await behind()) < 0.1, `${await behind()}`)
})

test('a drop does not wait for a reader: it gives up, and can be repeated', async t => {
  const { database } = await openLocalPostgres(t)
  await writeOldPartitions(database, 100, 101)
  await database.query("select set_rollup_retention('minute', '30 days')")
  await database.transaction(async reader => {
    await reader.query('select from rollups_minute')
    await assert.rejects(database.query('select drop_old_rollups()'), { code: '55P03' })
  })
  await until('the reader to be gone', async () => (await database.query('select drop_old_rollups()')).length === 1)
})

test('rows past their retention are deleted from a partition that stays, in pages, and no other row is', async t => {
  const { database } = await openLocalPostgres(t)
  const dayS = Math.floor(Date.now() / DAY_MS) * 86_400
  await database.query("select ensure_rollup_partitions('day', to_timestamp($1), now())", [dayS - 3_000 * 86_400])
  await database.query(`
    insert into rollups_day select s, to_timestamp($1 - n * 86400::bigint), 0, 1, 1, 1, 1, repeat('x', 500)::bytea
    from generate_series(1, 20) s, generate_series(0, 2999) n`, [dayS])
  await database.query("select set_rollup_retention('day', '1000 days')")
  await dropAll(database)
  let steps = 0
  while ((await database.query<{ more: boolean }>('select trim_old_rollups() as more'))[0].more) steps++
  assert.ok(steps > 1, `${steps} steps`)
  const [{ rows, oldest }] = await database.query<{ rows: bigint, oldest: number }>(
    'select count(*) as rows, min(bucket_start) as oldest from rollups_day')
  assert.equal(oldest, (dayS - 999 * 86_400) * 1000)
  assert.equal(rows, 20_000n)
})

test('a level with a retention loses exactly the partitions that are completely older', async t => {
  const { database } = await openLocalPostgres(t)
  await writeOldPartitions(database, 2_800, 2_820)
  const nowS = 2_820 * 604_800
  await database.query(`
    insert into rollups_minute select 1, to_timestamp(n * 86400::bigint), 0, 1, 1, 1, 1, ''
    from generate_series(2800 * 7, 2820 * 7 - 1) n`)
  await database.query("select set_rollup_retention('minute', '30 days')")
  while ((await database.query('select drop_rollups_before(to_timestamp($1))', [nowS])).length > 0);
  const [{ oldest }] = await database.query<{ oldest: number }>(
    'select min(bucket_start) as oldest from rollups_minute'
  )
  const cutMs = (nowS - 30 * 86_400) * 1000
  assert.ok(oldest <= cutMs && oldest > cutMs - WEEK_MS, new Date(oldest).toISOString())
})
