import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

const program = `
  import { createLogger } from 'relay-common'
  const log = createLogger('test', 'info')
  for (let n = 0; n < 10_000; n++) log.info({ n }, 'x'.repeat(1_000))
  await new Promise(resolve => setTimeout(resolve, 10))
  process.exitCode = 3`

/** @returns the exit code of a program that logs 10 MB to a file */
async function runLoggingTo (path: string): Promise<number> {
  const output = openSync(path, 'w')
  const child = spawn(
    process.execPath, ['--input-type=module', '--eval', program], { stdio: ['ignore', output, 'ignore'] }
  )
  closeSync(output)
  const [code] = await once(child, 'exit')
  return code
}

test('a program works although its log is on a full disk, and otherwise loses no line', async t => {
  assert.equal(await runLoggingTo('/dev/full'), 3)
  const folder = await mkdtemp(join(tmpdir(), 'relay-test-log-'))
  t.after(() => rm(folder, { recursive: true }))
  assert.equal(await runLoggingTo(join(folder, 'log')), 3)
  assert.equal(readFileSync(join(folder, 'log'), 'utf8').split('\n').length, 10_001)
})
