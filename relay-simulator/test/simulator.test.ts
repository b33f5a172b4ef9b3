import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createLogger } from 'relay-common'
import type { DeviceEvent } from 'relay-rollups'

import { until } from 'relay-test-support/until.ts'
import { readSimulatorConfig } from '../src/config.ts'
import { Fleet } from '../src/fleet.ts'
import { startSimulator } from '../src/simulator.ts'
import { valueAt } from '../src/value.ts'
import { openBreakableConnection } from './support/breakable-connection.ts'
import { countRecords, kinds, openTestLog, readEvents, readTopic } from './support/event-logs.ts'
import { startSimulatorProcess } from './support/simulator-process.ts'

/** The tick of an event: devices may share a phase. */
function tickOf (fleet: Fleet, { deviceId, timestampMs }: DeviceEvent): number {
  let tick = fleet.tickFrom(timestampMs)
  while (fleet.deviceAt(tick).deviceId !== deviceId) tick++
  assert.equal(fleet.timeAt(tick), timestampMs)
  return tick
}

/**
 * Compares a device's events with the fleet: none missing between the first and the last, each with the right value.
 */
function assertNoGap (fleet: Fleet, events: readonly DeviceEvent[]): void {
  const ticks = [...new Set(events.map(it => tickOf(fleet, it)))].sort((a, b) => a - b)
  const step = fleet.devices.length
  assert.deepEqual(ticks, ticks.map((_, index) => ticks[0] + index * step))
  for (const event of events) {
    const { deviceId, deviceType, zone, seed } = fleet.deviceAt(ticks[0])
    const value = valueAt(deviceType, seed, event.timestampMs)
    assert.deepEqual(event, { deviceId, deviceType, zone, value, timestampMs: event.timestampMs })
  }
}

function assertInOrder (events: readonly DeviceEvent[]): void {
  for (let at = 1; at < events.length; at++) assert.ok(events[at].timestampMs > events[at - 1].timestampMs)
}

const AWAY = 'the event log is unreachable; events are buffered and retried'
const BACK = 'the event log is reachable again'
const SKIPPED = 'skipped live events that were overdue by more than CATCH_UP_MAX'

