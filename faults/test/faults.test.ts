/** The short form of `npm run test:faults`: one broker, two processors, the most frequent faults. */
import assert from 'node:assert/strict'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'

import { decodeBody, encodeReadingsBody } from 'relay-rollups'

import { canRunKafka } from 'relay-test-support/local-kafka.ts'
import { until } from 'relay-test-support/until.ts'
import { crashedDatabase } from '../src/cases/crashed-database.ts'
import { cutDatabaseConnections } from '../src/cases/cut-database-connections.ts'
import { killedCompaction } from '../src/cases/killed-compaction.ts'
import { killedProcessors } from '../src/cases/killed-processors.ts'
import { pausedProcessors } from '../src/cases/paused-processors.ts'
import { Checker } from '../src/check.ts'
import { openSite, type Site } from '../src/site.ts'
import { runFaults, type FaultReport } from '../src/suite.ts'

const cacheDir = fileURLToPath(new URL('../../.relay/kafka', import.meta.url))
const SEED = 4
const SPAN_MS = 3_000

suite('faults on real servers', () => {
  test('lose nothing and count nothing twice, and the check would detect it', async t => {
    await using site = await openTestSite(t)
    if (!site) return
    const reports: FaultReport[] = []
    const faults = [killedProcessors, killedCompaction, crashedDatabase, pausedProcessors, cutDatabaseConnections]
    await runFaults(site, faults, SEED, SPAN_MS, it => { reports.push(it) })

    for (const { fault, times, lost, doubled, wrong, acknowledged, rows } of reports) {
      assert.deepEqual({ fault, lost, doubled, wrong }, { fault, lost: 0, doubled: 0, wrong: [] })
      assert.ok(times >= 1 && acknowledged > 100 && rows > 100, `${fault} happened to too little`)
    }
    assert.deepEqual(reports.map(it => it.fault), faults.map(it => it.name))
    await seesWhatIsWrong(site)
  })
})

interface Row {
  readonly series_id: number
  readonly bucket_start: number
  readonly source_partition: number
  readonly count: bigint
  readonly min: number
  readonly max: number
  readonly body: Buffer
}

/** Removes a reading from one row, duplicates one in another, and deletes a third row: each is detected. */
async function seesWhatIsWrong (site: Site): Promise<void> {
  const { database } = site
  await until(
    'all of the journal to be rows', async () => (await database.query('select from journal limit 1')).length === 0
  )
  const rows = await database.query<Row>(`
    select series_id, bucket_start, source_partition, count, min, max, body
    from rollups_minute join series using (series_id) where device_id is not null and count > 2 limit 2`)
  const edit = async (row: Row, change: (timesMs: number[], values: number[]) => void) => {
    const { readings } = decodeBody({ ...row, bucketStartMs: row.bucket_start, count: Number(row.count) })
    change(readings!.timesMs, readings!.values)
    const { values } = readings!
    await database.query(`
      update rollups_minute set count = $1, min = $2, max = $3, body = $4
      where series_id = $5 and bucket_start = $6 and source_partition = $7`,
    [values.length, Math.min(...values), Math.max(...values), encodeReadingsBody(readings!, row.bucket_start),
      row.series_id, new Date(row.bucket_start), row.source_partition])
  }
  await edit(rows[0], (timesMs, values) => { timesMs.pop(); values.pop() })
  await edit(rows[1], (timesMs, values) => { timesMs.unshift(timesMs[0]); values.unshift(values[0]) })
  await database.query(`
    delete from rollups_hour where (series_id, bucket_start, source_partition) in (
      select series_id, bucket_start, source_partition from rollups_hour limit 1)`)
  const { lost, doubled, wrong } = await new Checker(site).check()
  assert.deepEqual({ lost, doubled, rows: wrong.map(it => parseInt(it)) }, { lost: 1, doubled: 1, rows: [3] })
}

/** @returns undefined if this machine can't run Kafka: the test is skipped with a message */
async function openTestSite (t: TestContext): Promise<(Site & AsyncDisposable) | undefined> {
  if (!await canRunKafka(t)) return undefined
  await using opened = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'relay-faults-'))
  opened.defer(() => rm(folder, { recursive: true, force: true }))
  await chmod(folder, 0o755) // root runs PostgreSQL as another user
  const settings = { folder, cacheDir, seed: SEED, brokers: 1, processors: 2, eventsPerSecond: 500 }
  const site = opened.adopt(await openSite(settings), it => it.close())
  const parts = opened.move()
  return { ...site, [Symbol.asyncDispose]: () => parts.disposeAsync() }
}
