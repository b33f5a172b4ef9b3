/** Every view, in a real browser, by axe, in both colour schemes, and on the narrowest screen. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { openSite, violationsOf, withoutBrowser as skip } from './support/browser.ts'
import { writeFleet } from './support/fleet.ts'

const views = [
  ['/', '.sparkline path'],
  ['/explore?by=zone&against=previous', 'caption'],
  ['/live', '.readout .value'],
  ['/device?id=device-001', '.bars rect'],
  ['/operations', '.new-key']
]

test(
  'every view is for everybody: axe finds nothing, by day and by night, and a narrow screen scrolls down alone',
  { skip },
  async t => {
    const site = await openSite(t)
    await writeFleet(site)
    const page = await site.open('/', { failures: /404|503/ })
    for (const [n, [view, part]] of views.entries()) {
      // one scheme from the start, and the other while the view is open
      const [first, second] = n % 2 === 0 ? ['light', 'dark'] as const : ['dark', 'light'] as const
      await page.emulateMedia({ colorScheme: first })
      await page.goto(new URL(view, page.url()).href)
      await page.locator(part).first().waitFor()
      assert.deepEqual(await violationsOf(page), [], `${view}, ${first}`)
      await page.emulateMedia({ colorScheme: second })
      assert.deepEqual(await violationsOf(page), [], `${view}, ${second}`)
      await page.setViewportSize({ width: 320, height: 700 })
      assert.ok(
        (await page.evaluate<number>('document.documentElement.scrollWidth')) <= 320,
        `${view} is wider than its screen`
      )
      await page.setViewportSize({ width: 1_280, height: 900 })
    }
  }
)
