/**
 * Statements that can't be steered: what one costs is counted by its keys, on a site with a zone of 300,000 devices,
 * and whatever the statistics of its tables say. Every statement of Relay that takes keys by `unnest` is held to that
 * here.
 */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'

import { createLogger, openDatabase, type PoolClient } from 'relay-common'
import {
  DAY_MS, dayLevel, emptyRollup, encodeRollupBody, foldReading, HOUR_MS, JournalWriter, levels, MINUTE_MS, minuteLevel
} from 'relay-rollups'
import { heartbeat } from '../../relay-event-log/src/postgres/leases.ts'
import { SteadyWaits } from '../../relay-event-log/src/postgres/steady-waits.ts'
import { openLocalPostgres, type TestDatabase } from 'relay-test-support/local-postgres.ts'
import { findSeries, findZones } from '../../relay-api/src/ingest/quotas.ts'
import { readArrivalTotals } from '../../relay-api/src/query/late-readings.ts'
import { nobody } from '../../relay-api/src/sharing/asker.ts'
import { createBatches } from '../../relay-api/src/query/batch.ts'
import { boundariesAt } from '../../relay-api/src/query/boundaries.ts'
import { countDevicesOfTypes, countDevicesOfZones } from '../../relay-api/src/query/device-counts.ts'
import { findGranted } from '../../relay-api/src/query/granted.ts'
import { readGroups } from '../../relay-api/src/query/groups.ts'
import { parseInterval } from '../../relay-api/src/query/interval.ts'
import { readRowsBefore } from '../../relay-api/src/query/look-back.ts'
import { readOccupied } from '../../relay-api/src/query/occupied.ts'
import { keptForEver } from '../../relay-api/src/query/plan.ts'
import { rangesOutside } from '../../relay-api/src/query/prefix-ranges.ts'
import { planRows, readBuckets } from '../../relay-api/src/query/read-buckets.ts'
import { readRows as readTotalRows } from '../../relay-api/src/query/read-rows.ts'
import { readSteps } from '../../relay-api/src/query/read-steps.ts'
import type { Wanted } from '../../relay-api/src/query/rows-statement.ts'
import { readDevices, readGroupPresences } from '../../relay-api/src/query/presence.ts'
import { findStatistic } from '../../relay-api/src/query/statistics.ts'
import { openZoneClock } from '../../relay-api/src/query/zone-clock.ts'
import { readChanges } from '../../relay-api/src/stream/commits.ts'
import { View } from '../../relay-api/src/stream/view.ts'
import { readChangedBuckets } from '../../relay-api/src/stream/changed-buckets.ts'
import { announceRollups } from '../../relay-processor/src/announce.ts'
import { writeArrivals } from '../../relay-processor/src/late-count-rows.ts'
import { writeJournal } from '../../relay-processor/src/journal-rows.ts'
import { moveProgress } from '../../relay-processor/src/progress.ts'
import { readMisplaced } from '../../relay-processor/src/homes.ts'
import { readElsewhere, readStoredRows } from '../../relay-processor/src/rollup-rows.ts'
import { nameSeries } from '../../relay-processor/src/series-ids.ts'
import type { PartitionRows } from '../../relay-processor/src/store.ts'
import { explaining, type Explained } from './support/explained.ts'

const DEVICES = 300_000
const KEYS = 1_000
/** of each key: the way down its index, and the row; of arms that read three levels more often */
const PAGES_PER_KEY = 40
const ROWS_PER_KEY = 15
/** catalogs, and what a statement reads whatever its keys are */
const PAGES_MORE = 2_000

const noGrants = {}
/** some hundred devices of a large zone */
const mine = { zones: ['Zone A'], devicePrefixes: ['device-1234', 'device-2999'] }
const ofAll = { devices: [], zones: [], types: [], grants: noGrants }
/** of progress alone */
const readTopicId = '00000000-0000-4000-8000-000000000001'
const startMs = Date.parse('2024-03-04T00:00:00Z')

