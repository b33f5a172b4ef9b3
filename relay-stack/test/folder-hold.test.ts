import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'

import { until } from 'relay-test-support/until.ts'
import { openDataDir } from '../src/data-dir.ts'
import { holdFolder } from '../src/folder-hold.ts'
import { commandLineOf } from '../src/process-table.ts'

const works = (command: string, args: readonly string[]) => spawnSync(command, args, { stdio: 'ignore' }).status === 0
const CONTAINER = ['--pid', '--ipc', '--fork', '--mount-proc', '--kill-child']
const skip = works('flock', ['--version']) ? false : 'the program flock is missing'
const skipContainer = skip ||
  (works('unshare', [...CONTAINER, 'true']) ? false : 'namespaces of processes need root')

suite('a data folder', { timeout: 60_000 }, () => {
  test('that a stack in another container uses is refused, with its host, until that container ends', {
    skip: skipContainer
  }, async t => {
    const folder = await makeFolder(t)
    const container = start(t, 'unshare', [...CONTAINER, process.execPath, userScript, folder])
    await container.server
    for (const fresh of [false, true]) {
      await assert.rejects(openDataDir(folder, fresh), {
        code: 'RELAY_DATA_DIR_IN_USE',
        message: new RegExp(`in another container, on host ${hostname()}.*${folder}.*--data-dir`)
      })
    }
    const stop = spawnSync(process.execPath, [stopScript, '--data-dir', folder], { encoding: 'utf8' })
    assert.match(stop.stderr, /runs in another container, on host .*; stop it there/)
    assert.equal(stop.status, 1)

    container.process.kill('SIGKILL')
    await until('the container to end', () => !isHeld(folder))
    await (await openDataDir(folder, false)).close()
  })

  test('stays held by a server of a killed stack, which the next stack stops', { skip }, async t => {
    const folder = await makeFolder(t)
    const killed = start(t, process.execPath, [userScript, folder])
    const server = await killed.server
    t.after(() => { if (commandLineOf(server) !== '') process.kill(server, 'SIGKILL') })
    killed.process.kill('SIGKILL')
    await once(killed.process, 'exit')
    assert.ok(isHeld(folder))

    const next = await openDataDir(folder, false)
    assert.equal(commandLineOf(server), '')
    assert.ok(isHeld(folder))
    await next.close()
    assert.ok(!isHeld(folder))
  })

  test('that a server holds which this machine does not know is refused, and keeps its lock file', { skip }, async t => {
    const folder = await makeFolder(t)
    await mkdir(folder)
    await writeFile(join(folder, 'lock'), '7\nhost 3f2a17bc\n')
    const other = spawn('flock', [folder, 'sleep', '60'], { stdio: 'ignore', detached: true })
    t.after(() => process.kill(-other.pid!, 'SIGKILL'))
    await until('it to be held', () => isHeld(folder))
    await assert.rejects(openDataDir(folder, false), {
      code: 'RELAY_DATA_DIR_IN_USE', message: /\(in another container, on host 3f2a17bc\) is running on/
    })
  })
})

const userScript = fileURLToPath(new URL('./support/folder-user.ts', import.meta.url))
const stopScript = fileURLToPath(new URL('../src/stop.ts', import.meta.url))

function isHeld (folder: string): boolean {
  const hold = holdFolder(folder)
  hold?.close()
  return hold === undefined
}

async function makeFolder (t: TestContext): Promise<string> {
  const parent = await mkdtemp(join(tmpdir(), 'relay-test-hold-'))
  t.after(() => rm(parent, { recursive: true, force: true }))
  return join(parent, 'data')
}

/** Starts a user of a folder. */
function start (t: TestContext, command: string, args: readonly string[]) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => { child.kill('SIGKILL') })
  return {
    process: child,
    /** process id of its server */
    server: once(child.stdout, 'data').then(([line]) => Number(line))
  }
}
