/**
 * The same events, in any order, in batches of any size, resent, a month late, with restarts and memory dropped in
 * between, give the same bytes as a computation without all that.
 */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'

import { createMetrics, type Database } from 'relay-common'
import type { DeviceEvent } from 'relay-rollups'
import { openLocalPostgres } from 'relay-test-support/local-postgres.ts'
import { Flusher, type FlushSettings } from '../src/flush.ts'
import { Folder } from '../src/fold.ts'
import { createProcessorMetrics } from '../src/metrics.ts'
import { createPartition } from '../src/partition.ts'
import { openPostgresStore } from '../src/postgres-store.ts'
import { readWindows, recompute } from './support/recompute.ts'
import { claimed } from './support/open-owner.ts'
import { recordsOf } from './support/records.ts'

const rules = { deviceTypes: new Set(['THERMOSTAT', 'CAR_FUEL']), futureMaxMs: 300_000 }
const settings: FlushSettings = {
  readingsPerRowMax: 600,
  keepDuplicates: false,
  seriesInMemoryMax: 1_000,
  minutesPerPart: 10,
  keptFromMs: () => [-Infinity, -Infinity, -Infinity]
}
const nowMs = Date.parse('2024-02-01T00:00:00Z')

const event: fc.Arbitrary<DeviceEvent> = fc.record({
  deviceId: fc.constantFrom('a', 'b', 'ünï'),
  deviceType: fc.constantFrom('THERMOSTAT', 'CAR_FUEL'),
  zone: fc.constantFrom('Zone A', 'Zone B'),
  value: fc.oneof(fc.integer({ min: -50, max: 50 }).map(it => it / 10), fc.double({
    noNaN: true, noDefaultInfinity: true
  })).map(it => it + 0),
  timestampMs: fc.oneof(
    { weight: 4, arbitrary: fc.integer({ min: nowMs - 180_000, max: nowMs }) },
    { weight: 1, arbitrary: fc.integer({ min: nowMs - 30 * 86_400_000, max: nowMs }) })
})

/** What happens to the events on their way. */
const journey = fc.record({
  order: fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })),
  repeated: fc.infiniteStream(fc.boolean()),
  batch: fc.integer({ min: 1, max: 40 }),
  flushEvery: fc.integer({ min: 1, max: 4 }),
  restartEvery: fc.integer({ min: 2, max: 6 }),
  seriesInMemoryMax: fc.constantFrom(1, 1_000)
})

test('any order, split, repetition, delay and restart give the same bytes', async t => {
  const { database } = await openLocalPostgres(t)
  await fc.assert(fc.asyncProperty(fc.array(event, { minLength: 1, maxLength: 120 }), journey, async (events, way) => {
    await database.query('truncate rollups_minute, rollups_hour, rollups_day, arrival_counts, progress, homes')
    await send(database, 0, [...events, ...events.filter(() => way.repeated.next().value)], way)
    const found = await readWindows(database)
    assert.deepEqual(Object.fromEntries(found), Object.fromEntries(recompute(events)))
  }), { numRuns: 60 })
})

async function send (
  database: Database, number: number, events: DeviceEvent[],
  way: { order: Iterator<number>, batch: number, flushEvery: number, restartEvery: number, seriesInMemoryMax: number }
): Promise<void> {
  const shuffled = events.map(it => ({ it, at: way.order.next().value as number }))
    .sort((a, b) => a.at - b.at)
    .map(({ it }) => it)
  const topic = { name: 'iot-events', topicId: randomUUID(), partitions: number + 1 }
  const folder = new Folder(rules)
  await using opened = new AsyncDisposableStack()
  const store = opened.adopt(await openPostgresStore(
    database, { kind: 'postgres', generation: 'blue', group: 'relay-processor', takeoverFrom: undefined }
  ), it => it.close())
  let flusher: Flusher | undefined
  let partition!: ReturnType<typeof createPartition>

  for (let at = 0, batch = 0; at < shuffled.length; batch++) {
    if (batch % way.restartEvery === 0) {
      // folded events that were not flushed are lost with the process, and read again
      await flusher?.close()
      const claim = claimed(await store.claim(topic, number, 'test', 0n))
      partition = createPartition(topic, number, claim)
      at = Number(claim.nextOffset)
      flusher = new Flusher(store, { ...settings, seriesInMemoryMax: way.seriesInMemoryMax }, {
        sendDeadLetters: async () => assert.fail('no event is at fault'),
        onWritten: () => {},
        onFenced: () => assert.fail('nobody else is here')
      }, createProcessorMetrics(createMetrics('test')), (_what, work) => work())
    }
    const values = shuffled.slice(at, at + way.batch)
    folder.fold(partition, recordsOf(number, BigInt(at), values.map(encode)), nowMs)
    at += values.length
    if (batch % way.flushEvery === 0 || at >= shuffled.length) await flusher!.flush([partition], nowMs)
  }
  await flusher!.written()
  await flusher!.close()
}

function encode (event: DeviceEvent): string {
  return JSON.stringify({ ...event, timestampMs: undefined, timestamp: new Date(event.timestampMs).toISOString() })
}
