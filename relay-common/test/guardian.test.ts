import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { once } from 'node:events'
import { test } from 'node:test'

import { commandLineOf } from '../../relay-stack/src/process-table.ts'
import { until } from 'relay-test-support/until.ts'

/**
 * A run that starts a server in its own process group, which starts another with another environment; and leaves a
 * file.
 */
const run = `
  import { spawn } from 'node:child_process'
  import { mkdtempSync } from 'node:fs'
  import { tmpdir } from 'node:os'
  import { join } from 'node:path'
  import { startGuardian } from '${new URL('../../test-support/guardian.ts', import.meta.url)}'
  const guardian = startGuardian()
  mkdtempSync(join(tmpdir(), 'of-a-test-'))
  const inner = "require('child_process').spawn('sleep', ['1000'], { env: {}, detached: true }); setInterval(() => {}, 1000)"
  const server = spawn(process.execPath, ['-e', inner], { detached: true, stdio: 'ignore' })
  console.log(JSON.stringify({ folders: [guardian.folder, process.env.RELAY_TEST_MEMORY], server: server.pid }))
  process.on('SIGHUP', () => guardian.close().then(() => process.exit(0)))
  setInterval(() => {}, 1000)`

for (const signal of ['SIGKILL', 'SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  const how = signal === 'SIGHUP' ? 'that ends in order' : `that ends by ${signal}`
  test(`a test run ${how} leaves no process and no folder, on a disk or in memory`, async () => {
    const child = spawn(
      process.execPath, ['--input-type=module', '--eval', run], { stdio: ['ignore', 'pipe', 'inherit'] }
    )
    const { folders, server } = JSON.parse(String((await once(child.stdout, 'data'))[0])) as {
      folders: string[], server: number
    }
    for (const it of folders) assert.ok(existsSync(it), it)
    child.kill(signal)
    await once(child, 'exit')
    await until('the folders to be gone', () => !folders.some(it => existsSync(it)))
    assert.equal(commandLineOf(server), '')
  })
}
