/** A data folder whose events move to another log and back: rollups stay, and resent events count once. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

import { canRunKafka } from 'relay-test-support/local-kafka.ts'
import { until } from 'relay-test-support/until.ts'
import { makeDataDir, onFreePorts, runningOn, startStackProcess, type StackProcess } from './support/stack-process.ts'

const kafkaCache = fileURLToPath(new URL('../../.relay/kafka', import.meta.url))
const START_MS = Date.parse('2024-05-01T10:00:00Z')
const DEVICES = 40
const ROUND = 50

interface Sent {
  readonly deviceId: string
  readonly value: number
  readonly timestampMs: number
}

/** Readings of all devices; those of one round are after those of the round before. */
function round (n: number): Sent[] {
  return Array.from({ length: DEVICES * ROUND }, (_, at) => ({
    deviceId: `device-${at % DEVICES}`,
    value: n * 1_000 + Math.floor(at / DEVICES),
    timestampMs: START_MS + (n * ROUND + Math.floor(at / DEVICES)) * 7_000
  }))
}

async function send (origin: string, token: string, events: readonly Sent[]): Promise<void> {
  const lines = events.map(({ deviceId, value, timestampMs }) =>
    JSON.stringify({
      deviceId, deviceType: 'THERMOSTAT', zone: 'Zone A', value, timestamp: new Date(timestampMs).toISOString()
    }))
  for (let at = 0; at < lines.length; at += 500) {
    const response = await fetch(`${origin}/api/v1/events`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/x-ndjson' },
      body: lines.slice(at, at + 500).join('\n')
    })
    assert.equal(response.status, 202, await response.text())
  }
}

type Row = Record<'device' | 'count' | 'sum' | 'last', unknown>

async function readRows (origin: string, token: string): Promise<Row[]> {
  const query = new URLSearchParams({
    zone: 'Zone A',
    groupBy: 'device',
    interval: 'range',
    stats: 'count,sum,last',
    start: '2024-05-01T00:00:00Z',
    end: '2024-05-02T00:00:00Z'
  })
  const response = await fetch(
    `${origin}/api/v1/aggregates?${query}`, { headers: { authorization: `Bearer ${token}` } }
  )
  const { rows } = await response.json() as { rows: Row[] }
  return rows.map(({ device, count, sum, last }) => ({ device, count, sum, last }))
}

function expectedRows (events: readonly Sent[]): Row[] {
  const byDevice = [...Map.groupBy(events, it => it.deviceId)].sort(([a], [b]) => a < b ? -1 : 1)
  return byDevice.map(([device, of]) =>
    ({
      device,
      count: of.length,
      sum: of.reduce((sum, it) =>
        sum + it.value, 0),
      last: of.toSorted((a, b) => a.timestampMs - b.timestampMs).at(-1)!.value
    }))
}

/** Sends events, some of them resent, and `fresh` after them: when those count, all have been handled. */
async function sendAndCheck (
  stack: StackProcess, again: readonly Sent[], fresh: readonly Sent[], all: readonly Sent[]
): Promise<void> {
  const { url, token } = await stack.up().catch(() => stack.up()) // after a kill Kafka reads its log first
  const { origin } = new URL(url)
  await send(origin, token, again)
  await send(origin, token, fresh)
  const expected = expectedRows(all)
  await until('the newest readings of all devices', async () => {
    const rows = await readRows(origin, token)
    return rows.length === expected.length && rows.every((it, n) => it.last === expected[n].last)
  })
  assert.deepEqual(await readRows(origin, token), expected)
}

test('events move from PostgreSQL to Kafka and back, and each reading counts once', { timeout: 400_000 }, async t => {
  if (!await canRunKafka(t)) return
  const dataDir = await makeDataDir(t)
  const common = ['--no-simulator', '--kafka-cache', kafkaCache, ...onFreePorts]
  const rounds = [0, 1, 2, 3, 4].map(round)
  const start = (...args: string[]) => startStackProcess(dataDir, [...common, ...args])
  const stop = async (stack: StackProcess) => {
    stack.kill('SIGTERM')
    assert.equal(await stack.exited, 0, stack.text)
  }

  const first = start('--event-log', 'postgres')
  await sendAndCheck(first, [], rounds[0], rounds[0])
  await stop(first)

  const refused = start('--event-log', 'kafka')
  assert.equal(await refused.exited, 1)
  assert.match(refused.text, /--move-event-log/)

  const second = start('--event-log', 'kafka', '--move-event-log')
  await sendAndCheck(second, rounds[0], rounds[1], rounds.slice(0, 2).flat())
  const { url, token } = await second.up()
  await send(new URL(url).origin, token, rounds[2]) // whether they count before everything is killed is random
  for (const pid of runningOn(dataDir)) process.kill(pid, 'SIGKILL')
  await second.exited

  const third = start('--event-log', 'postgres', '--move-event-log')
  await sendAndCheck(third, rounds.slice(0, 3).flat(), rounds[3], rounds.slice(0, 4).flat())
  await stop(third)

  const fourth = start('--event-log', 'kafka', '--move-event-log') // unread events are read now
  await sendAndCheck(fourth, rounds.slice(0, 4).flat().toReversed(), rounds[4], rounds.flat())
  await stop(fourth)
  assert.deepEqual(runningOn(dataDir), [])
})
