import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test, type TestContext } from 'node:test'

import { publishLocalStack } from 'relay-common'
import { until } from 'relay-test-support/until.ts'

import { openDataDir, stackOn } from '../src/data-dir.ts'
import { fullDisk } from '../src/disk.ts'
import { openLogFiles } from '../src/log-files.ts'
import { commandLineOf, findProcess, pidFileOf, readPid, stopLeftOver } from '../src/process-table.ts'

suite('a data folder', () => {
  test('is released when it is closed, and so is one whose process was killed', async t => {
    const folder = await makeFolder(t)
    const first = await openDataDir(folder, false)
    assert.equal(readPid(join(folder, 'lock')), process.pid)
    await first.close()
    await writeFile(join(folder, 'lock'), `${await deadPid()}\n`)
    const second = await openDataDir(folder, false)
    assert.equal(readPid(join(folder, 'lock')), process.pid)
    await second.close()
    assert.deepEqual((await readdir(folder)).filter(it => it.startsWith('lock')), [])
  })

  test('with a lock whose id belongs to another program now is taken', async t => {
    const folder = await makeFolder(t)
    await mkdir(folder)
    await writeFile(join(folder, 'lock'), `${startSleeper(t).pid}\n`)
    await (await openDataDir(folder, false)).close()
  })

  test('with a lock whose id belongs to a stack on another folder now is taken, and that one is not stopped', async t => {
    const [folder, other] = [await makeFolder(t), startSleeper(t, 'relay-stack/src/main.ts')]
    await mkdir(folder)
    await writeFile(join(folder, 'lock'), pidFileOf(other.pid!).replace(/started \d+/, 'started 1'))
    assert.equal(stackOn(folder), undefined)
    await (await openDataDir(folder, false)).close()
    await writeFile(join(folder, 'lock'), pidFileOf(other.pid!))
    assert.equal(stackOn(folder), other.pid)
  })

  test('held by a running stack is refused, with its process id and what to do', async t => {
    const folder = await makeFolder(t)
    await mkdir(folder)
    const stack = startSleeper(t, 'relay-stack/src/main.ts')
    await writeFile(join(folder, 'lock'), `${stack.pid}\n`)
    await assert.rejects(openDataDir(folder, true), {
      code: 'RELAY_DATA_DIR_IN_USE', message: new RegExp(`process ${stack.pid}.*${folder}.*--data-dir`)
    })
  })

  test('opened with --fresh loses its data and keeps the jars', async t => {
    const folder = await makeFolder(t)
    const used = await openDataDir(folder, false)
    await used.writeSentUntil(Date.now())
    for (const it of [used.postgres, used.kafka, used.logs, join(folder, 'kafka')]) {
      await mkdir(it, { recursive: true })
      await writeFile(join(it, 'something'), '')
    }
    await used.close()
    const fresh = await openDataDir(folder, true)
    t.after(() => fresh.close())
    assert.equal(await fresh.readSentUntil(), undefined)
    assert.deepEqual((await readdir(folder)).sort(), ['kafka', 'lock', 'pids'])
    assert.deepEqual(await readdir(join(folder, 'kafka')), ['something'])
  })

  test('with other files is refused and stays unchanged, also with --fresh', async t => {
    for (const name of ['notes.txt', 'logs', 'postgres', '.bashrc']) {
      const folder = await makeFolder(t)
      await mkdir(join(folder, name), { recursive: true })
      await chmod(folder, 0o755)
      for (const fresh of [false, true]) {
        await assert.rejects(openDataDir(folder, fresh), {
          code: 'RELAY_CONFIG_INVALID', message: new RegExp(`^can't use .*${folder}: it has other files \\(${name}\\);`)
        })
      }
      assert.deepEqual(await readdir(folder), [name])
      assert.equal((await stat(folder)).mode & 0o777, 0o755)
    }
  })

  test('on a new disk, or beside the jars of Kafka, is taken', async t => {
    for (const name of ['lost+found', 'kafka']) {
      const folder = await makeFolder(t)
      await mkdir(join(folder, name), { recursive: true })
      await (await openDataDir(folder, false)).close()
      await (await openDataDir(folder, true)).close()
    }
  })

  test('that no file system can hold is one line, and not a full disk', { skip: !existsSync('/proc/self') }, async () => {
    await assert.rejects(openDataDir('/proc/relay', false), {
      code: 'RELAY_CONFIG_INVALID', message: /^can't use the data folder \/proc\/relay: no folder can be created there/
    })
    assert.equal(await fullDisk('/proc'), undefined)
  })

  test('stores up to when events were sent', async t => {
    const dataDir = await openDataDir(await makeFolder(t), false)
    t.after(() => dataDir.close())
    assert.equal(await dataDir.readSentUntil(), undefined)
    const timeMs = Date.parse('2026-03-01T12:00:00.123Z')
    await dataDir.writeSentUntil(timeMs)
    assert.equal(await dataDir.readSentUntil(), timeMs)
  })
})

