/** A zombie: an owner that continues after another one has taken over its partition. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'

import { partitionOf } from 'relay-event-log'
import { levels } from 'relay-rollups'
import { openLocalPostgres } from 'relay-test-support/local-postgres.ts'
import { Folder } from '../src/fold.ts'
import { encode, makeEvents } from './support/open-processor.ts'
import { claimed, openOwner } from './support/open-owner.ts'
import { readWindows, recompute } from './support/recompute.ts'
import { recordsOf } from './support/records.ts'

const topic = { name: 'iot-events', topicId: randomUUID(), partitions: 2 }
const nowMs = Date.parse('2024-06-01T00:00:00Z')
const folder = new Folder({ deviceTypes: new Set(['THERMOSTAT', 'HEART_RATE_METER', 'CAR_FUEL']), futureMaxMs: 0 })

test('a zombie writes nothing for a lost partition and everything for a kept one', async t => {
  const { database } = await openLocalPostgres(t)
  await using opened = new AsyncDisposableStack()
  // the home of a device is one partition
  const [ofLost, ofKept] = [0, 1].map(half => makeEvents(200).filter(it => partitionOf(
    Buffer.from(it.deviceId), 2
  ) === half).map(encode))
  const zombie = await openOwner(database, topic, opened)
  const lost = await zombie.claim(0)
  const kept = await zombie.claim(1)
  const successor = await openOwner(database, topic, opened)
  const takenOver = await successor.claim(0)

  folder.fold(lost, recordsOf(0, 0n, ofLost), nowMs)
  folder.fold(kept, recordsOf(1, 0n, ofKept), nowMs)
  await zombie.flusher.flush([lost, kept], nowMs)
  await zombie.flusher.written()
  assert.deepEqual(zombie.fenced.map(it => it.partition), [0])
  assert.equal((await readWindows(database, 0)).size, 0)

  folder.fold(takenOver, recordsOf(0, 0n, ofLost), nowMs)
  await successor.flusher.flush([takenOver], nowMs)
  await successor.flusher.written()
  assert.deepEqual(successor.fenced, [])
  assert.deepEqual(
    Object.fromEntries(await readWindows(database)), Object.fromEntries(recompute(makeEvents(200))))
})

test('an owner learns that its database lost a commit, and adds nothing to it', async t => {
  const { database } = await openLocalPostgres(t)
  await using opened = new AsyncDisposableStack()
  const { flusher, fenced, claim } = await openOwner(database, topic, opened)
  const partition = await claim(0)
  const events = makeEvents(40).map(encode)
  folder.fold(partition, recordsOf(0, 0n, events.slice(0, 20)), nowMs)
  await flusher.flush([partition], nowMs)
  await flusher.written()

  // as after a restore from a backup: progress is back where it was
  await database.query('update progress set next_offset = 0 where topic_id = $1', [topic.topicId])
  folder.fold(partition, recordsOf(0, 20n, events.slice(20)), nowMs)
  await flusher.flush([partition], nowMs)
  await flusher.written()
  assert.deepEqual(fenced.map(it => it.partition), [0])
})

test('the reader of a recreated topic fences readers of the old one', async t => {
  const { database } = await openLocalPostgres(t)
  await using opened = new AsyncDisposableStack()
  const { store, flusher, fenced, claim } = await openOwner(database, topic, opened)
  const old = await claim(0)
  folder.fold(old, recordsOf(0, 0n, makeEvents(20).map(encode)), nowMs)
  await flusher.flush([old], nowMs)
  await flusher.written()

  const successor = claimed(await store.claim({ ...topic, topicId: randomUUID() }, 0, 'successor', 0n))
  assert.equal(successor.nextOffset, 0n)
  assert.equal(successor.eventTimeMaxMs, old.eventTimeMaxMs) // older windows are read back, not overwritten
  folder.fold(old, recordsOf(0, 20n, makeEvents(20, 2).map(encode)), nowMs)
  await flusher.flush([old], nowMs)
  await flusher.written()
  assert.deepEqual(fenced, [old])
})

test('the outcome of a commit without an answer is read from progress', async t => {
  const { database } = await openLocalPostgres(t)
  await using opened = new AsyncDisposableStack()
  const { store } = await openOwner(database, topic, opened)
  const { epoch, historyId } = claimed(await store.claim(topic, 0, 'owner', 0n))
  const move = { partition: 0, epoch, historyId, fromOffset: 0n, toOffset: 7n, eventTimeMaxMs: -Infinity, taken: [] }
  const noRows = {
    rows: levels.map(() => ({ fresh: [], changed: [], seriesOfBuckets: new Map() })),
    rowCount: 0,
    announcedCount: 0,
    journal: { removed: [], rows: [] },
    misplaced: [],
    arrivals: [],
    daysMs: [...levels, 'arrivals'].map(() => new Set<number>())
  }
  assert.equal(await store.readOutcome(topic.topicId, move), 'not-moved')
  assert.deepEqual(await store.write(topic.topicId, [{ move, ...noRows }]), { kind: 'committed' })
  assert.equal(await store.readOutcome(topic.topicId, move), 'moved')
  await store.claim(topic, 0, 'another', 0n)
  assert.equal(await store.readOutcome(topic.topicId, move), 'fenced')
})
