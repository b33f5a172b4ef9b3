import assert from 'node:assert/strict'
import { test } from 'node:test'

import { SeriesTable } from '../src/series-table.ts'
import { openWindow } from '../src/windows.ts'

const minuteMs = 60_000
const nowMs = Date.parse('2024-01-01T12:00:00Z')

test('a device that was silent for an hour keeps its series in memory, not its windows', () => {
  const table = new SeriesTable(0, { partitions: 1, horizonMs: -Infinity }, -Infinity)
  const at = (deviceId: string, settledMaxMs: number) => {
    const series = table.findOrAdd({ deviceId, deviceType: 'THERMOSTAT', zone: 'Zone A' })
    openWindow(series, 0, settledMaxMs)
    series.settledMaxMs = settledMaxMs
    return series
  }
  const idle = at('idle', nowMs - 61 * minuteMs)
  const hot = at('hot', nowMs - 59 * minuteMs)
  table.forgetIdleWindows(nowMs)
  assert.equal(table.findOrAdd({ deviceId: 'idle', deviceType: 'THERMOSTAT', zone: 'Zone A' }), idle)
  assert.equal(idle.windows.newest[0], undefined)
  assert.notEqual(hot.windows.newest[0], undefined)

  table.forgetIdleWindows(nowMs + 5 * minuteMs)
  assert.notEqual(hot.windows.newest[0], undefined, 'not looked at with every flush')
  table.forgetIdleWindows(nowMs + 10 * minuteMs)
  assert.equal(hot.windows.newest[0], undefined)
})