test('a data folder is closed to others, new or of an earlier version', async t => {
  const folder = await makeFolder(t)
  await (await openDataDir(folder, false)).close()
  for (const path of [folder, join(folder, 'logs'), join(folder, 'pids'), join(folder, 'passwords')]) {
    await mkdir(path, { recursive: true })
    await chmod(path, 0o755)
  }
  await writeFile(join(folder, 'site.json'), '{}', { mode: 0o644 })
  const dataDir = await openDataDir(folder, false)
  t.after(() => dataDir.close())
  const logs = await openLogFiles(dataDir.logs)
  t.after(() => logs.close())
  const told = await publishLocalStack(dataDir.path, {})
  t.after(() => told.close())
  const rightsOf = async (path: string) => (await stat(path)).mode & 0o777
  // root runs PostgreSQL as a user that must pass through; nobody else may even do that
  assert.equal(await rightsOf(folder), process.getuid?.() === 0 ? 0o710 : 0o700)
  for (const path of [dataDir.logs, dataDir.pids, dataDir.passwords]) assert.equal(await rightsOf(path), 0o700, path)
  assert.equal(await rightsOf(join(folder, 'site.json')), 0o600)
})

suite('a leftover process', () => {
  test('is stopped, by force if it does not react', async t => {
    const folder = await makeFolder(t)
    await mkdir(folder)
    const pidFile = join(folder, 'deaf.pid')
    const deaf = startSleeper(t, 'deaf', 'process.on("SIGTERM", () => {}); process.send("deaf");')
    await new Promise(resolve => deaf.once('message', resolve))
    await writeFile(pidFile, String(deaf.pid))
    const trace = { pidFile, mark: 'deaf', stopSignal: 'SIGTERM', killSignal: 'SIGKILL' } as const
    assert.equal(findProcess(trace), deaf.pid)
    assert.equal(await stopLeftOver(trace, 200), true)
    assert.equal(commandLineOf(deaf.pid!), '')
    assert.equal(await stopLeftOver(trace, 200), false)
  })

  test('is not confused with another program with its process id', async t => {
    const folder = await makeFolder(t)
    await mkdir(folder)
    const pidFile = join(folder, 'other.pid')
    const other = startSleeper(t, 'other')
    await writeFile(pidFile, String(other.pid))
    const trace = { pidFile, mark: 'ours', stopSignal: 'SIGKILL', killSignal: 'SIGKILL' } as const
    assert.equal(await stopLeftOver(trace, 200), false)
    assert.notEqual(commandLineOf(other.pid!), '')
  })

  test('a file without a process id leads nowhere', async t => {
    const folder = await makeFolder(t)
    await mkdir(folder)
    for (const text of ['', 'undefined', '-1', '0', '1.5']) {
      await writeFile(join(folder, 'pid'), text)
      assert.equal(findProcess({ pidFile: join(folder, 'pid'), mark: '' }), undefined)
    }
  })
})

async function makeFolder (t: TestContext): Promise<string> {
  const parent = await mkdtemp(join(tmpdir(), 'relay-test-data-dir-'))
  t.after(() => rm(parent, { recursive: true, force: true }))
  return join(parent, 'data')
}

function startSleeper (t: TestContext, name = 'sleeper', script = '') {
  const child = spawn(process.execPath, ['-e', `${script} setInterval(() => {}, 1000)`, '--', name], {
    stdio: ['ignore', 'ignore', 'ignore', 'ipc']
  })
  t.after(() => child.kill('SIGKILL'))
  return child
}

async function deadPid (): Promise<number> {
  const child = spawn(process.execPath, ['-e', ''], { stdio: 'ignore' })
  await until('a process to end', () => child.exitCode !== null)
  return child.pid!
}
