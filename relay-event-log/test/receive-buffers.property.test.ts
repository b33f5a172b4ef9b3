import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import fc from 'fast-check'

import { ReceiveBuffers, type Received } from '../src/kafka/receive-buffers.ts'

const MB = 1024 * 1024

suite('receive buffers', () => {
  test('received bytes stay unchanged until their last user has released them, whatever others do', () => {
    const steps = fc.array(fc.oneof(
      fc.record({
        kind: fc.constant('take' as const),
        sizeBytes: fc.integer({ min: 1, max: 300_000 }),
        users: fc.integer({ min: 1, max: 3 })
      }),
      fc.record({ kind: fc.constant('release' as const), which: fc.nat(20) })
    ), { maxLength: 60 })
    fc.assert(fc.property(steps, steps => {
      const buffers = new ReceiveBuffers(MB)
      const held: Array<{ received: Received, users: number, mark: number }> = []
      let mark = 0
      for (const step of steps) {
        if (step.kind === 'take') {
          const received = buffers.take(step.sizeBytes)
          assert.equal(received.bytes.length, step.sizeBytes)
          for (let n = 1; n < step.users; n++) received.share()
          received.bytes.fill(mark = (mark + 1) % 256)
          held.push({ received, users: step.users, mark })
        } else if (held.length > 0) {
          const at = step.which % held.length
          held[at].received.release()
          if (--held[at].users === 0) held.splice(at, 1)
        }
        for (const { received, mark } of held) {
          assert.ok(received.bytes[0] === mark && received.bytes.at(-1) === mark, 'someone wrote into it')
        }
      }
    }), { numRuns: 300 })
  })

  test('are reused, and the number of unused ones is bounded', () => {
    const buffers = new ReceiveBuffers(MB)
    const first = buffers.take(MB / 2)
    const memory = first.bytes.buffer
    first.release()
    assert.equal(buffers.take(MB / 2 - 100).bytes.buffer, memory)

    const many = Array.from({ length: 3 }, () => buffers.take(MB / 2))
    for (const received of many) received.release()
    const again = Array.from({ length: 3 }, () => buffers.take(MB / 2).bytes.buffer)
    assert.equal(again.filter(it => many.some(({ bytes }) => bytes.buffer === it)).length, 2)
  })
})