/** @param topicId of a topic of the event log */
/** Of a row with one reading. */
function bodyOf (bucketStartMs: number): Buffer {
  const rollup = emptyRollup()
  foldReading(rollup, bucketStartMs, 1)
  return encodeRollupBody(rollup, bucketStartMs)
}

/** May go through all devices of a zone, once: no key is the reason. */
const A_PAGE = 'a page of devices is read'

/** Of a series that no case asks for. */
function journalBody (): Buffer {
  const writer = new JournalWriter()
  writer.addReading(2 ** 30, Date.parse('1999-01-01T00:00:00Z'), 1)
  return writer.take().body
}

type Case = (explained: Explained, topicId: string) => Promise<unknown>

const range = (count: number, first = 0) => Array.from({ length: count }, (_, n) => first + n)
const nameOf = (n: number, prefix = 'device') => ({ deviceId: `${prefix}-${n}`, zone: 'Zone A', deviceType: 'THERMOSTAT', idsOf: 0 })
const writesOf = (rest: Partial<PartitionRows>): PartitionRows => ({
  move: { partition: 0, epoch: 1n, historyId: '', fromOffset: 0n, toOffset: 1n, eventTimeMaxMs: startMs, taken: [] },
  rows: levels.map(() => ({ fresh: [], changed: [], seriesOfBuckets: new Map() })),
  rowCount: 0,
  announcedCount: 0,
  journal: { removed: [], rows: [] },
  arrivals: [],
  misplaced: [],
  daysMs: [],
  ...rest
})

