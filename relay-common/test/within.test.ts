import assert from 'node:assert/strict'
import { test } from 'node:test'

import { within } from '../src/within.ts'

const HOUR_MS = 3_600_000

test('work within its limit is awaited, whatever its outcome', async () => {
  assert.equal(await within(HOUR_MS, Promise.resolve('done')), 'done')
  await assert.rejects(within(HOUR_MS, Promise.reject(new Error('no such topic'))), /^Error: no such topic$/)
})

test('work beyond its limit is a TimeoutError, and may fail afterwards', async () => {
  const work = Promise.withResolvers<never>()
  await assert.rejects(within(1, work.promise), { name: 'TimeoutError', message: 'no answer within 1 ms' })
  work.reject(new Error('nobody waits for this any more')) // an unhandled rejection would fail the file
})
