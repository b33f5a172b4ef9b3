/** Connections among callers: whatever some of them ask for, one that asks for little does not wait for them all. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'

import fc from 'fast-check'

import { createShares, type Share, type Shares } from '../src/query/fair-share.ts'

const MAX = 10

const settings = { DATABASE_POOL_MAX: MAX, DATABASE_CONNECT_TIMEOUT_MS: 60_000 }
/** what promises have to say is said */
const settle = () => new Promise(resolve => setImmediate(resolve))

test('a caller that takes all it can get leaves a connection for whoever comes next', { timeout: 10_000 }, async () => {
  await fc.assert(fc.asyncProperty(fc.integer({ min: 5, max: 40 }), fc.nat(50), fc.nat(50), async (poolMax, short, long) => {
    const shares = createShares({ ...settings, DATABASE_POOL_MAX: poolMax })
    const ending = new AbortController()
    const asked = [...Array(short).fill(false), ...Array(long).fill(true)].map(async isLong => {
      await shares.take('greedy', isLong, ending.signal)
    })
    await settle()
    await shares.take('honest', false) // at once: nobody gives anything back
    ending.abort(new Error('enough'))
    await Promise.allSettled(asked)
  }))
})

test('callers take turns: one with a thousand questions is as far as one with three when those are answered', async () => {
  const shares = createShares(settings)
  const order: string[] = []
  const ask = async (caller: string) => {
    const share = await shares.take(caller, false)
    order.push(caller)
    await settle()
    share.giveBack()
  }
  await Promise.all([...Array(1_000).fill('many'), ...Array(3).fill('few')].map(ask))
  assert.ok(order.lastIndexOf('few') < 3 * MAX, `the last one was ${order.lastIndexOf('few')}`)
})

test('connections are never more than there are, and all are back in the end, whoever goes meanwhile', async () => {
  const asked = fc.record({
    caller: fc.constantFrom('a', 'b', 'c'), isLong: fc.boolean(), turns: fc.nat(5), leavesAfter: fc.option(fc.nat(5), { nil: undefined })
  })
  await fc.assert(fc.asyncProperty(fc.integer({ min: 1, max: 12 }), fc.array(asked, { maxLength: 60 }), async (poolMax, all) => {
    const shares = createShares({ ...settings, DATABASE_POOL_MAX: poolMax })
    let held = 0
    await Promise.all(all.map(async ({ caller, isLong, turns, leavesAfter }) => {
      const leaving = new AbortController()
      if (leavesAfter !== undefined) {
        (async () => {
          for (let n = 0; n < leavesAfter; n++) await settle()
          leaving.abort(new Error('gone'))
        })()
      }
      let share
      try {
        share = await shares.take(caller, isLong, leaving.signal)
      } catch (error) {
        assert.equal((error as Error).message, 'gone')
        return
      }
      assert.ok(++held <= poolMax)
      for (let n = 0; n < turns; n++) await settle()
      held--
      share.giveBack()
    }))
    assert.equal(held, 0)
    await Promise.all(Array.from({ length: Math.min(poolMax, 2) }, (_, n) => shares.take(`next ${n}`, false))) // at once
  }))
})

/** Shares on a clock of their own, which `pass` moves. */
function onClock (t: TestContext) {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  let nowMs = 0
  const shares = createShares(settings, () => nowMs)
  return {
    shares,
    async pass (ms: number) {
      nowMs += ms
      t.mock.timers.tick(ms)
      await settle()
    }
  }
}

/** Asks many times at once. @returns those that have a connection, in the order in which they got it */
function askOften (shares: Shares, caller: string, isLong: boolean, times: number): Share[] {
  const got: Share[] = []
  for (let n = 0; n < times; n++) shares.take(caller, isLong).then(it => got.push(it))
  return got
}

test('beside others, a caller of slow questions has one at a time, and a rest as long as each of them', async t => {
  const { shares, pass } = onClock(t)
  const askHonest = async () => (await shares.take('honest', false)).giveBack()
  await askHonest()
  const got = askOften(shares, 'slow', false, 20)
  await settle()
  for (let begun = got.length, ended = 0; ended < 10; begun = got.length) {
    await pass(400)
    await askHonest()
    while (ended < begun) got[ended++].giveBack()
    await settle()
    assert.equal(got.length, begun, 'it rests')
    await pass(200)
    await askHonest()
    assert.equal(got.length, begun, 'it rests still')
    await pass(200)
    assert.equal(got.length - begun, 1, 'it goes on')
  }
})

