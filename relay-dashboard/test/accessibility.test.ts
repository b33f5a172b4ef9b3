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

/** On a large screen: whether the page leaves most of it empty, is not in the middle, or stretches its text. */
const UNUSED = `(() => {
  const { left, right } = document.querySelector('main').getBoundingClientRect()
  const wrong = []
  if (right - left < innerWidth / 3) wrong.push('the page takes ' + (right - left) + ' px')
  if (Math.abs(left - (innerWidth - right)) > 40) wrong.push('it is not in the middle: ' + left + ' to ' + right)
  for (const it of document.querySelectorAll('main p')) {
    if (it.getBoundingClientRect().width > innerWidth * 0.6 && it.textContent.length > 200) wrong.push(it.textContent)
  }
  return wrong
})()`

test(
  'every view is for everybody: axe finds nothing, by day and by night, and any screen scrolls down alone',
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
      for (const [width, height] of [[320, 700], [3_840, 2_160], [1_280, 900]] as const) {
        await page.setViewportSize({ width, height })
        assert.ok(
          (await page.evaluate<number>('document.documentElement.scrollWidth')) <= width,
          `${view} is wider than its screen of ${width}`
        )
        if (width === 3_840) assert.deepEqual(await page.evaluate(UNUSED), [], `${view} on a large screen`)
      }
    }
  }
)
