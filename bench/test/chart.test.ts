import assert from 'node:assert/strict'
import { test } from 'node:test'

import { drawBars } from '../src/chart.ts'

test('a chart names each bar and its figure, in the text colour of light and dark pages', async () => {
  const svg = await drawBars('Rates', 'of two', 'events/s', [
    { label: 'one', value: 1_234_000, min: 1_000_000, max: 1_300_000 }, { label: 'other', value: 56_000 }
  ], '.3~s')
  for (const text of ['Rates', 'of two', 'events/s', 'one', 'other', '1.23M', '56k']) {
    assert.ok(svg.includes(`>${text}</`), `${text} is not there`)
  }
  assert.match(svg, /prefers-color-scheme:dark/)
  const colours = new Set([...svg.matchAll(/<text[^>]* fill="([^"]+)"/g)].map(it => it[1]))
  assert.deepEqual(colours, new Set(['currentColor']))
})
