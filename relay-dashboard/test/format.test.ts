/** How times are shown, in whichever language. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'

import { formatAgo, TICK_MS } from '../src/format.ts'

test('a reading that is newer than the last tick of the clock is of now; a later one is of the future', () => {
  const nowMs = Date.UTC(2026, 0, 1)
  const now = formatAgo(nowMs, nowMs)
  for (const aheadMs of [300, 700, TICK_MS]) assert.equal(formatAgo(nowMs + aheadMs, nowMs), now)
  const relative = new Intl.RelativeTimeFormat(undefined, { numeric: 'always', style: 'short' })
  assert.equal(formatAgo(nowMs + 6_000, nowMs), relative.format(6, 'second'))
  assert.equal(formatAgo(nowMs - 2_000, nowMs), relative.format(-2, 'second'))
})

for (const [locale, day, month] of [
  ['en-US', '{MMM} {D}', 'May'],
  ['en-GB', '{D} {MMM}', 'May'],
  ['de', '{D} {MMM}', 'Mai']
]) {
  test(`axes name days as ${locale} does`, () => {
    const format = new URL('../src/format.ts', import.meta.url).href
    const script = `import { dateNames, dayOfAxis } from '${format}'; console.log(dayOfAxis + '|' + dateNames.MMM[4])`
    const said = execFileSync(process.execPath, ['--input-type=module', '--eval', script], {
      env: { ...process.env, LC_ALL: locale.replace('-', '_') }, encoding: 'utf8'
    })
    assert.equal(said.trim(), `${day}|${month}`)
  })
}