/** By what they do: KEYS keys each. */
const cases: Readonly<Record<string, Case>> = {
  'names that are there are looked up': ({ database }) => nameSeries(
    database, range(KEYS, 100_000).map(n => nameOf(n))
  ),
  'names that are new are looked up and added': ({ database }) => nameSeries(
    database, range(KEYS).map(n => nameOf(n, 'new'))
  ),
  'groups are looked up': ({ database }) => nameSeries(database, range(KEYS).map(n => ({
    deviceId: null, zone: `Zone ${n}`, deviceType: 'THERMOSTAT', idsOf: -1
  }))),
  'series and zones of events are looked up for quotas': async ({ database }) => {
    const events = range(KEYS / 2).map(
      n => ({ ...nameOf(n, n % 2 === 0 ? 'device' : 'new'), value: 1, timestampMs: startMs })
    )
    await findSeries(database, events)
    assert.equal((await findZones(database, range(KEYS / 2).map(n => `Zone ${n + 750}`))).length, 251)
  },
  'rows are read back': async ({ database }) => {
    for (const level of levels) {
      await readStoredRows(database, level, 0, range(KEYS, 100_000).map(seriesId => ({ seriesId, bucketMs: startMs })))
    }
  },
  'minutes of other partitions are read': ({ database }) =>
    readElsewhere(database, 1, range(KEYS, 100_000).map(seriesId => ({ seriesId, bucketMs: startMs }))),
  'blocks leave the journal': ({ client }) => writeJournal(client, [writesOf({
    journal: { removed: range(KEYS, 1).map(block => ({ block, fromFlush: 0 })), rows: [] }
  })]),
  'readings come home': async ({ client, database }) => {
    await client.query(`
      insert into misplaced_readings (home_partition, first_time, readings, series_ids, bodies)
      select 0, now(), $1, array_agg(n), array_agg('\\x'::bytea) from generate_series(100000, 100000 + $1 - 1) n`, [KEYS])
    assert.equal((await readMisplaced(database, new Map([[0, new Set()]]))).length, KEYS)
  },
  'counts of late readings are added': ({ client }) => writeArrivals(client, [writesOf({
    arrivals: range(KEYS, 100_000).map(seriesId => ({
      seriesId, hourMs: startMs, late: 1, duplicates: 0, lateMinutes: 1n, lateThroughMs: startMs
    }))
  })]),
  'progress is moved': ({ client }) => moveProgress(client, readTopicId, range(KEYS).map(partition => ({
    partition, epoch: 1n, historyId: '', fromOffset: 0n, toOffset: 1n, eventTimeMaxMs: startMs, taken: []
  }))),
  'a flush is announced': ({ client }) => announceRollups(client, [writesOf({
    rowCount: KEYS,
    rows: levels.map(({ sizeMs }) => ({
      fresh: [], changed: [], seriesOfBuckets: new Map(range(KEYS / 3).map(n => [startMs + n * sizeMs, [n]]))
    }))
  })]),
  'questions of one turn are answered': async ({ database }) => {
    const batches = createBatches(database)
    const hour = { startMs, endMs: startMs + HOUR_MS }
    const every = range(10).map(
      n => ({ level: dayLevel, startMs: startMs + 2 * n * DAY_MS, endMs: startMs + (2 * n + 1) * DAY_MS })
    )
    const kept = [{ level: dayLevel, startMs: startMs - DAY_MS, endMs: startMs }]
    const ask = (n: number, wanted: Partial<Wanted>) => readTotalRows(batches,
      { deviceId: `device-${n + 100_000}`, zone: 'Zone A', deviceType: 'THERMOSTAT' },
      { buckets: [], edges: [], kept: [], keptPosition: 1n, ...wanted }, () => {})
    await Promise.all(range(50).map(
      n => ask(n, { buckets: [{ level: minuteLevel, ...hour }], kept, arrivalsOf: hour })
    ))
    await Promise.all(range(50).map(n => ask(n, { buckets: every, kept })))
    await ask(0, { buckets: every, edges: [{ bucketMs: startMs, startMs, endMs: startMs + 1 }] })
    await readTotalRows(
      batches, { zone: 'Zone A' },
      { buckets: [{ level: minuteLevel, ...hour }], edges: [], kept, keptPosition: 1n, arrivalsOf: hour }, () => {}
    )
  },
  'rows of an answer are read': ({ database }) => readBuckets(database,
    { selection: { ...ofAll, devices: range(50, 100_000).map(n => `device-${n}`), zones: ['Zone A'], types: ['THERMOSTAT'] }, groupBy: 'device', kind: 'devices', marksRevised: true },
    range(50, 100_000).map(n => `device-${n}`), planRows(range(21).map(n => startMs + n * MINUTE_MS), 0, 20)),
  'rows of a zone are read': ({ database }) => readBuckets(database,
    { selection: { ...ofAll, zones: ['Zone A'] }, groupBy: 'zone', kind: 'groups', marksRevised: true },
    ['Zone A'], planRows(range(101).map(n => startMs + n * HOUR_MS), 0, 100)),
  'rows that can have readings are found': async ({ database }) => {
    const query = {
      statistics: [findStatistic('avg')!],
      boundaries: boundariesAt(...range(DAY_MS / MINUTE_MS + 1).map(n => startMs + n * MINUTE_MS)),
      isDescending: false,
      fill: 'none',
      lookBack: undefined,
      limit: Infinity,
      after: undefined,
      maxGapMs: HOUR_MS,
      nowMs: startMs + DAY_MS,
      keptSince: keptForEver,
      marksRevised: false
    } as const
    const groups = (keys: readonly string[]) => keys.map(key => ({ key, seriesCount: 1 }))
    await readOccupied(database, { ...query, selection: { ...ofAll, zones: ['Zone A'] }, groupBy: 'device' }, 'devices', groups(range(400, 100_000).map(n => `device-${n}`)))
    await readOccupied(database, { ...query, selection: ofAll, groupBy: 'zone' }, 'groups', groups(range(100, 1).map(n => `Zone ${n}`)))
  },
  'steps are walked': ({ database }) => readSteps(database,
    { selection: { ...ofAll, devices: range(100, 100_000).map(n => `device-${n}`), zones: ['Zone A'] }, groupBy: undefined, maxGapMs: HOUR_MS, nowMs: startMs + DAY_MS },
    new Map([['', [startMs, startMs + HOUR_MS]]])),
  'rows before a range are read': async ({ database }) => {
    for (const [groupBy, keys, zones] of [
      ['device', range(KEYS, 100_000).map(n => `device-${n}`), ['Zone A']], ['zone', range(100, 1).map(n => `Zone ${n}`), []]
    ] as const) {
      const interval = parseInterval('1h')!
      const lookBack = { interval, clock: openZoneClock('UTC')!, keptSince: keptForEver }
      await readRowsBefore(database, {
        selection: { ...ofAll, zones },
        groupBy,
        statistics: [findStatistic('avg')!, findStatistic('increase')!],
        boundaries: boundariesAt(...[startMs + DAY_MS, startMs + 2 * DAY_MS]),
        isDescending: false,
        fill: 'previous',
        lookBack,
        limit: Infinity,
        after: undefined,
        maxGapMs: HOUR_MS,
        nowMs: startMs + 3 * DAY_MS,
        keptSince: keptForEver,
        marksRevised: false
      }, lookBack, keys, async () => assert.fail('a row of whole buckets is read together with the others'))
    }
  },
  [A_PAGE]: async ({ database }) => {
    await readDevices(database, { ...ofAll, zones: ['Zone A'] }, '', 'device-2', 100)
    await readDevices(database, { ...ofAll, grants: mine }, 'device', undefined, 100)
    await readDevices(database, ofAll, 'device-2999', undefined, 100)
  },
  'devices of a prefix are found in a large zone, and counted': async ({ database }) => {
    for (const grants of [mine, { devicePrefixes: mine.devicePrefixes }]) {
      for (const types of [[], ['THERMOSTAT']]) await findGranted(database, { ...ofAll, types, grants }, nobody)
      await readGroups(database, { ...ofAll, grants }, 'device', 'devices', { key: 'device-1', isIncluded: false }, 500)
      await countDevicesOfTypes(database, { ...ofAll, types: ['THERMOSTAT'], grants })
    }
    await countDevicesOfZones(database, { ...ofAll, zones: ['Zone A'], grants: mine })
  },
  'devices that were found are read': async ({ database }) => {
    const granted = {
      series: [{ zone: 'Zone A', type: 'THERMOSTAT', ids: Int32Array.from(range(KEYS, 100_000)) }], position: 1n
    }
    const selection = { ...ofAll, zones: ['Zone A'], grants: mine, granted }
    await readBuckets(
      database, { selection, groupBy: 'zone', kind: 'devices', marksRevised: true }, ['Zone A'],
      planRows([startMs, startMs + HOUR_MS], 0, 1)
    )
    await readArrivalTotals(database, selection, { startMs, endMs: startMs + HOUR_MS })
    await readGroupPresences(database, selection, 'zone', ['Zone A'], nobody)
    await readTotalRows(createBatches(database), { zone: 'Zone A', grants: mine, granted },
      { buckets: [{ level: dayLevel, startMs, endMs: startMs + DAY_MS }], edges: [], kept: [], keptPosition: 1n },
      () => {})
  },
  'zones of which a caller sees all devices are read': async ({ database }) => {
    const grants = { zones: ['Zone A'], outside: { zones: ['Zone A'], ranges: rangesOutside(['device-']) } }
    const selection = { ...ofAll, zones: ['Zone A'], grants }
    await findGranted(database, { ...selection, grants: { zones: ['Zone A'], devicePrefixes: ['device-'] } }, nobody)
    await readBuckets(
      database, { selection, groupBy: 'zone', kind: 'groups', marksRevised: true }, ['Zone A'],
      planRows([startMs, startMs + HOUR_MS], 0, 1)
    )
    await readArrivalTotals(database, selection, { startMs, endMs: startMs + HOUR_MS })
    await readTotalRows(createBatches(database), { zone: 'Zone A', grants },
      { buckets: [{ level: dayLevel, startMs, endMs: startMs + DAY_MS }], edges: [], kept: [], keptPosition: 1n },
      () => {})
  },
  'windows of a stream are read': async ({ database }) => {
    for (const levelIndex of levels.keys()) {
      const view = new View({ selection: { ...ofAll, grants: noGrants }, levelIndex, groupBy: 'device' })
      for (const n of range(KEYS, 100_000)) view.take({ seriesId: n, ...nameOf(n) })
      const buckets = [...view.groups.keys()].map(group => ({ group, bucketMs: startMs }))
      await readChangedBuckets(database, new Map([[view, { buckets, stretch: undefined }]]))
    }
  },
  'what has changed since is read': ({ database }) =>
    readChanges(database, { xactId: 1n }, 0, range(KEYS, 100_000)),
  'partitions are leased': async ({ client }, topicId) => {
    const member = { group: 'group', name: 'member', sessionId: randomUUID(), sessionTimeoutMs: 10_000 }
    const topic = { topicId, name: 'topic', partitions: KEYS }
    const transactions = {
      query: async (text: string, values?: unknown[]) =>
        /^(?:begin|commit|rollback)$/.test(text) ? undefined : await client.query(text, values)
    } as unknown as PoolClient
    const standing = await heartbeat(transactions, topic as never, member, false, new SteadyWaits(1_000), [])
    assert.equal(standing.kind, 'member')
  },
  'batches are appended to the log': ({ client }, topicId) => client.query('select append_to_event_log($1, $2, $3, ' +
    '$4, $5, $6, $7)', [
    topicId, range(KEYS), range(KEYS).map(() => 1), range(KEYS).map(() => 1), range(KEYS).map(() => Buffer.from('k')),
    range(KEYS).map(() => Buffer.from('v')), null]),
  'batches are read from the log': ({ client }, topicId) => client.query(
    'select * from read_event_log_with_headers($1, $2, $3, $4, 1000000)',
    [topicId, range(KEYS), range(KEYS).map(() => 1), range(KEYS).map(() => 0)]
  ),
  'batches are read from the log by a processor of the version before': ({ client }, topicId) => client.query(
    'select * from read_event_log_with_times($1, $2, $3, $4, 1000000)',
    [topicId, range(KEYS), range(KEYS).map(() => 1), range(KEYS).map(() => 0)]),
  'batches are read from the log by a processor of two versions before': ({ client }, topicId) => client.query(
    'select * from read_event_log($1, $2, $3, $4, 1000000)',
    [topicId, range(KEYS), range(KEYS).map(() => 1), range(KEYS).map(() => 0)])
}

