import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test, type TestContext } from 'node:test'

const runJs = new URL('../../run.js', import.meta.url)

/** A separate clone, with a given part of an installation. */
async function makeClone (t: TestContext, files: Record<string, string>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'relay-test-run-'))
  t.after(() => rm(folder, { recursive: true }))
  await copyFile(runJs, join(folder, 'run.js'))
  for (const [name, text] of Object.entries({ 'package.json': '{"type":"module"}', ...files })) {
    await mkdir(join(folder, name, '..'), { recursive: true })
    await writeFile(join(folder, name), text)
  }
  return folder
}

function run (
  folder: string, args: readonly string[], environment: NodeJS.ProcessEnv = {}, nodeArgs: readonly string[] = []
) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [...nodeArgs, join(folder, 'run.js'), ...args],
    { env: environment, encoding: 'utf8' })
  return { status, stdout, stderr }
}

/** Mounts of its own. */
const UNSHARE = ['--mount', '--map-root-user']
const installed = { 'node_modules/relay-common/package.json': '{}' }

suite('npm scripts', () => {
  test('report in one line that nothing is installed, or not everything', async t => {
    const bare = await makeClone(t, { 'relay-stack/src/main.ts': '' })
    assert.deepEqual(run(bare, ['relay-stack/src/main.ts']),
      { status: 1, stdout: '', stderr: 'Relay is not installed yet: run `npm ci` first\n' })
    const half = await makeClone(t, { ...installed, 'relay-stack/src/main.ts': "import 'commander'" })
    assert.deepEqual(run(half, ['relay-stack/src/main.ts']),
      { status: 1, stdout: '', stderr: 'the package commander is missing: run `npm ci` again, without --omit=dev\n' })
  })

  test('report in one line that an install has no packages for tests', async t => {
    const clone = await makeClone(t, {
      ...installed,
      'package.json': '{"type":"module","devDependencies":{"@types/node":"24","fast-check":"4"}}',
      'node_modules/@types/node/package.json': '{}'
    })
    assert.deepEqual(run(clone, []),
      { status: 1, stdout: '', stderr: 'the package fast-check is missing: run `npm ci` again, without --omit=dev\n' })
    await mkdir(join(clone, 'node_modules/fast-check'))
    assert.deepEqual(run(clone, []), { status: 0, stdout: '', stderr: '' })
    const { scripts } = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8'))
    for (const name of ['test', 'check', 'lint', 'test:alarms']) assert.equal(scripts[`pre${name}`], 'node run.js')
  })

  test('report in one line that Node is too old', async t => {
    const clone = await makeClone(t, {
      ...installed,
      'old.cjs': "Object.defineProperty(process.versions, 'node', { value: '18.20.8' })",
      'relay-stack/src/main.ts': 'console.log("started")'
    })
    const { status, stdout, stderr } = run(
      clone, ['relay-stack/src/main.ts'], {}, ['--require', join(clone, 'old.cjs')]
    )
    assert.deepEqual([status, stdout], [1, ''])
    assert.match(stderr, /^Relay needs Node 24.*`npm ci`.*\n$/)
  })

  test('report a read-only clone before anything is loaded, unless the data are elsewhere', async t => {
    const clone = await makeClone(t, { ...installed, 'relay-stack/src/main.ts': 'console.log("loaded")' })
    const inReadOnly = (...options: string[]) => {
      const { status, stdout, stderr } = spawnSync('unshare', [...UNSHARE, 'sh', '-c',
        `mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && exec "$0" "$1/run.js" relay-stack/src/main.ts ${options.join(' ')}`,
        process.execPath, clone], { env: { PATH: process.env.PATH }, encoding: 'utf8' })
      return { status, stdout, stderr }
    }
    if (spawnSync('unshare', [...UNSHARE, 'true']).status !== 0) return t.skip('it needs the right to mount')
    assert.deepEqual(inReadOnly(), {
      status: 1,
      stdout: '',
      stderr: `can't use the data folder ${join(clone, '.relay')}: it is on a read-only file system; use another with --data-dir\n`
    })
    assert.deepEqual(inReadOnly('--data-dir', '/tmp'), { status: 0, stdout: 'loaded\n', stderr: '' })
  })

  test('pass on arguments, and errors of the program unchanged', async t => {
    const clone = await makeClone(t, {
      ...installed,
      'bench/src/main.ts': 'console.log(process.argv.slice(2).join()); const code: number = 3; process.exitCode = code',
      'bench/src/bad.ts': 'throw new Error("its own")'
    })
    assert.deepEqual(run(clone, ['bench/src/main.ts', '--a', 'b']), { status: 3, stdout: '--a,b\n', stderr: '' })
    assert.match(run(clone, ['bench/src/bad.ts']).stderr, /Error: its own/)
  })

  test('keep compiled code for the next start, also for programs started from here', async t => {
    const clone = await makeClone(
      t, { ...installed, 'bench/src/main.ts': 'console.log(process.env.NODE_COMPILE_CACHE)' }
    )
    const cached = async (folder: string) => (await readdir(folder, { recursive: true })).length
    assert.equal(run(clone, ['bench/src/main.ts'], { HOME: clone }).stdout, join(clone, '.cache', 'relay') + '\n')
    assert.ok(await cached(join(clone, '.cache', 'relay')) > 0)
    const [chosen, own] = [join(clone, 'chosen'), join(clone, 'own')]
    assert.equal(
      run(clone, ['bench/src/main.ts'], { HOME: clone, XDG_CACHE_HOME: chosen }).stdout, join(chosen, 'relay') + '\n'
    )
    assert.equal(run(clone, ['bench/src/main.ts'], { HOME: clone, NODE_COMPILE_CACHE: own }).stdout, own + '\n')
    const file = join(clone, 'run.js') // no folder can be created in it
    assert.deepEqual(run(clone, ['bench/src/main.ts'], { HOME: file }), {
      status: 0, stdout: join(file, '.cache', 'relay') + '\n', stderr: ''
    })
  })

  test('the stack reads settings from .env, the command line those that name servers, others none', async t => {
    const show = 'console.log(["DEVICES", "POSTGRES_PORT", "RELAY_DATA_DIR"].map(it => process.env[it] ?? "-").join())'
    const programs = { 'relay-stack/src/main.ts': show, 'relay-cli/src/main.ts': show, 'bench/src/main.ts': show }
    const env = '# a comment\nDEVICES=7\nPOSTGRES_PORT="15432"\nRELAY_DATA_DIR=/data\n'
    const local = await makeClone(t, { ...installed, ...programs, '.env': env })
    const stdout = (clone: string, program: string, environment = {}) =>
      run(clone, [`${program}/src/main.ts`], environment).stdout
    assert.equal(stdout(local, 'relay-stack'), '7,15432,/data\n')
    assert.equal(stdout(local, 'relay-stack', { DEVICES: '9' }), '9,15432,/data\n', 'the environment wins')
    assert.equal(stdout(local, 'relay-cli'), '-,-,/data\n', 'else it would not be the stack that runs here')
    assert.equal(stdout(local, 'bench'), '-,-,-\n')
    const showToken = 'console.log(process.env.API_TOKENS)'
    const withToken = await makeClone(t, {
      ...installed, 'relay-cli/src/main.ts': showToken, '.env': 'API_TOKENS=a-token\n'
    })
    assert.equal(stdout(withToken, 'relay-cli'), 'a-token\n', 'the local stack accepts no other')
    const relative = await makeClone(t, { ...installed, ...programs, '.env': 'RELAY_DATA_DIR=own\n' })
    for (const program of ['relay-stack', 'relay-cli']) {
      assert.equal(stdout(relative, program), `-,-,${join(relative, 'own')}\n`, 'wherever it is started')
    }
    assert.equal(stdout(relative, 'relay-stack', { RELAY_DATA_DIR: 'mine' }), '-,-,mine\n')
    const own = await makeClone(t, { ...installed, ...programs, '.env': env + 'POSTGRES_HOST=db.example\n' })
    assert.equal(stdout(own, 'relay-cli'), '7,15432,/data\n')
  })
})
