import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createLogger } from 'relay-common'
import { partitionOf } from 'relay-event-log'
import type { DeviceEvent } from 'relay-rollups'
import { Arrivals } from '../../relay-processor/src/arrivals.ts'
import { writeMisplaced } from '../../relay-processor/src/homes.ts'
import { Misplaced } from '../../relay-processor/src/misplaced.ts'
import { startProcessor } from '../../relay-processor/src/processor.ts'
import { encode, makeEvents, openSite, send, settled } from '../../relay-processor/test/support/open-processor.ts'
import { documents, runCli } from './support/run-cli.ts'

const RANGE = ['--from', '2024-01-01', '--to', '2024-04-01', '--json']

for (const kind of ['kafka', 'postgres'] as const) {
  test(`verify on the ${kind} log finds nothing if everything is right, and every wrong row otherwise`, async t => {
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
      'select (select count(*) from rollups_minute) + (select count(*) from rollups_hour) + (select count(*) from ' +
        'rollups_day) as rows')

    const clean = await runCli(site, ['verify', ...RANGE])
    assert.equal(clean.code, 0, clean.stdout + clean.stderr)
    assert.deepEqual(documents(clean), [{ rows: Number(rows), uncertain: 0, differences: 0 }])

    // a range that cuts hours and days: their rows are skipped, minutes are compared
    const cut = await runCli(
      site, ['verify', '--from', '2024-03-01T10:00:30Z', '--to', '2024-03-01T10:09:30Z', '--json']
    )
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

test('verify finds readings that counted in two partitions, and ignores those on their way home', async t => {
  const site = await openSite(t, 'postgres')
  if (!site) return
  const events = makeEvents(1_000)
  const processor = await startProcessor(site.config, createLogger('test', 'silent'))
  await send(site, events)
  await settled(site)
  await processor.close()

  // one that was read before the processor stopped, and whose home has not taken it yet
  const [{ series_id: seriesId }] = await site.database.query<{ series_id: number }>(
    "select series_id from series where device_id = 'device-1'")
  const timestampMs = Date.parse('2024-03-01T10:00:00Z')
  const late = { ...events.find(it => it.deviceId === 'device-1')!, value: 77.7, timestampMs }
  const misplaced = new Misplaced()
  misplaced.add(partitionOf(Buffer.from('device-1'), 4), seriesId, arrivalsOf([late]), 0, 1, -Infinity)
  await site.producer.send(site.config.EVENTS_TOPIC, [{ key: 'another hash', value: encode(late) }])
  const offsets = await site.eventLog.readOffsets(site.config.EVENTS_TOPIC)
  await site.database.transaction(async client => {
    await writeMisplaced(client, misplaced.take())
    for (const { partition, endOffset } of offsets) {
      await client.query('update progress set next_offset = $2 where source_partition = $1', [partition, endOffset])
    }
  })
  const onTheWay = await runCli(site, ['verify', ...RANGE])
  assert.equal(onTheWay.code, 0, onTheWay.stdout + onTheWay.stderr)

  // as counted by an earlier version: a row with the same readings in another partition
  await site.database.query(`
    insert into rollups_minute
    select series_id, bucket_start, (source_partition + 1) % 4, count, sum, min, max, body from rollups_minute
    where series_id = $1 and bucket_start = '2024-03-01T10:01:00Z'`, [seriesId])
  const doubled = documents(await runCli(site, ['verify', ...RANGE]))
  assert.deepEqual(doubled.slice(0, -1).map(it => [
    it.level, it.kind, it.deviceId, it.foundCount === 2 * it.expectedCount
  ]),
  [['minute', 'doubled', 'device-1', true]])
})

function arrivalsOf (events: readonly DeviceEvent[]): Arrivals {
  const arrivals = new Arrivals()
  for (const { timestampMs, value } of events) arrivals.add(0, timestampMs, value)
  return arrivals
}