/** By file: how many times it says `unnest`, and the cases that run what it says; or why it needs none. */
const statements: Readonly<Record<string, { readonly count: number, readonly by: readonly string[] } | string>> = {
  'relay-processor/src/series-ids.ts': {
    count: 3,
    by: ['names that are there are looked up', 'names that are new are looked up and added', 'groups are looked up']
  },
  'relay-processor/src/journal-rows.ts': { count: 1, by: ['blocks leave the journal'] },
  'relay-processor/src/rollup-rows.ts': {
    count: 3, by: ['rows are read back', 'minutes of other partitions are read']
  },
  'relay-processor/src/homes.ts': { count: 1, by: ['readings come home'] },
  'relay-cli/src/stored-buckets.ts': 'a check compares whole days of tables, for its operator alone: ' +
    'no sender can start one',
  'relay-processor/src/late-count-rows.ts': { count: 1, by: ['counts of late readings are added'] },
  'relay-processor/src/progress.ts': { count: 1, by: ['progress is moved'] },
  'relay-processor/src/swap-rebuilt.ts': 'a rebuild compares whole days of tables, for its operator alone: ' +
    'no sender can start one',
  'relay-api/src/query/batch.ts': { count: 1, by: ['questions of one turn are answered'] },
  'relay-api/src/query/rows-statement.ts': { count: 1, by: ['questions of one turn are answered'] },
  'relay-api/src/query/read-journal.ts': { count: 1, by: ['steps are walked', 'rows before a range are read'] },
  'relay-api/src/query/read-buckets.ts': { count: 1, by: ['rows of an answer are read', 'rows of a zone are read'] },
  'relay-api/src/parameters/selection.ts': {
    count: 2,
    by: [
      'devices of a prefix are found in a large zone, and counted', 'zones of which a caller sees all devices are read'
    ]
  },
  'relay-api/src/query/granted.ts': {
    count: 2, by: ['devices of a prefix are found in a large zone, and counted', A_PAGE]
  },
  'relay-api/src/query/read-steps.ts': { count: 1, by: ['steps are walked', 'rows before a range are read'] },
  'relay-api/src/query/look-back.ts': { count: 1, by: ['rows before a range are read'] },
  'relay-api/src/stream/changed-buckets.ts': { count: 1, by: ['windows of a stream are read'] },
  'relay-api/src/stream/commits.ts': { count: 1, by: ['what has changed since is read'] },
  'relay-api/src/ingest/quotas.ts': { count: 2, by: ['series and zones of events are looked up for quotas'] },
  'relay-common/migrations/0016-rollup-partitions.sql':
    'rows that change while partitions are merged, some at a time and by the primary key, ' +
      'in the sessions of a processor, which plan by key',
  'relay-event-log/src/postgres/leases.ts': { count: 1, by: ['partitions are leased'] },
  'relay-common/migrations/0004-event-log.sql': {
    count: 3,
    by: ['batches are appended to the log', 'batches are read from the log by a processor of two versions before']
  },
  'relay-common/migrations/0024-event-log-times.sql': {
    count: 1, by: ['batches are read from the log by a processor of the version before']
  },
  'relay-common/migrations/0028-tracing.sql': { count: 1, by: ['batches are read from the log'] },
  'relay-common/migrations/0013-announced-rollups.sql': { count: 1, by: ['a flush is announced'] }, // replaced in 0031
  'relay-common/migrations/0031-clock-jumps.sql': { count: 1, by: ['a flush is announced'] }
}

