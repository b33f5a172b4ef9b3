/** Turns of the event loop: a large answer that is computed leaves most of it to small ones. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'

import { createComputeTurns, HEAVY, LONG, SHORT, type Rank } from '../src/sharing/compute-turns.ts'

/**
 * Turns on a clock of their own, and those that were given, in their order.
 * @param longMs that a piece of a long answer takes
 * @param otherMs that a piece of any other takes
 */
function onClock (t: TestContext, lowestUnderWay: () => Rank | undefined, longMs = 5, otherMs = 0) {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  let nowMs = 0
  const turns = createComputeTurns(() => nowMs)
  turns.leaveTimeFor(lowestUnderWay)
  const given: string[] = []
  return {
    given,
    ask (name: string, rank: Rank) {
      turns.take(name, rank).then(() => {
        given.push(name)
        nowMs += rank === LONG ? longMs : otherMs
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
  const { given, ask, pass } = onClock(t, () => SHORT)
  for (let n = 0; n < 10; n++) ask('long', LONG)
  await pass(60)
  const long = given.length
  assert.ok(long >= 2 && long <= 4, `${long} pieces in 60 ms`)
  ask('short', SHORT)
  await pass(2)
  assert.ok(given.includes('short'))
  await pass(500)
  assert.equal(given.length, 11)
})

test('a long answer rests for as long as its pieces are: many small ones go on fast', async t => {
  const { given, ask, pass } = onClock(t, () => SHORT, 0)
  for (let n = 0; n < 10; n++) ask('long', LONG)
  await pass(50)
  assert.equal(given.length, 10)
})

test('a long answer that is alone gets every turn', async t => {
  const { given, ask, pass } = onClock(t, () => undefined)
  for (let n = 0; n < 10; n++) ask('long', LONG)
  await pass(12)
  assert.equal(given.length, 10)
})

test('short answers that compute all the time leave a turn to long ones after each rest', async t => {
  const { given, ask, pass } = onClock(t, () => SHORT)
  for (let n = 0; n < 200; n++) ask('short', SHORT)
  for (let n = 0; n < 5; n++) ask('long', LONG)
  await pass(130)
  assert.equal(given.filter(it => it === 'long').length, 5)
  assert.ok(given.length > 100)
})

test('a turn of the event loop is as long as one piece, however many answers compute in it', async () => {
  const { isSpent } = createComputeTurns()
  assert.deepEqual([0, 2, 3.9, 4, 9].map(isSpent), [false, false, false, true, true])
  await Promise.resolve()
  assert.equal(isSpent(9), true, 'what was promised goes on in the same turn')
  await new Promise(resolve => setImmediate(resolve))
  assert.deepEqual([20, 23, 24].map(isSpent), [false, false, true])
})

test('short answers that compute little share a turn, until the time of a piece is over', async () => {
  let nowMs = 0
  let loops = 0
  const turns = createComputeTurns(() => nowMs)
  const went: number[] = []
  const count = () => { loops++; if (went.length < 40) setImmediate(count) }
  setImmediate(count)
  await Promise.all(Array.from({ length: 40 }, async () => {
    await turns.take('caller', SHORT)
    nowMs += 0.5
    went.push(loops)
  }))
  const perTurn = Object.values(Object.groupBy(went, it => it)).map(it => it!.length)
  assert.ok(Math.max(...perTurn) <= 9, `${Math.max(...perTurn)} in one turn`)
  assert.ok(perTurn.length <= 6, `${perTurn.length} turns`)
})

test('a long piece rests for what it takes of the loop later as well', async t => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  let nowMs = 0
  const turns = createComputeTurns(() => nowMs)
  turns.leaveTimeFor(() => SHORT)
  let went = 0
  for (let n = 0; n < 10; n++) turns.take('long', LONG, undefined, 2).then(() => { went++ })
  for (; nowMs < 30; nowMs++) {
    t.mock.timers.tick(1)
    await new Promise(resolve => setImmediate(resolve))
  }
  assert.ok(went >= 3 && went <= 5, `${went} in 30 ms, each with a rest of 6`)
})

test('short answers of a heavy caller go before a long answer, many in a turn', async t => {
  const { given, ask, pass } = onClock(t, () => HEAVY)
  for (let n = 0; n < 20; n++) ask('long', LONG)
  await pass(20)
  for (let n = 0; n < 50; n++) ask('heavy', HEAVY)
  const before = given.length
  await pass(10)
  const since = given.slice(before)
  assert.equal(since.filter(it => it === 'heavy').length, 50)
  assert.ok(since.indexOf('heavy') <= 1, `behind ${since.indexOf('heavy')} pieces of a long answer`)
})

test('beside short answers, heavy callers and long answers share what is left', async t => {
  const { given, ask, pass } = onClock(t, () => SHORT)
  for (let n = 0; n < 100; n++) {
    ask('heavy', HEAVY)
    ask('long', LONG)
  }
  await pass(300)
  const long = given.filter(it => it === 'long').length
  assert.ok(long >= 2 && long <= 20, `${long} pieces of a long answer in 300 ms`)
  ask('short', SHORT)
  await pass(2)
  assert.ok(given.includes('short'))
})

test('short answers of a heavy caller leave a turn to long answers after each rest', async t => {
  const { given, ask, pass } = onClock(t, () => HEAVY)
  for (let n = 0; n < 5; n++) ask('long', LONG)
  for (let n = 0; n < 1_000; n++) ask('heavy', HEAVY)
  await pass(150)
  assert.equal(given.filter(it => it === 'long').length, 5)
})

test('while short answers compute all the time, heavy callers and long answers both get turns', async t => {
  const { given, ask, pass } = onClock(t, () => SHORT, 5, 4)
  for (let n = 0; n < 500; n++) ask('short', SHORT)
  for (let n = 0; n < 40; n++) {
    ask('heavy', HEAVY)
    ask('long', LONG)
  }
  await pass(100)
  const turnsOf = (name: string) => given.filter(it => it === name).length
  assert.ok(turnsOf('short') < 500, 'no short answer is left')
  assert.ok(turnsOf('heavy') >= 3, `${turnsOf('heavy')} turns of heavy callers, ${turnsOf('long')} of long answers`)
  assert.ok(turnsOf('long') >= 3, `${turnsOf('long')} turns of long answers, ${turnsOf('heavy')} of heavy callers`)
})
