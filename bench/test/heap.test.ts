import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'

import { findInspector, inspectorArgs, openHeap } from '../src/heap.ts'

/**
 * Holds a number of bytes in a buffer and twice as many in one of a worker thread, and creates garbage; then reports.
 */
const program = `
  const { Worker } = require('node:worker_threads')
  const bytes = Number(process.env.BYTES)
  globalThis.kept = Buffer.alloc(bytes)
  for (let n = 0; n < 10; n++) Buffer.alloc(bytes)
  const work = () => {
    globalThis.kept = Buffer.alloc(2 * process.env.BYTES)
    require('node:worker_threads').parentPort.on('message', () => {}).postMessage('holds')
  }
  new Worker('(' + work + ')()', { eval: true }).once('message', () => console.log('holds'))
  setInterval(() => {}, 1e6)`

test('the heap of a program counts live data of all threads, without garbage', async () => {
  const [little, much] = [await readHeapOf(10e6), await readHeapOf(30e6)]
  assert.ok(Math.abs(much - little - 3 * 20e6) < 3e6, `${much - little} bytes more`)
})

async function readHeapOf (bytes: number): Promise<number> {
  const child = spawn(process.execPath, [...inspectorArgs, '--input-type=commonjs', '--eval', program],
    { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, BYTES: String(bytes) } })
  try {
    let said = ''
    child.stderr.setEncoding('utf8').on('data', text => { said += text })
    const ended = once(child, 'exit').then(() => { throw new Error(said) })
    ended.catch(() => {})
    await Promise.race([once(child.stdout, 'data'), ended])
    using heap = await openHeap(findInspector(said)!)
    return await heap.readAlive()
  } finally {
    child.kill()
  }
}