test('every statement that takes keys by unnest is held to its cost by a case', async () => {
  const root = fileURLToPath(new URL('../..', import.meta.url))
  const found = new Map<string, number>()
  for (const workspace of (await readdir(root)).filter(it => it.startsWith('relay-'))) {
    for (const folder of ['src', 'migrations']) {
      const files = await readdir(join(root, workspace, folder), { recursive: true }).catch(() => [])
      for (const file of files.filter(it => /\.(?:ts|sql)$/.test(it))) {
        const text = await readFile(join(root, workspace, folder, file), 'utf8')
        const count = text.match(/\bunnest\s*\(/gi)?.length
        if (count !== undefined) found.set(`${workspace}/${folder}/${file}`, count)
      }
    }
  }
  for (const [file, count] of found) {
    const held = statements[file]
    assert.ok(held !== undefined, `${file} has a statement with unnest, and no case here counts what it costs`)
    if (typeof held === 'string') continue
    assert.equal(count, held.count, `${file} has other statements with unnest than those that are counted here`)
    for (const it of held.by) assert.ok(cases[it], `no case "${it}"`)
  }
  assert.deepEqual(
    Object.keys(statements).filter(it => !found.has(it)), [], 'files that have no such statement any more'
  )
})

/** A zone of 300,000 devices, each with rows of every level; and all else that a case reads. */
async function openLargeSite (t: TestContext): Promise<TestDatabase> {
  const site = await openLocalPostgres(t)
  const { database } = site
  await database.query(`
    insert into series (device_id, zone, device_type)
    select 'device-' || n, 'Zone A', 'THERMOSTAT' from generate_series(1, ${DEVICES}) n`)
  await database.query(`
    insert into series (device_id, zone, device_type) select null, 'Zone ' || n, 'THERMOSTAT' from generate_series(1, 1000) n
    union all select null, 'Zone A', 'THERMOSTAT'`)
  const at = new Date(startMs).toISOString()
  for (const { name, table } of levels) {
    await database.query('select ensure_rollup_partitions($1, $2, $2)', [name, at])
    await database.query(`
      insert into ${table} select n, $1, 0, 1, 1, 1, 1, $2 from generate_series(1, ${DEVICES}) n`, [at, bodyOf(startMs)])
  }
  await database.query("select ensure_rollup_partitions('arrivals', $1, $1)", [at])
  await database.query(`
    insert into arrival_counts select n, $1, 0, 1, 0, 1, $1, $1 from generate_series(1, ${DEVICES}) n`, [at])
  await database.query(`
    insert into rollup_commits (level, first_bucket, last_bucket, series_ids)
    select 0, $1, $1, array(select generate_series(k * 300, k * 300 + 299)) from generate_series(1, 20) k`, [at])
  await database.query(`
    insert into progress (topic_id, source_partition, event_log, topic, epoch, owner, next_offset)
    select $1, n, 'postgres', 'topic', 1, 'owner', 0 from generate_series(0, ${KEYS - 1}) n`, [readTopicId])
  await database.query(`
    insert into journal select block, 1, flush, '1999-01-01Z', '1999-01-01Z', $1
    from generate_series(-1000, 2 * ${KEYS}) block, generate_series(1, 10) flush`, [journalBody()])
  await database.query(`select create_event_log_topic('topic', ${KEYS}, '7 days')`)
  return site
}

/** Statistics as they may be, each of all tables that a case reads. */
const statistics: Readonly<Record<string, readonly string[]>> = {
  'of today': [],
  'that say that all rows are alike': ['update pg_statistic set stadistinct = 1, stakind1 = 0, stakind2 = 0, ' +
    'stakind3 = 0, stakind4 = 0, stakind5 = 0 where starelid >= 16384'],
  'that say that each value is there once': ['update pg_statistic set stadistinct = -1, stanullfrac = 0, ' +
    'stakind1 = 0, stakind2 = 0, stakind3 = 0, stakind4 = 0, stakind5 = 0 where starelid >= 16384'],
  'of a site with hardly a row': ["update pg_class set reltuples = 1 where oid >= 16384 and relkind in ('r', 'i')"],
  'that nobody has gathered': [
    'delete from pg_statistic where starelid >= 16384',
    "update pg_class set reltuples = -1, relpages = 0 where oid >= 16384 and relkind in ('r', 'i')"
  ]
}

test('a statement costs by its keys on a site with a zone of 300,000 devices', async t => {
  const site = await openLargeSite(t)
  const { database } = site
  const [{ topic_id: topicId }] = await database.query<{ topic_id: string }>('select topic_id from event_log_topics')
  for (const { name } of await database.query<{ name: string }>(`
    select oid::regclass::text as name from pg_class where relkind = 'r' and oid >= 16384`)) {
    await database.query(`alter table ${name} set (autovacuum_enabled = off)`) // statistics stay as they are made here
  }
  for (const [what, spoil] of Object.entries(statistics)) {
    await t.test(`with statistics ${what}`, async t => {
      await database.query('analyze')
      for (const sql of spoil) await database.query(sql)
      const session = await openDatabase(site.settings, 'test', createLogger('test', 'silent'), { plans: 'by-key' })
      t.after(() => session.close())
      for (const [name, run] of Object.entries(cases)) {
        const client = await session.connect()
        try {
          await client.query('begin')
          await client.query('set local statement_timeout = 20000')
          const explained = explaining(client)
          await run(explained, topicId).catch(error => { throw new Error(`${name}: ${(error as Error).message}`, { cause: error }) })
          const costs = explained.taken()
          assert.ok(costs.length > 0, `${name}: nothing was explained`)
          const most = costs.reduce((a, b) => a.rows + a.pages > b.rows + b.pages ? a : b)
          t.diagnostic(`${name}: up to ${most.rows} rows and ${most.pages} pages`)
          for (const { sql, plan, rows, pages } of costs) {
            assert.ok(rows <= (name === A_PAGE ? 3 * DEVICES : ROWS_PER_KEY * KEYS), `${name}: ${rows} rows looked at\n${sql}\n${plan}`)
            assert.ok(pages <= (name === A_PAGE ? DEVICES : PAGES_PER_KEY * KEYS + PAGES_MORE), `${name}: ${pages} pages looked at\n${sql}\n${plan}`)
          }
        } finally {
          client.release(true)
        }
      }
    })
  }
})
