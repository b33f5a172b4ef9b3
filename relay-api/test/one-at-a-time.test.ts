import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createOneAtATime } from '../src/query/one-at-a-time.ts'

test('one runs at a time, callers take turns, and who leaves or fails holds up nobody', async () => {
  const { run } = createOneAtATime()
  const order: string[] = []
  let running = 0
  const ends: Array<() => void> = []
  const work = (name: string) => async () => {
    assert.equal(++running, 1)
    order.push(name)
    await new Promise<void>(resolve => ends.push(resolve))
    running--
    if (name === 'a2') throw new Error('failed')
  }
  const leaving = new AbortController()
  const all = [
    run('a', undefined, work('a1')), run('a', undefined, work('a2')), run('a', leaving.signal, work('a3')),
    run('a', undefined, work('a4')), run('b', undefined, work('b1'))
  ]
  const settled = Promise.allSettled(all)
  leaving.abort(new Error('left'))
  for (let n = 0; n < 4; n++) {
    await new Promise(resolve => setImmediate(resolve))
    ends[n]()
  }
  const outcomes = (await settled).map(it => it.status === 'rejected' ? (it.reason as Error).message : 'done')
  assert.deepEqual(order, ['a1', 'a2', 'b1', 'a4'])
  assert.deepEqual(outcomes, ['done', 'failed', 'left', 'done', 'done'])
  await assert.rejects(run('a', AbortSignal.abort(new Error('gone')), work('a5')), /gone/)
})
