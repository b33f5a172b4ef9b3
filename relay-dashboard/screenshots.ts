/**
 * Pictures of every view for docs/dashboard.md and README, of a local stack that runs; or as wide as a telephone, to be
 * looked at:
 *
 *     npm exec -- node relay-dashboard/screenshots.ts http://127.0.0.1:8080
 *     npm exec -- node relay-dashboard/screenshots.ts http://127.0.0.1:8080 320 FOLDER
 */
import { mkdir } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

import { openBrowser, pageOptions } from './test/support/browser.ts'

const [url = 'http://127.0.0.1:8080', width = '1200', folder = fileURLToPath(new URL('../docs/dashboard', import.meta.url))] = process.argv.slice(2)
const HEIGHT = 760
/** Of the browser: its fields of dates ignore a page's own. */
const LOCALE = 'en-US'
const LIVE_MS = 45_000
/** Rates are of two answers. */
const RATES_MS = 6_000

/** By name: where it is, what says that it is drawn, and how long it is worth to wait for more. */
const views = {
  fleet: { path: '/', part: '.sparkline path' },
  explore: { path: '/explore?by=type&range=6h&stat=avg', part: '.readout .value' },
  compare: { path: '/explore?type=HEART_RATE_METER&range=6h&stat=median&against=previous', part: 'caption' },
  device: { path: '/device?id=thermostat-001', part: '.bars rect', fullPage: true },
  live: { path: '/live', part: '.readout .value', waitMs: LIVE_MS },
  operations: { path: '/operations', part: '.new-key', waitMs: RATES_MS },
  letters: { path: '/operations', part: '#dead-letters', waitMs: RATES_MS, scroll: true }
}

await mkdir(folder, { recursive: true })
const browser = await openBrowser()
for (const colorScheme of ['light', 'dark'] as const) {
  const context = await browser.newContext(
    { ...pageOptions, locale: LOCALE, colorScheme, viewport: { width: Number(width), height: HEIGHT } }
  )
  const page = await context.newPage()
  for (const [name, { path, part, ...more }] of Object.entries(views)) {
    await page.goto(url + path)
    await page.locator(part).first().waitFor({ state: 'attached' }) // a flat line has no height that could be visible
    await page.locator('.skeleton').first().waitFor({ state: 'detached' })
    if ('waitMs' in more) await page.waitForTimeout(more.waitMs)
    if ('scroll' in more) await page.locator(part).scrollIntoViewIfNeeded()
    await page.screenshot({ path: `${folder}/${name}-${colorScheme}.png`, fullPage: 'fullPage' in more })
  }
  await context.close()
}
await browser.close()
