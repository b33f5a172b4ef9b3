/** Connections among callers: whatever some of them ask for, one that asks for little does not wait for them all. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'

import { createShares } from '../src/query/fair-share.ts'

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
    await shares.take(caller, false)
    order.push(caller)
    await settle()
    shares.giveBack(caller, false)
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
      try {
        await shares.take(caller, isLong, leaving.signal)
      } catch (error) {
        assert.equal((error as Error).message, 'gone')
        return
      }
      assert.ok(++held <= poolMax)
      for (let n = 0; n < turns; n++) await settle()
      held--
      shares.giveBack(caller, isLong)
    }))
    assert.equal(held, 0)
    await Promise.all(Array.from({ length: Math.min(poolMax, 2) }, (_, n) => shares.take(`next ${n}`, false))) // at once
  }))
})
