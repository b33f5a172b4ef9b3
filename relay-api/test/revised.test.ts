/** Rows changed by late readings, and counts of late readings and duplicates: with the real processor. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'
import { createLogger } from 'relay-common'
import { bucketStartMs, HOUR_MS, MINUTE_MS, type DeviceEvent } from 'relay-rollups'

import { openSite, send, settled } from '../../relay-processor/test/support/open-processor.ts'
import { startProcessor } from '../../relay-processor/src/processor.ts'
import { until } from 'relay-test-support/until.ts'
import { createApp } from '../src/app.ts'
import { readApiConfig } from '../src/config.ts'
import { rowsRevisedBy } from '../src/query/row-status.ts'
import { TOKEN } from './support/ask.ts'

const log = createLogger('test', 'silent')
const limit = { timeout: 180_000 }

interface Answer {
  readonly completeThrough: string | null
  readonly lateReadings: number
  readonly duplicateReadings: number
  readonly rows: ReadonlyArray<{ bucketStart: string, device?: string, status: string, count: number }>
}

for (const kind of ['postgres', 'kafka'] as const) {
  test(`a row that a late reading has changed says so, only for its own device: ${kind}`, limit, async t => {
    const site = await openSite(t, kind)
    if (!site) return
    await using started = new AsyncDisposableStack()
    const config = readApiConfig({ ...site.environment, API_TOKENS: TOKEN })
    const app = started.adopt(await createApp(config, site.database, log), it => it.close())
    const get = async (query: string) => {
      const response = await app.inject({
        url: `/api/v1/aggregates?${query}`, headers: { authorization: `Bearer ${TOKEN}` }
      })
      assert.equal(response.statusCode, 200, response.body)
      return response
    }
    const fourHoursAgo = bucketStartMs(HOUR_MS, Date.now()) - 4 * HOUR_MS
    const range =
      `start=${new Date(fourHoursAgo).toISOString()}&end=${new Date(fourHoursAgo + 3 * HOUR_MS).toISOString()}`
    const ask = async (query: string): Promise<Answer> => (await get(`${range}&${query}`)).json()
    const at = (deviceId: string, minutes: number): DeviceEvent =>
      ({
        deviceId, deviceType: 'THERMOSTAT', zone: 'Zone A', value: 1, timestampMs: fourHoursAgo + minutes * MINUTE_MS
      })
    const counted = (answer: Answer) => [answer.lateReadings, answer.duplicateReadings]
    /** separate flushes, because out of order within one is not late */
    const flush = async (events: DeviceEvent[]) => {
      await send(site, events)
      await settled(site)
    }

    started.adopt(await startProcessor(site.config, log), it => it.close())
    await flush([at('x', 0), at('x', 10), at('x', 50), at('y', 0), at('y', 50)])
    await until('all to be read', async () => (await ask('interval=1h')).completeThrough !== null)
    const before = await ask('interval=1h&groupBy=device')
    assert.deepEqual(before.rows.map(it => [it.device, it.status, it.count]), [['x', 'final', 3], ['y', 'final', 2]])
    assert.deepEqual(counted(before), [0, 0])

    // its minute was over, its hour was not
    await flush([at('x', 30)])
    assert.deepEqual(
      (await ask('interval=1m&device=x')).rows.map(it => it.status), ['final', 'final', 'revised', 'final']
    )
    assert.deepEqual((await ask('interval=1h&device=x')).rows.map(it => it.status), ['final'])

    // duplicates change nothing, and are counted
    await flush([at('x', 30), at('x', 30), at('y', 50)])
    assert.deepEqual(
      (await ask('interval=1h&groupBy=device')).rows.map(it => [it.status, it.count]), [['final', 4], ['final', 2]]
    )
    assert.deepEqual(counted(await ask('device=x')), [1, 2])
    assert.deepEqual(counted(await ask('device=y')), [0, 1])
    assert.deepEqual(counted(await ask('zone=Zone%20A')), [1, 3])

    // and now its hour was over too
    await flush([at('x', 130)])
    await flush([at('x', 20), at('x', 20.5)])
    const after = await ask('interval=1h&groupBy=device')
    assert.deepEqual(after.rows.map(it => [it.device, it.status, it.count]),
      [['x', 'revised', 6], ['x', 'final', 1], ['y', 'final', 2]])
    assert.deepEqual((await ask('interval=1h&zone=Zone%20A')).rows.map(it => it.status), ['revised', 'final'])
    assert.deepEqual((await ask('interval=1m&device=x')).rows.map(
      it => [Date.parse(it.bucketStart) - fourHoursAgo, it.status]
    ),
    [[0, 'final'], [10, 'final'], [20, 'revised'], [30, 'revised'], [50, 'final'], [130, 'final']]
      .map(([minutes, status]) => [Number(minutes) * MINUTE_MS, status]))
    assert.deepEqual(counted(after), [3, 3])
    assert.deepEqual(counted(await ask('type=CAR_FUEL')), [0, 0])

    // rows that are not final are provisional, whatever was late; a row as long as the range ends after what was late
    const open =
      (await get(`start=${new Date(fourHoursAgo).toISOString()}&end=now%2B1h&interval=range`)).json() as Answer
    assert.deepEqual(open.rows.map(it => [it.status, it.count]), [['provisional', 9]])
    assert.deepEqual((await ask('interval=range')).rows.map(it => it.status), ['final'])
    const csv = (await get(`${range}&interval=1h&device=x&stats=count&format=csv`)).body.trim().split('\r\n').slice(1)
    assert.deepEqual(csv.map(it => it.split(',').slice(2, 4)), [['6', 'revised'], ['1', 'final']])
    const ndjson = (await get(`${range}&interval=1h&format=ndjson`)).body.trim().split('\n').map(it => JSON.parse(it))
    assert.deepEqual(
      [ndjson[0].status, ndjson.at(-1).end.lateReadings, ndjson.at(-1).end.duplicateReadings], ['revised', 3, 3]
    )
  })
}

