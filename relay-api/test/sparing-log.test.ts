import assert from 'node:assert/strict'
import { test } from 'node:test'

import type { Logger } from 'relay-common'

import { until } from 'relay-test-support/until.ts'
import { openSparingLog } from '../src/sparing-log.ts'

function openLines () {
  const lines: Array<Record<string, unknown>> = []
  return {
    lines,
    log: { warn: (fields: object, message: string) => { lines.push({ ...fields, message }) } } as unknown as Logger
  }
}

test('of lines with one kind and address the first is written, then the number of others', () => {
  const { lines, log } = openLines()
  const notes = openSparingLog(log)
  for (let n = 0; n < 1_000; n++) notes.warn({ kind: 'a', address: '10.0.0.1' }, { n }, 'ended')
  notes.warn({ kind: 'a', address: '10.0.0.2' }, { n: -1 }, 'ended')
  assert.deepEqual(lines.map(it => it.n), [0, -1])
  notes.close()
  assert.deepEqual(lines.slice(2).map(it => [it.n, it.further]), [[0, 999]])
})

test('a window has a bounded number of lines, for any number of addresses', () => {
  const { lines, log } = openLines()
  const notes = openSparingLog(log)
  for (let n = 0; n < 50_000; n++) notes.warn({ kind: 'a', address: `address ${n}` }, {}, 'ended')
  notes.close()
  assert.equal(lines.length, 1_001)
  assert.equal(lines.at(-1)!.further, 49_000)
})

test('after a window the first line of a kind is written again', async () => {
  const { lines, log } = openLines()
  const notes = openSparingLog(log, 20)
  notes.warn({ kind: 'a', address: 'x' }, {}, 'ended')
  await until('the next window', () => {
    notes.warn({ kind: 'a', address: 'x' }, {}, 'ended')
    return lines.filter(it => it.further === undefined).length === 2
  })
  notes.close()
})
