import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createLogger } from 'relay-common'
import { startProcessor } from '../../relay-processor/src/processor.ts'
import { encode, makeEvents, openSite, send, settled } from '../../relay-processor/test/support/open-processor.ts'
import { documents, runCli } from './support/run-cli.ts'

const RANGE = ['--from', '2024-01-01', '--to', '2024-04-01', '--json']

for (const kind of ['kafka', 'postgres'] as const) {
  test(`verify on the ${kind} log finds nothing where all is right, and every row that is not`, async t => {
    const site = await openSite(t, kind)
    if (!site) return
    const events = makeEvents(3_000)
    const processor = await startProcessor(site.config, createLogger('test', 'silent'))
    await send(site, events)
    await site.producer.send(site.config.EVENTS_TOPIC, [
      { key: 'a', value: '{' },
      { key: 'future', value: encode({ ...events[0], timestampMs: Date.now() + 3_600_000 }) }
    ])
    await settled(site)
    await processor.close()
    const [{ rows }] = await site.database.query<{ rows: bigint }>(
      'select (select count(*) from rollups_minute) + (select count(*) from rollups_hour) + (select count(*) from rollups_day) as rows')

    const clean = await runCli(site, ['verify', ...RANGE])
    assert.equal(clean.code, 0, clean.stdout + clean.stderr)
    assert.deepEqual(documents(clean), [{ rows: Number(rows), uncertain: 0, differences: 0 }])

    // a range that cuts hours and days: their rows are left out, minutes are compared
    const cut = await runCli(site, ['verify', '--from', '2024-03-01T10:00:30Z', '--to', '2024-03-01T10:09:30Z', '--json'])
    const [{ minutes }] = await site.database.query<{ minutes: bigint }>(`
      select count(*) as minutes from rollups_minute where bucket_start >= '2024-03-01T10:01:00Z' and bucket_start < '2024-03-01T10:09:00Z'`)
    assert.deepEqual([cut.code, documents(cut)], [0, [{ rows: Number(minutes), uncertain: 0, differences: 0 }]])

    const first = 'order by series_id, bucket_start, source_partition limit 1'
    await site.database.query(`
      delete from rollups_hour where (series_id, bucket_start, source_partition) =
        (select series_id, bucket_start, source_partition from rollups_hour ${first})`)
    await site.database.query(`
      update rollups_day set count = count + 1 where (series_id, bucket_start, source_partition) =
        (select series_id, bucket_start, source_partition from rollups_day ${first})`)
    await site.database.query(`
      insert into rollups_minute select series_id, '2024-03-01T22:00:00Z', source_partition, count, sum, min, max, body
      from rollups_minute where bucket_start >= '2024-03-01' ${first}`)
    const damaged = await runCli(site, ['verify', ...RANGE])
    assert.equal(damaged.code, 1)
    const found = documents(damaged)
    assert.equal(found.at(-1).differences, 3)
    assert.deepEqual(found.slice(0, -1).map(it => [it.level, it.kind, it.foundCount - it.expectedCount > 0]).sort(),
      [['day', 'different', true], ['hour', 'missing', false], ['minute', 'unexpected', true]])
  })
}
