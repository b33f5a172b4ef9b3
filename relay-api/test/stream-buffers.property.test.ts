import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'

import { chooseDropped } from '../src/stream/buffers.ts'

const clients = fc.array(fc.record({
  caller: fc.constantFrom('a', 'b', 'c'), waitingBytes: fc.integer({ min: 0, max: 100 })
}))
const sum = (of: ReadonlyArray<{ readonly waitingBytes: number }>) => of.reduce((all, it) => all + it.waitingBytes, 0)

test('the remaining buffers are within the limits, and no client is dropped without need', () => {
  fc.assert(fc.property(clients, fc.integer({
    min: 0, max: 300
  }), fc.integer({ min: 0, max: 600 }), (clients, perCallerMaxBytes, maxBytes) => {
    const dropped = chooseDropped(clients, { perCallerMaxBytes, maxBytes })
    const gone = new Set(dropped.map(it => it.client))
    const left = clients.filter(it => !gone.has(it))
    assert.ok(sum(left) <= maxBytes)
    for (const caller of ['a', 'b', 'c']) {
      const own = clients.filter(it => it.caller === caller)
      assert.ok(sum(own.filter(it => !gone.has(it))) <= perCallerMaxBytes)
      if (sum(clients) <= maxBytes && sum(own) <= perCallerMaxBytes) assert.ok(own.every(it => !gone.has(it)))
    }
    assert.ok(dropped.every(it => it.client.waitingBytes > 0))
  }), { numRuns: 5_000 })
})
