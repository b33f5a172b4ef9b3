/** The numbers of a rollup in a stream equal those of answers. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { emptyRollup, foldReading, minuteLevel } from 'relay-rollups'
import { Compile } from 'typebox/compile'

import { renderChanges, rollupMessageSchema } from '../src/stream/message.ts'
import type { View } from '../src/stream/view.ts'

test('a sum beyond the range of doubles is null in a stream, as its schema says', () => {
  const view = { query: { groupBy: undefined }, level: minuteLevel } as View
  const changes = { buckets: [{ group: '', bucketMs: 0 }], stretch: undefined }
  const messageOf = (...values: number[]) => {
    const rollup = emptyRollup()
    values.forEach((value, n) => foldReading(rollup, n, value))
    const data = JSON.parse(renderChanges(view, changes, () => rollup).split('data: ')[1])
    assert.ok(Compile(rollupMessageSchema).Check(data), JSON.stringify(data))
    return [data.sum, data.avg]
  }
  assert.deepEqual(messageOf(Number.MAX_VALUE, Number.MAX_VALUE), [null, Number.MAX_VALUE])
  assert.deepEqual(messageOf(0.1, 0.2, 0.3), [0.6, 0.2])
})