for (const kind of kinds) {
  test(`${kind}: the known fleet sends history and then live events, without a gap, in order per device`, async t => {
    const log = await openTestLog(t, kind)
    if (!log) return
    const simulator = startSimulatorProcess(t, { ...log.environment, BACKFILL: '10m', RATE: '10' })
    const history = 3 * 10 * 600
    await until('history and two seconds of live events', async () => await countRecords(log) > history + 60)
    simulator.process.kill('SIGTERM')
    assert.equal(await simulator.exited, 0)

    const endMs = Date.parse(simulator.said('backfill started')[0].to as string)
    const fleet = new Fleet({ devices: 3, zones: 3, rate: 10, seed: 1 })
    const byDevice = await readEvents(log)
    assert.deepEqual([...byDevice.keys()].sort(), ['car-fuel-001', 'heart-rate-001', 'thermostat-001'])
    for (const events of byDevice.values()) {
      assertNoGap(fleet, events)
      const past = events.filter(it => it.timestampMs < endMs)
      assert.equal(past.length, history / 3)
      assert.ok(past[0].timestampMs - (endMs - 600_000) < 100)
      assert.ok(events.length > past.length)
      assertInOrder(events) // so no history is late
    }
  })

  test(`${kind}: a SIGTERM under load exits 0; everything up to a moment was sent, including late events`, async t => {
    const log = await openTestLog(t, kind)
    if (!log) return
    const simulator = startSimulatorProcess(t,
      { ...log.environment, DEVICES: '200', RATE: '20', BACKFILL: '1d', LATE: '5%', DUPLICATES: '1%' })
    await until('100,000 records', async () => await countRecords(log) > 100_000)
    simulator.process.kill('SIGTERM')
    assert.equal(await simulator.exited, 0)
    assert.deepEqual(simulator.lines.filter(it => it.msg === AWAY || it.msg.includes('not sent')), [])

    const fleet = new Fleet({ devices: 200, zones: 3, rate: 20, seed: 1 })
    const { from, to } = simulator.said('backfill started')[0] as unknown as { from: string, to: string }
    const byDevice = await readEvents(log)
    const events = [...byDevice.values()].flat()
    const streams = { backfill: [Date.parse(from), Date.parse(to)], live: [Date.parse(to), Infinity] }
    for (const [stream, [fromMs, toMs]] of Object.entries(streams)) {
      const ofStream = events.filter(it => it.timestampMs >= fromMs && it.timestampMs < toMs)
      for (const ofDevice of Map.groupBy(ofStream, it => it.deviceId).values()) assertNoGap(fleet, ofDevice)
      // ticks are sent in order: a stop leaves a prefix of them, of all devices together
      const ticks = new Set(ofStream.map(it => tickOf(fleet, it)))
      assert.ok(ticks.size > 0 && ticks.size < 200 * 20 * 86_400, `${ticks.size} ${stream} events`)
      const start = fleet.tickFrom(fromMs)
      for (let tick = start; tick < start + ticks.size; tick++) {
        assert.ok(ticks.has(tick), `tick ${tick - start} of ${stream} is not there`)
      }
    }
  })

  test(`${kind}: a history without live events ends by itself, complete with its faults, and counts what it sent`, async t => {
    const log = await openTestLog(t, kind)
    if (!log) return
    const args = '--once --devices 12 --backfill 1h --late 2% --duplicates 1% --poison 1% --seed 42'.split(' ')
    const simulator = await startSimulator(readSimulatorConfig(log.environment, args), createLogger('test', 'silent'))
    t.after(() => simulator.close())
    await simulator.done

    const url = `http://127.0.0.1:${simulator.healthPort}`
    assert.deepEqual(await (await fetch(`${url}/readyz`)).json(), { status: 'ready' })
    const metrics = await (await fetch(`${url}/metrics`)).text()
    const sent = (kind: string) =>
      Number(new RegExp(`^relay_sent_records_total\\{kind="${kind}".*\\} (\\d+)$`, 'm').exec(metrics)?.[1])
    assert.equal(sent('backfill') + sent('late'), 12 * 3_600)
    for (const kind of ['late', 'duplicate', 'poison']) assert.ok(sent(kind) > 100, `${sent(kind)} ${kind}`)

    const records = await readTopic(log)
    assert.equal(records.length, sent('backfill') + sent('late') + sent('duplicate') + sent('poison'))
    const fleet = new Fleet({ devices: 12, zones: 3, rate: 1, seed: 42 })
    const values = new Set(records.map(it => String(it.value)))
    const ids = new Set(fleet.devices.map(it => it.deviceId))
    assert.ok(records.every(it => ids.has(String(it.key))))
    assert.ok(values.size <= records.length - sent('duplicate'), 'duplicates are not byte for byte')
  })

  test(`${kind}: a history without live events ends the process, with a parent listening`, async t => {
    const log = await openTestLog(t, kind)
    if (!log) return
    const simulator = startSimulatorProcess(t, log.environment, ['--once', '--backfill', '2m'])
    assert.equal(await simulator.exited, 0)
    assert.equal(await countRecords(log), 360)
    assert.equal(simulator.said('backfill done')[0].events, 360)
  })
}

test('lost connections to the log are reopened, and no event is missing', async t => {
  const log = (await openTestLog(t, 'postgres'))!
  const simulator = startSimulatorProcess(t, { ...log.environment, RATE: '20' })
  await until('events to flow', async () => await countRecords(log) > 60)
  for (let round = 1; round <= 5; round++) {
    const [{ ended }] = await log.database!.query<{ ended: bigint }>(`
      select count(pg_terminate_backend(pid)) as ended from pg_stat_activity
      where datname = current_database() and application_name = 'relay-simulator'`)
    assert.ok(ended > 0n)
    const count = await countRecords(log)
    await until('events to flow again', async () => await countRecords(log) > count + 30)
  }
  simulator.process.kill('SIGTERM')
  assert.equal(await simulator.exited, 0)
  const fleet = new Fleet({ devices: 3, zones: 3, rate: 20, seed: 1 })
  for (const events of (await readEvents(log)).values()) assertNoGap(fleet, events)
})

