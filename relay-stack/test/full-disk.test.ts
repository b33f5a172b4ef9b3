/** The disk is full when the stack starts. For a disk that becomes full later see supervise.test.ts and log.test.ts. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

import { fullDisk } from '../src/disk.ts'
import { onFreePorts, startStackProcess } from './support/stack-process.ts'

const STOP = fileURLToPath(new URL('../src/stop.ts', import.meta.url))
const onPostgres = [...onFreePorts, '--event-log', 'postgres']

test('a full disk is reported as full, and as nothing else', { timeout: 120_000 }, async t => {
  const folder = await mkdtemp(join(tmpdir(), 'relay-test-disk-'))
  await chmod(folder, 0o755) // PostgreSQL must enter it as another user, or its data are on another disk
  const disk = join(folder, 'disk')
  await mkdir(disk)
  let isMounted = false
  t.after(async () => {
    if (isMounted) execFileSync('umount', [disk])
    await rm(folder, { recursive: true })
  })
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=19m,mode=755', 'tmpfs', disk], { stdio: 'ignore' })
    isMounted = true
  } catch {
    return t.skip('this user may mount no disk')
  }
  assert.match(await fullDisk(disk) ?? '', /is full$/) // PostgreSQL has no room for a segment of its log
  assert.equal(await fullDisk(folder), undefined)
  const stack = startStackProcess(join(disk, 'data'), onPostgres)
  assert.equal(await stack.exited, 1)
  assert.match(
    stack.text,
    /^(Event log: .*\n)?(the disk of .*: free some space; .*\n)?the disk of \S+ is full; free some space, or use another with --data-dir\n$/
  )
})

test('an invalid data folder is one line with the reason', async t => {
  const folder = await mkdtemp(join(tmpdir(), 'relay-test-disk-'))
  t.after(() => rm(folder, { recursive: true }))
  const file = join(folder, 'file')
  await writeFile(file, '')
  for (const [dataDir, why] of [
    [file, 'it is a file'], [join(file, 'data'), 'it is a file'],
    [join(folder, 'x'.repeat(300)), 'its name is too long']
  ]) {
    const stack = startStackProcess(dataDir, onPostgres)
    assert.equal(await stack.exited, 1)
    assert.match(stack.text, new RegExp(`^can't use the data folder ${dataDir}: ${why}.*--data-dir\n$`))
  }
  const stop = spawnSync(process.execPath, [STOP, '--data-dir', file], { encoding: 'utf8' })
  assert.equal(stop.status, 1)
  assert.match(stop.stderr, new RegExp(`^can't use the data folder ${file}: it is a file.*--data-dir\n$`))
  const empty = startStackProcess('', onPostgres)
  assert.equal(await empty.exited, 1)
  assert.match(empty.text, /^error: option '--data-dir <folder>' argument '' is invalid\. Must not be empty\.\n/)
})
