import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'
import { RelayError, Registry } from 'relay-common'

import { createBudgets } from '../src/budgets/budgets.ts'

const HOUR_MS = 3_600_000
const config = { ANSWERS_PER_CALLER_MAX: 3, NEW_SERIES_PER_HOUR_MAX: 100 } as Parameters<typeof createBudgets>[0]

test('a caller that exceeded a budget is refused, others are not, and it is counted by caller', async () => {
  const metrics = new Registry()
  const budgets = createBudgets(config, metrics, () => 0)
  budgets.spend('newSeries', 'key:a', 100)
  assert.throws(() => budgets.spend('newSeries', 'key:a'), (error: RelayError) =>
    error.code === 'RELAY_BUDGET_EXCEEDED' && error.retryAfterS === 36)
  budgets.spend('newSeries', 'key:b', 100)
  assert.match(await metrics.metrics(), /relay_api_budget_exceeded_total\{budget="newSeries",caller="key:a"\} 1/)
})

test('what is held is returned exactly once', () => {
  const budgets = createBudgets(config, new Registry())
  const held = [1, 2, 3].map(() => budgets.hold('answers', 'key:a'))
  assert.throws(() => budgets.hold('answers', 'key:a'), { code: 'RELAY_BUDGET_EXCEEDED' })
  held[0][Symbol.dispose]()
  held[0][Symbol.dispose]()
  const again = budgets.hold('answers', 'key:a')
  assert.throws(() => again.add(1), { code: 'RELAY_BUDGET_EXCEEDED' })
})

test('nobody gets more of a spent budget than a full one plus its refill, in any order and at any time', () => {
  fc.assert(fc.property(fc.array(fc.tuple(fc.nat(HOUR_MS), fc.nat(150))), asked => {
    let nowMs = 0
    let taken = 0
    const budgets = createBudgets(config, new Registry(), () => nowMs)
    for (const [afterMs, amount] of asked) {
      nowMs += afterMs
      try {
        budgets.spend('newSeries', 'key:a', amount)
        taken += amount
      } catch (error) {
        assert.equal((error as RelayError).code, 'RELAY_BUDGET_EXCEEDED')
        taken += budgets.spendUpTo('newSeries', 'key:a', amount)
      }
      assert.ok(taken <= 100 + 100 * nowMs / HOUR_MS + 1e-6)
    }
  }))
})
