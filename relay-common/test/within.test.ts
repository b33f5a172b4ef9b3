import assert from 'node:assert/strict'
import { test } from 'node:test'

import { within } from '../src/within.ts'

const HOUR_MS = 3_600_000

test('work that ends in time is waited for, whatever comes of it', async () => {
  assert.equal(await within(HOUR_MS, Promise.resolve('done')), 'done')
  await assert.rejects(within(HOUR_MS, Promise.reject(new Error('no such topic'))), /^Error: no such topic$/)
})

test('work that takes too long is a TimeoutError, and may fail afterwards', async () => {
  const work = Promise.withResolvers<never>()
  await assert.rejects(within(1, work.promise), { name: 'TimeoutError', message: 'no answer within 1 ms' })
  work.reject(new Error('nobody waits for this any more')) // an unhandled rejection would fail the file
})
