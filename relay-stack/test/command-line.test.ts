/** `relay` beside `npm start`: it finds the stack by itself. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'

import { documents, runCli } from '../../relay-cli/test/support/run-cli.ts'
import { makeDataDir, onFreePorts, startStackProcess } from './support/stack-process.ts'

test('the command line finds the running stack, and its database URL is stored without a password', async t => {
  const dataDir = await makeDataDir(t)
  const stack = startStackProcess(dataDir, ['--event-log', 'postgres', '--backfill', '10s', ...onFreePorts])
  await stack.up()
  const relay = (...args: string[]) => runCli({ environment: { RELAY_DATA_DIR: dataDir } }, args)
  const lag = await relay('lag', '--json')
  assert.equal(lag.code, 0, lag.stderr)
  assert.equal(documents(lag)[0].partitions.length, 8)
  const password = (await readFile(join(dataDir, 'passwords/owner'), 'utf8')).trim()
  assert.ok(!(await readFile(join(dataDir, 'site.json'), 'utf8')).includes(password))

  stack.kill('SIGTERM')
  assert.equal(await stack.exited, 0, stack.text)
  await assert.rejects(readFile(join(dataDir, 'site.json')), { code: 'ENOENT' })
})
