/**
 * What the page costs: `npm run measure -w relay-dashboard`. Not at every change: it fills a database with 100,000
 * minutes of a device and with 100,000 devices, and its figures are of a machine that has nothing else to do.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { writeEvents } from '../relay-api/test/support/write-events.ts'
import { openSite, readingsOf, withoutBrowser as skip } from './test/support/browser.ts'

const DAYS = 70
const POINTS_MIN = 100_000
const DEVICES = 100_000
const MINUTE_MS = 60_000
const DAY_MS = 1_440 * MINUTE_MS
const startMs = Date.UTC(2026, 7, 1)

/** Zooms by the wheel for three seconds, a step a frame. @returns when frames began, and how long each drew, ms */
const zoom = `new Promise(resolve => {
  const over = document.querySelector('.u-over')
  const { left, top, width } = over.getBoundingClientRect()
  const at = { clientX: left + width / 2, clientY: top + 50 }
  const times = []
  const drawn = []
  const step = async time => {
    times.push(time)
    if (time - times[0] > 3000) return resolve({ times, drawn })
    const deltaY = Math.floor((time - times[0]) / 500) % 2 === 0 ? -1 : 1
    const beganMs = performance.now()
    over.dispatchEvent(new WheelEvent('wheel', { ...at, ctrlKey: true, deltaY, cancelable: true }))
    await undefined // the chart draws in a microtask
    drawn.push(performance.now() - beganMs)
    requestAnimationFrame(step)
  }
  requestAnimationFrame(step)
})`

/** Scrolls by a screen a frame for three seconds. */
const scroll = `new Promise(resolve => {
  const rows = document.querySelector('.rows')
  const times = []
  const step = time => {
    times.push(time)
    if (time - times[0] > 3000) return resolve(times)
    rows.scrollTop += 400
    requestAnimationFrame(step)
  }
  requestAnimationFrame(step)
})`

function framesOf (times: readonly number[]): { readonly perSecond: number; readonly longestMs: number } {
  const gaps = times.slice(1).map((time, n) => time - times[n])
  return {
    perSecond: Math.round(gaps.length / ((times.at(-1)! - times[0]) / 1_000)),
    longestMs: Math.round(Math.max(...gaps))
  }
}

test('a first chart is there soon, and 100,000 points zoom smoothly', { skip }, async t => {
  const { database, open } = await openSite(t)
  for (let dayMs = startMs; dayMs < startMs + DAYS * DAY_MS; dayMs += DAY_MS) {
    await writeEvents(database, readingsOf({ devices: 1, startMs: dayMs, minutes: 1_440 }))
  }
  const path = `/explore?start=2026-08-01T00:00:00Z&end=${new Date(startMs + DAYS * DAY_MS).toISOString()}&tz=UTC`
  for (let n = 0; n < 3; n++) {
    const since = performance.now()
    const first = await open(path) // an empty cache each time
    await first.locator('.readout .value').waitFor()
    t.diagnostic(`first chart after ${Math.round(performance.now() - since)} ms, the time of a new tab included`)
  }
  const page = await open(`${path}&interval=1m`)
  await page.locator('.readout .value').waitFor({ timeout: 60_000 })
  const rows = Number((await page.locator('.pages span').innerText()).match(/of ([\d,]+)/)![1].replaceAll(',', ''))
  assert.ok(rows >= POINTS_MIN, `${rows} rows`)
  const { times, drawn } = await page.evaluate<{ times: number[], drawn: number[] }>(zoom)
  const frames = framesOf(times)
  const sorted = drawn.sort((a, b) => a - b)
  const [best, middle] = [sorted[0], sorted[sorted.length >> 1]]
  t.diagnostic(`drawing takes ${best.toFixed(1)} ms at best, ${middle.toFixed(1)} ms in the middle`)
  t.diagnostic(
    `zooming ${rows} points: ${frames.perSecond} frames per second, the longest took ${frames.longestMs} ms`
  )
  assert.ok(frames.perSecond >= 50)
})

test('100,000 devices scroll smoothly', { skip }, async t => {
  const { database, open } = await openSite(t)
  const nowMs = Math.floor(Date.now() / MINUTE_MS) * MINUTE_MS
  const PART = 10_000
  for (let first = 0; first < DEVICES; first += PART) {
    await writeEvents(
      database,
      Array.from({ length: PART }, (_, n) => ({
        deviceId: `device-${String(first + n).padStart(6, '0')}`,
        zone: `Zone ${first / PART}`,
        deviceType: 'THERMOSTAT',
        value: n % 100,
        timestampMs: nowMs,
        sourcePartition: 0
      }))
    )
  }
  const page = await open('/?order=silent')
  await page.getByText('100,000 devices', { exact: true }).waitFor({ timeout: 120_000 })
  const frames = framesOf(await page.evaluate<number[]>(scroll))
  t.diagnostic(
    `scrolling ${DEVICES} devices: ${frames.perSecond} frames per second, the longest took ${frames.longestMs} ms`
  )
  assert.ok((await page.getByRole('table', { name: 'Devices' }).getByRole('row').count()) < 100)
  assert.ok(frames.perSecond >= 50)
})