test('an unreachable log causes one warning; events wait, and none is missing afterwards', async t => {
  const log = (await openTestLog(t, 'postgres'))!
  const connection = await openBreakableConnection(t, log.environment.DATABASE_URL!)
  const simulator = startSimulatorProcess(t, { ...log.environment, DATABASE_URL: connection.url, RATE: '20' })
  await until('events to flow', async () => await countRecords(log) > 60)

  await connection.cut()
  await until('it to be noticed', () => simulator.said(AWAY).length > 0)
  const health = `http://127.0.0.1:${simulator.said('simulator started')[0].healthPort}`
  assert.equal((await fetch(`${health}/readyz`)).status, 503)
  await until('a few more tries to send', async () => {
    const metrics = await (await fetch(`${health}/metrics`)).text()
    return Number(/^relay_send_retries_total\{.*\} (\d+)$/m.exec(metrics)?.[1]) >= 3
  })
  await connection.restore()

  await until('the log to be back', () => simulator.said(BACK).length > 0)
  assert.equal((await fetch(`${health}/readyz`)).status, 200)
  const count = await countRecords(log)
  await until('events to flow again', async () => await countRecords(log) > count + 60)
  simulator.process.kill('SIGTERM')
  assert.equal(await simulator.exited, 0)
  assert.equal(simulator.said(AWAY).length, 1)
  assert.equal(simulator.said(SKIPPED).length, 0)

  const fleet = new Fleet({ devices: 3, zones: 3, rate: 20, seed: 1 })
  for (const events of (await readEvents(log)).values()) assertNoGap(fleet, events)
})

test('events missed because the log was unreachable for too long are skipped with a report', async t => {
  const log = (await openTestLog(t, 'postgres'))!
  const connection = await openBreakableConnection(t, log.environment.DATABASE_URL!)
  const simulator = startSimulatorProcess(t,
    { ...log.environment, DATABASE_URL: connection.url, RATE: '20', CATCH_UP_MAX: '200ms' })
  await until('events to flow', async () => await countRecords(log) > 60)
  await connection.cut()
  await until('it to be noticed', () => simulator.said(AWAY).length > 0)
  const awayMs = Date.now()
  await until('longer than events wait', () => Date.now() > awayMs + 1_000)
  await connection.restore()
  await until('events to be skipped', () => simulator.said(SKIPPED).length > 0)
  const count = await countRecords(log)
  await until('events to flow again', async () => await countRecords(log) > count + 60)
  simulator.process.kill('SIGTERM')
  assert.equal(await simulator.exited, 0)

  const fleet = new Fleet({ devices: 3, zones: 3, rate: 20, seed: 1 })
  const ticks = new Set([...(await readEvents(log)).values()].flat().map(it => tickOf(fleet, it)))
  const missing = Math.max(...ticks) - Math.min(...ticks) + 1 - ticks.size
  const skipped = simulator.said(SKIPPED).reduce((sum, it) => sum + Number(it.events), 0)
  assert.ok(missing > 0)
  // a send without an answer may have arrived: it counts as skipped, on the safe side
  const unansweredMax = 60 // events of a second
  assert.ok(skipped >= missing && skipped <= missing + unansweredMax, `${skipped} skipped, ${missing} missing`)
})

test('a stop while the log is unreachable exits 0 in time, and reports unsent events', async t => {
  const log = (await openTestLog(t, 'postgres'))!
  const connection = await openBreakableConnection(t, log.environment.DATABASE_URL!)
  const simulator = startSimulatorProcess(t,
    { ...log.environment, DATABASE_URL: connection.url, RATE: '20', BACKFILL: '30d', LATE: '10%' })
  await until('events to flow', async () => await countRecords(log) > 60)
  await connection.cut()
  await until('it to be noticed', () => simulator.said(AWAY).length > 0)
  simulator.process.kill('SIGTERM')
  assert.equal(await simulator.exited, 0)
  assert.equal(simulator.said('backfill stopped').length, 1)
  assert.ok(simulator.lines.some(it => it.msg.includes('not sent') && Number(it.records) > 0))
})
