import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

import { checkLoopback } from '../src/loopback.ts'

const run = fileURLToPath(new URL('../../run.js', import.meta.url))
/** A separate network, whose loopback interface is down. */
const UNSHARE = ['--net', '--map-root-user']

test('a start without a loopback interface is one line with the reason; no other network is needed', async t => {
  await checkLoopback()
  if (spawnSync('unshare', [...UNSHARE, 'true']).status !== 0) return t.skip('a network of its own is not allowed here')
  const { status, stdout, stderr } = spawnSync('unshare',
    [...UNSHARE, process.execPath, run, 'relay-stack/src/main.ts', '--data-dir', '/nowhere'], { encoding: 'utf8' })
  assert.deepEqual([status, stdout], [1, ''])
  assert.match(stderr, /^can't connect to 127\.0\.0\.1.*ENETUNREACH.*ip link set lo up\n$/)
})
