/**
 * The package as users get it: packed, installed in a new project, compiled, bundled, and run by every installed Node.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { access, cp, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { build, type BuildOptions } from 'esbuild'

import { openTestApi, TOKEN } from '../../relay-api/test/support/ask.ts'
import { writeEvents } from '../../relay-api/test/support/write-events.ts'

const runFile = promisify(execFile)
const folder = fileURLToPath(new URL('..', import.meta.url))
const resolve = createRequire(import.meta.url).resolve

async function run (command: string, args: readonly string[], cwd: string): Promise<string> {
  const { stdout } = await runFile(command, args, { cwd, timeout: 240_000 }).catch(error => {
    throw new Error(`${error.message}\n${error.stdout}`)
  })
  return stdout
}

/** A project with only this package, without a network: its dependencies are packed from ours. */
async function openProject (t: TestContext): Promise<{ project: string, files: string[] }> {
  const project = await mkdtemp(join(tmpdir(), 'relay-test-package-'))
  t.after(() => rm(project, { recursive: true, force: true }))
  const packed = await run('npm', ['pack', '--json', '--pack-destination', project], folder)
  const [{ files }] = JSON.parse(packed.slice(packed.indexOf('[\n'))) as Array<{ files: Array<{ path: string }> }>
  for (const name of ['eventsource-parser', 'openapi-fetch', 'openapi-typescript-helpers']) {
    await run('npm', ['pack', '--ignore-scripts', '--pack-destination', project, packageFolder(name)], folder)
  }
  await writeFile(join(project, 'package.json'), JSON.stringify({ name: 'fresh', version: '1.0.0', type: 'module' }))
  const tarballs = (await readdir(project)).filter(it => it.endsWith('.tgz')).map(it => `./${it}`)
  await run('npm', ['install', '--offline', '--no-audit', '--no-fund', '--engine-strict', ...tarballs], project)
  return { project, files: files.map(it => it.path) }
}

function packageFolder (name: string): string {
  const path = resolve(name)
  return path.slice(0, path.lastIndexOf(join('node_modules', name)) + join('node_modules', name).length)
}

/** Compiles the consumer with compiler options of users. */
async function compile (project: string, options: Readonly<Record<string, unknown>>): Promise<void> {
  const config = {
    compilerOptions: {
      strict: true, skipLibCheck: false, target: 'es2022', types: [], rootDir: '.', outDir: 'dist', ...options
    },
    files: ['consumer.ts']
  }
  await writeFile(join(project, 'tsconfig.json'), JSON.stringify(config))
  await run(process.execPath, [resolve('../../node_modules/typescript/bin/tsc'), '--project', '.'], project)
}

/** Every new enough `node` in PATH, once per version. */
async function findNodes (): Promise<Map<string, string>> {
  const found = new Map([[process.version, process.execPath]])
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const path = join(folder, 'node')
    const version = await access(path).then(() => run(path, ['--version'], tmpdir())).catch(() => '')
    if (Number(/^v(\d+)/.exec(version)?.[1] ?? 0) >= 20) found.set(version.trim(), path)
  }
  return found
}

test('it installs in a new project, compiles, bundles, and runs on every supported Node', { timeout: 600_000 }, async t => {
  await using opened = new AsyncDisposableStack()
  const { app, database } = await openTestApi(t)
  await writeEvents(database, [1, 2].map(value => ({
    deviceId: 'a',
    zone: 'Zone A',
    deviceType: 'THERMOSTAT',
    value,
    timestampMs: Date.UTC(2024, 0, 1, 0, value),
    sourcePartition: 0
  })))
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  opened.defer(() => app.close()) // before the database, because streams use a connection of it
  const { project, files } = await openProject(t)
  assert.deepEqual(
    files.filter(it => !/^(dist|src)\/[a-z]+\.(js|d\.ts|ts)(\.map)?$/.test(it)).sort(),
    ['LICENSE', 'README.md', 'package.json']
  )
  await cp(join(folder, 'test', 'consumer.ts'), join(project, 'consumer.ts'))

  await t.test('tsc accepts its declarations, with any module resolution', async () => {
    await compile(project, { module: 'nodenext', lib: ['es2022', 'dom'] })
    const types = join(project, 'node_modules', '@types')
    await mkdir(types)
    for (const name of ['@types/node', 'undici-types']) {
      await cp(dirname(resolve(`${name}/package.json`)), join(project, 'node_modules', name), { recursive: true })
    }
    await compile(
      project, { module: 'esnext', moduleResolution: 'bundler', lib: ['es2022'], types: ['node'], noEmit: true }
    )
  })

  const said = 'a 2.0, 1.5 1.95, open, RELAY_PARAMETER_INVALID'
  const nodes = await findNodes()
  const load = (module: string) =>
    `const { report } = ${module}; report('${url}', '${TOKEN}').then(it => console.log(it))`
  for (const [version, node] of nodes) {
    await t.test(`Node ${version} runs it`, async () => {
      assert.equal(await run(
        node, ['--input-type=module', '--eval', load('await import("./dist/consumer.js")')], project
      ), `${said}\n`)
    })
  }

  await t.test('a bundler makes one file of it, for Node and for browsers', async () => {
    const entry: BuildOptions = {
      absWorkingDir: project, entryPoints: ['dist/consumer.js'], bundle: true, logLevel: 'silent'
    }
    const { warnings } = await build({ ...entry, platform: 'node', format: 'cjs', outfile: 'bundle.cjs' })
    const browser = await build({ ...entry, platform: 'browser', format: 'esm', outfile: 'bundle.mjs' })
    assert.deepEqual([...warnings, ...browser.warnings], [])
    for (const [module, type] of [
      ['require("./bundle.cjs")', 'commonjs'], ['await import("./bundle.mjs")', 'module']
    ]) {
      assert.equal(await run(process.execPath, [`--input-type=${type}`, '--eval', load(module)], project), `${said}\n`)
    }
  })
})
