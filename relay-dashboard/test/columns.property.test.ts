/** Bars for columns of pixels show what all points would have shown. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'

import { axisOf, columnsOf, eachBar, extentOf, firstAtOrAfter, numbersOf, placeOn } from '../src/columns.ts'

const WIDTH = 50
const HEIGHT = 100
const LEFT = 7

const points = fc.array(fc.record({
  step: fc.nat({ max: 1_000 }),
  value: fc.oneof(
    { weight: 5, arbitrary: fc.double({ min: -1e6, max: 1e6, noNaN: true }) },
    { weight: 1, arbitrary: fc.constant(null) }
  )
}), { minLength: 1, maxLength: 400 }).map(all => {
  let time = 1_700_000_000
  return { times: all.map(it => (time += it.step)), values: all.map(it => it.value) }
})

test('each value is in the bar of its column, and no bar goes beyond its own column but to meet the one before', () => {
  fc.assert(fc.property(points, fc.integer({ min: 0, max: 3 }), ({ times, values }, thick) => {
    const x = axisOf(LEFT, WIDTH, times[0], times.at(-1)! + 1)
    const extent = extentOf([values], 0, values.length)
    const y = axisOf(HEIGHT, -HEIGHT, extent?.[0] ?? 0, extent?.[1] ?? 1)
    const columns = columnsOf(times, 0, times.length, x)
    assert.ok(columns.count <= WIDTH)
    const bars = new Map<number, { top: number, bottom: number }>()
    eachBar(columns, numbersOf(values), numbersOf(values), y, thick, (left, top, height) => {
      assert.ok(!bars.has(left) && left >= LEFT && left < LEFT + WIDTH && height >= Math.max(1, thick - 1))
      bars.set(left, { top, bottom: top + height })
    })
    const tops = new Map<number, number[]>()
    for (const [at, value] of values.entries()) {
      if (value === null) continue
      const left = Math.floor(placeOn(x, times[at]))
      const top = placeOn(y, value)
      tops.set(left, [...tops.get(left) ?? [], top])
      const bar = bars.get(left)!
      assert.ok(bar.top <= top + 1 && bar.bottom >= top - 1, `${top} in ${JSON.stringify(bar)}`)
    }
    assert.deepEqual([...bars.keys()], [...tops.keys()])
    const all = [...tops.values()].flat()
    for (const { top, bottom } of bars.values()) {
      assert.ok(top >= Math.min(...all) - thick - 1 && bottom <= Math.max(...all) + thick + 1)
    }
  }))
})

test('every point is in one column, and columns come in order', () => {
  fc.assert(fc.property(points, ({ times }) => {
    const x = axisOf(LEFT, WIDTH, times[0] - 3, times.at(-1)! + 5)
    const { count, lefts, firsts } = columnsOf(times, 0, times.length, x)
    assert.equal(firsts[0], 0)
    assert.equal(firsts[count], times.length)
    for (let n = 0; n < count; n++) {
      assert.ok(firsts[n] < firsts[n + 1] && (n === 0 || lefts[n] > lefts[n - 1]))
      for (let at = firsts[n]; at < firsts[n + 1]; at++) assert.equal(Math.floor(placeOn(x, times[at])), lefts[n])
    }
  }))
})

test('the first time at or after another is the one that a search from the front finds', () => {
  fc.assert(fc.property(points, fc.nat(400_000), ({ times }, after) => {
    const time = times[0] - 5 + after
    const found = times.findIndex(it => it >= time)
    assert.equal(firstAtOrAfter(times, time), found === -1 ? times.length : found)
  }))
})