test('minutes and hours are revised by exactly the late readings that arrived after their end', () => {
  const scenario = fc.record({
    late: fc.array(
      fc.record({ minute: fc.nat(59), throughMinute: fc.integer({ min: 1, max: 300 }) }), { minLength: 1, maxLength: 5 }
    ),
    sizeMinutes: fc.constantFrom(1, 60, 120, 180),
    first: fc.integer({ min: -2, max: 2 })
  })
  fc.assert(fc.property(scenario, ({ late, sizeMinutes, first }) => {
    const hourMs = Date.UTC(2024, 0, 1, 12)
    const readings = late.map(({ minute, throughMinute }) => ({ minute, through: Math.max(throughMinute, minute + 1) }))
    const found = {
      hourMs,
      minutes: readings.reduce((bits, { minute }) => bits | 1n << BigInt(minute), 0n),
      throughMs: hourMs + Math.max(...readings.map(it => it.through)) * MINUTE_MS
    }
    const sizeMs = sizeMinutes * MINUTE_MS
    // rows of hours start on any hour, and one of them is of the hour
    const startMs =
      sizeMinutes === 1 ? hourMs : hourMs - (first < 0 ? 0 : Math.min(first, sizeMinutes / 60 - 1)) * HOUR_MS
    const ranges = Array.from({ length: sizeMinutes === 1 ? 60 : 2 }, (_, n) =>
      ({ startMs: startMs + n * sizeMs, endMs: startMs + (n + 1) * sizeMs }))
    const expected = ranges.flatMap(({ startMs, endMs }, row) => readings.some(({ minute, through }) => {
      const timeMs = hourMs + minute * MINUTE_MS
      return timeMs >= startMs && timeMs < endMs && hourMs + through * MINUTE_MS >= endMs
    })
      ? [row]
      : [])
    assert.deepEqual([...rowsRevisedBy(found, ranges, 0)], expected)
  }))
})