test('a caller that takes less than the others never waits for a free connection, however slow its statements are', async t => {
  const { shares, pass } = onClock(t)
  const greedy = askOften(shares, 'greedy', false, 200)
  await settle()
  for (let turn = 0; turn < 20; turn++) {
    const share = await Promise.race([shares.take('honest', false), settle().then(() => undefined)])
    assert.ok(share, `it waits after ${turn} slow statements, though a connection is free`)
    await pass(150)
    for (const it of [share, ...greedy.splice(0)]) it.giveBack()
    await settle()
  }
})

test('a caller that is alone has all that there is, slow or not', async t => {
  const { shares, pass } = onClock(t)
  const got = askOften(shares, 'slow', false, 20)
  await settle()
  assert.equal(got.length, 6)
  await pass(400)
  got[0].giveBack()
  await settle()
  assert.equal(got.length, 7)
})

test('beside others, one with quick questions soon has as many at once as if it were alone', async t => {
  const { shares, pass } = onClock(t)
  const askHonest = async () => (await shares.take('honest', false)).giveBack()
  await askHonest()
  const got = askOften(shares, 'quick', false, 40)
  await settle()
  for (let ended = 0, most = 0; most < 6;) {
    most = Math.max(most, got.length - ended)
    assert.ok(ended < 10, 'it has waited long enough')
    await pass(5)
    await askHonest()
    got[ended++].giveBack()
    await settle()
  }
})

test('a long answer rests between its statements, and lets the next long one wait, beside others alone', async t => {
  for (const beside of [true, false]) {
    const { shares, pass } = onClock(t)
    const askHonest = async () => { if (beside) (await shares.take('honest', false)).giveBack() }
    await askHonest()
    const got = askOften(shares, 'long', true, 10)
    await settle()
    const before = got.length
    await pass(30)
    await askHonest()
    for (const it of [...got]) it.giveBack()
    await settle()
    assert.equal(got.length, beside ? before : 2 * before)
    await pass(30)
    assert.equal(got.length, 2 * before)
    t.mock.timers.reset()
  }
})

test('a database that does not answer makes nobody rest', async t => {
  const { shares, pass } = onClock(t)
  const askHonest = async () => (await shares.take('honest', false)).giveBack()
  await askHonest()
  const got = askOften(shares, 'other', false, 5)
  await settle()
  const before = got.length
  await pass(2_000)
  await askHonest()
  for (const it of [...got]) it.giveBack(true)
  await settle()
  assert.equal(got.length, 2 * before)
})

test('one that waits for its own questions waits as long as some of them are answered; then it is told', async t => {
  const { shares, pass } = onClock(t)
  const holders = await Promise.all(Array.from({ length: 8 }, (_, n) => shares.take(n < 2 ? 'own' : `holder ${n}`, false)))
  const own = Array.from({ length: 4 }, () => shares.take('own', false))
  const outcomes = own.map(it => it.then(() => 'got', (error: Error & { code: string }) => error.code))
  const halfMs = settings.DATABASE_CONNECT_TIMEOUT_MS / 2
  const stateOf = (it: Promise<string>) => Promise.race([it, settle().then(() => 'waits')])
  await pass(halfMs + 1)
  holders[0].giveBack() // the one that is free then is for somebody who has none
  await settle()
  await pass(halfMs)
  assert.deepEqual(await Promise.all(outcomes.map(stateOf)), Array(4).fill('waits'))
  await pass(2 * halfMs)
  assert.deepEqual(await Promise.all(outcomes.map(stateOf)), Array(4).fill('RELAY_DATABASE_UNREACHABLE'))
  await shares.take('late', false)
  const tooLate = assert.rejects(shares.take('too late', false), { code: 'RELAY_DATABASE_UNREACHABLE' })
  await pass(2 * halfMs)
  await tooLate
})
