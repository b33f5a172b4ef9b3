/** Connections among callers: whatever some of them ask for, one that asks for little does not wait for them all. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'

import fc from 'fast-check'

import { createShares, type HeldConnection, type Shares } from '../src/sharing/fair-share.ts'

const MAX = 10

const settings = { DATABASE_POOL_MAX: MAX, DATABASE_CONNECT_TIMEOUT_MS: 60_000 }
/** connections for answers: two are left for what is for nobody */
const FOR_ANSWERS = MAX - 2
const nobodyIsHeavy = { ask: () => {}, isHeavy: () => false }
/** what promises have to say is said */
const settle = () => new Promise(resolve => setImmediate(resolve))

test('a caller that takes all it can get leaves a connection for whoever comes next', { timeout: 10_000 }, async () => {
  await fc.assert(fc.asyncProperty(fc.integer({
    min: 5, max: 40
  }), fc.nat(50), fc.nat(50), async (poolMax, short, long) => {
    const shares = createShares({ ...settings, DATABASE_POOL_MAX: poolMax }, nobodyIsHeavy)
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
  const shares = createShares(settings, nobodyIsHeavy)
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
    caller: fc.constantFrom('a', 'b', 'c'),
    isLong: fc.boolean(),
    turns: fc.nat(5),
    leavesAfter: fc.option(fc.nat(5), { nil: undefined })
  })
  await fc.assert(fc.asyncProperty(fc.integer({ min: 1, max: 12 }), fc.array(
    asked, { maxLength: 60 }
  ), async (poolMax, all) => {
    const shares = createShares({ ...settings, DATABASE_POOL_MAX: poolMax }, nobodyIsHeavy)
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
    await Promise.all(Array.from(
      { length: Math.min(poolMax, 2) }, (_, n) => shares.take(`next ${n}`, false)
    )) // at once
  }))
})

/** Shares on a clock of their own, which `pass` moves; the callers `greedy…` are heavy. */
function onClock (t: TestContext) {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  let nowMs = 0
  const shares = createShares(settings, { ask: () => {}, isHeavy: caller => caller.startsWith('greedy') }, () => nowMs)
  const pass = async (ms: number) => {
    nowMs += ms
    t.mock.timers.tick(ms)
    await settle()
  }
  return {
    shares,
    pass,
    /** A statement of another caller, who is never heavy. */
    async askHonest (tookMs: number) {
      const share = await Promise.race([shares.take('honest', false), settle().then(() => undefined)])
      assert.ok(share, 'it waits for a connection')
      await pass(tookMs)
      share.giveBack()
    }
  }
}

/** Asks many times at once. @returns those that have a connection, in the order in which they got it */
function askOften (shares: Shares, caller: string, isLong: boolean, times: number): HeldConnection[] {
  const got: HeldConnection[] = []
  for (let n = 0; n < times; n++) shares.take(caller, isLong).then(it => got.push(it))
  return got
}

test('heavy callers together have one connection at a time while the others are slower than usual', async t => {
  const { shares, pass, askHonest } = onClock(t)
  for (let n = 0; n < 100; n++) await askHonest(2)
  const got = ['greedy 1', 'greedy 2', 'greedy 3'].map(it => askOften(shares, it, false, 100))
  const begun = () => got.flat().length
  await settle()
  for (let n = 0; n < 20; n++) await askHonest(40)
  for (const it of got.flat()) it.giveBack()
  for (let ended = begun(); ended < 30; ended++) {
    await askHonest(40)
    assert.equal(begun() - ended, 1, 'one is under way')
    got.flat()[ended].giveBack() // in the order of callers, not of time: each is given back once all the same
    await pass(1)
  }
})

test('heavy callers have all that others leave while these are as quick as usual', async t => {
  const { shares, askHonest } = onClock(t)
  for (let n = 0; n < 100; n++) await askHonest(2)
  const got = askOften(shares, 'greedy', false, 100)
  await settle()
  assert.equal(got.length, 1)
  for (let n = 0; n < 1_500; n++) await askHonest(2)
  assert.equal(got.length, 6)
})

test('a caller that is not heavy never waits for a free connection, however slow its statements are', async t => {
  const { shares, askHonest, pass } = onClock(t)
  const greedy = askOften(shares, 'greedy', false, 200)
  for (let turn = 0; turn < 20; turn++) {
    await askHonest(150)
    await pass(50)
    for (const it of greedy.splice(0)) it.giveBack()
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

test('a caller that comes has one connection at first, and soon as many as any other', async t => {
  const { shares, pass, askHonest } = onClock(t)
  await askHonest(2)
  const got = askOften(shares, 'new', false, 40)
  await settle()
  assert.equal(got.length, 1)
  for (let ended = 0; got.length - ended < 6;) {
    assert.ok(ended < 6, 'it has waited long enough')
    await pass(2)
    got[ended++].giveBack()
    await settle()
  }
})

test('long answers leave most connections to short ones, whoever asks', async t => {
  for (const beside of [true, false]) {
    const { shares, askHonest } = onClock(t)
    if (beside) await askHonest(2)
    const got = askOften(shares, 'a', true, 10)
    const others = askOften(shares, 'b', true, 10)
    await settle()
    assert.equal(got.length + others.length, beside ? FOR_ANSWERS / 8 : FOR_ANSWERS / 4)
    t.mock.timers.reset()
  }
})

test('a database that does not answer says nothing of the callers', async t => {
  const { shares, pass, askHonest } = onClock(t)
  for (let n = 0; n < 100; n++) await askHonest(2)
  const got = askOften(shares, 'greedy', false, 100)
  const honest = askOften(shares, 'honest', false, 4)
  await pass(30_000)
  for (const it of honest) it.giveBack(true)
  for (let n = 0; n < 1_000; n++) await askHonest(2)
  assert.ok(got.length > 2)
})

test('one that waits for its own questions waits as long as some of them are answered; then it is told', async t => {
  const { shares, pass } = onClock(t)
  const holders = await Promise.all(Array.from(
    { length: 8 }, (_, n) => shares.take(n < 2 ? 'own' : `holder ${n}`, false)
  ))
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
