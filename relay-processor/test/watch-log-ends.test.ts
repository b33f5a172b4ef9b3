import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createLogger } from 'relay-common'
import type { PartitionOffsets } from 'relay-event-log'

import { until } from 'relay-test-support/until.ts'
import { watchLogEnds } from '../src/watch-log-ends.ts'

const INTERVAL_MS = 5

test('a log that refuses or does not answer is a fault until it answers again', async t => {
  let readOffsets: () => Promise<PartitionOffsets[]> = async () => []
  let noted = 0
  const line = { noteEnds: () => { noted++ }, observe: () => {} }
  const ends = watchLogEnds(
    { readOffsets: () => readOffsets() }, 'events', line, createLogger('test', 'silent'), INTERVAL_MS
  )
  t.after(() => ends.close())
  await until('its ends', () => noted > 0)
  assert.equal(ends.fault(), undefined)

  readOffsets = async () => { throw new Error('no broker') }
  await until('a refusal', () => ends.fault() === 'no broker')
  readOffsets = async () => []
  await until('an answer', () => ends.fault() === undefined)

  const silent = Promise.withResolvers<PartitionOffsets[]>()
  readOffsets = () => silent.promise
  await until('silence', () => ends.fault() === 'it does not answer')
  silent.resolve([])
  readOffsets = async () => []
  await until('an answer', () => ends.fault() === undefined)
})
