/** Turns of the event loop: a large answer that is computed leaves most of it to small ones. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'

import { createComputeTurns } from '../src/query/compute-turns.ts'

/**
 * Turns on a clock of their own, and those that were given, in their order. @param longMs that a piece of a long answer
 * takes
 */
function onClock (t: TestContext, isShortUnderWay: () => boolean, longMs = 5) {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  let nowMs = 0
  const turns = createComputeTurns(isShortUnderWay, () => nowMs)
  const given: string[] = []
  return {
    given,
    ask (name: string, isLong: boolean) {
      turns.take(name, isLong).then(() => {
        given.push(name)
        if (isLong) nowMs += longMs
      }, () => {})
    },
    async pass (ms: number) {
      for (let n = 0; n < ms; n++) {
        nowMs++
        t.mock.timers.tick(1)
        // a turn of the loop, and what promises have to say after it
        await new Promise(resolve => setImmediate(resolve))
      }
    }
  }
}

test('while short answers run, a long one gets a turn now and then, and a short one at once', async t => {
  const { given, ask, pass } = onClock(t, () => true)
  for (let n = 0; n < 10; n++) ask('long', true)
  await pass(60)
  const long = given.length
  assert.ok(long >= 2 && long <= 4, `${long} pieces in 60 ms`)
  ask('short', false)
  await pass(2)
  assert.ok(given.includes('short'))
  await pass(500)
  assert.equal(given.length, 11)
})

test('a long answer rests for as long as its pieces are: many small ones go on fast', async t => {
  const { given, ask, pass } = onClock(t, () => true, 0)
  for (let n = 0; n < 10; n++) ask('long', true)
  await pass(50)
  assert.equal(given.length, 10)
})

test('a long answer that is alone gets every turn', async t => {
  const { given, ask, pass } = onClock(t, () => false)
  for (let n = 0; n < 10; n++) ask('long', true)
  await pass(12)
  assert.equal(given.length, 10)
})

test('short answers that compute all the time leave a turn to long ones after each rest', async t => {
  const { given, ask, pass } = onClock(t, () => true)
  for (let n = 0; n < 200; n++) ask('short', false)
  for (let n = 0; n < 5; n++) ask('long', true)
  await pass(130)
  assert.equal(given.filter(it => it === 'long').length, 5)
  assert.ok(given.length > 100)
})
