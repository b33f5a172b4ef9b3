import assert from 'node:assert/strict'
import { test } from 'node:test'

import { endSeenMs, FetchWait, WAIT_MAX_AFTER_START_MS, WAIT_MAX_MS } from '../src/kafka/fetch-wait.ts'

test('a broker waits long for records while partitions stay, and briefly while they change hands', () => {
  const wait = new FetchWait()
  assert.equal(wait.maxMs(0), WAIT_MAX_MS)
  wait.start(10_000)
  assert.equal(wait.maxMs(10_000), WAIT_MAX_AFTER_START_MS)
  assert.equal(wait.maxMs(14_999), WAIT_MAX_AFTER_START_MS)
  wait.start(14_999)
  assert.equal(wait.maxMs(19_998), WAIT_MAX_AFTER_START_MS)
  assert.equal(wait.maxMs(20_000), WAIT_MAX_MS)
})

test('the end of a log is seen after the wait of the broker, if that found nothing, else before it', () => {
  assert.equal(endSeenMs(5_000, 1_003, 1_000, true), 6_000)
  assert.equal(endSeenMs(5_000, 1_003, 1_000, false), 5_000, 'records came during the wait')
  assert.equal(endSeenMs(5_000, 1, 1_000, true), 5_000, 'the broker did not wait')
})
