/** The programs, started from exactly what their images hold. */
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { lstat, mkdtemp, readdir, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'

import getPort from 'get-port'
import { pendingMigrations } from 'relay-common'

import { openLocalPostgres } from 'relay-test-support/local-postgres.ts'
import { nightly } from 'relay-test-support/nightly.ts'
import { until } from 'relay-test-support/until.ts'
import { environmentOf as composeEnvironmentOf, readCompose } from './support/compose.ts'
import { environmentOf, lastOf, ROOT, targets } from './support/dockerfile.ts'
import { layOutImage } from './support/image-layout.ts'

const READY_TIMEOUT_MS = 30_000
/** What an image holds besides Debian (75 MB) and Node (127 MB): all of it is to stay below 250 MB. */
const FILES_MAX_BYTES = 48_000_000

interface Run { readonly process: ChildProcess, readonly output: () => string, readonly exited: Promise<unknown> }

/** Runs a command of the image in its layout, with the given environment and no other. */
function runInLayout (
  t: TestContext, folder: string, args: readonly string[], environment: Record<string, string>
): Run {
  const [command, ...rest] = args
  const child = spawn(command === 'node' ? process.execPath : command, rest, { cwd: folder, env: environment })
  t.after(() => { child.kill('SIGKILL') })
  let output = ''
  child.stdout.on('data', chunk => { output += chunk })
  child.stderr.on('data', chunk => { output += chunk })
  return { process: child, output: () => output, exited: once(child, 'close') }
}

const when: Readonly<Record<string, object>> = {
  api: nightly('image-of-the-api'), simulator: nightly('image-of-the-simulator')
}

for (const target of targets()) {
  test(`${target}: its image has all it needs to run, and to say that it is ready`, { timeout: 300_000, ...when[target] }, async t => {
    const folder = await layOutImage(target)
    const entrypoint = lastOf(target, 'ENTRYPOINT')!
    assert.ok(!existsSync(join(folder, 'node_modules/node')), 'the image would bring a second Node')
    assert.ok(!existsSync(join(folder, 'node_modules/typescript')), 'the image holds development dependencies')

    await t.test('what it holds is no more than it may', async () => {
      const names = await readdir(folder, { recursive: true })
      const sizes = await Promise.all(names.map(async it => {
        const about = await lstat(join(folder, it))
        return about.isFile() ? about.size : 0
      }))
      const bytes = sizes.reduce((sum, it) => sum + it, 0)
      assert.ok(bytes <= FILES_MAX_BYTES, `${target} holds ${bytes} bytes`)
      t.diagnostic(`${(bytes / 1e6).toFixed(1)} MB`)
    })

    await t.test('without a database it ends with one line that says so', async t => {
      const port = String(await getPort({ host: '127.0.0.1' }))
      const unreachable = { EVENT_LOG: 'postgres', POSTGRES_HOST: '127.0.0.1', POSTGRES_PORT: port }
      const program = runInLayout(t, folder, entrypoint, { ...environmentOf(target), ...unreachable })
      await program.exited
      assert.equal(program.process.exitCode, 1, program.output())
      assert.match(program.output(), /RELAY_DATABASE_UNREACHABLE/)
    })

    if (target === 'processor') {
      await t.test('its image migrates an empty database as the owner, and then runs as its own user', async t => {
        const { database, url } = await openLocalPostgres(t, { migrated: false })
        const { entrypoint = [], command = [] } = readCompose().services.migrate
        const passwords = await mkdtemp(join(tmpdir(), 'relay-passwords-'))
        t.after(() => rm(passwords, { recursive: true }))
        const args = [...entrypoint, ...command].map(it => it.replace('=/passwords/', `=${passwords}/`))
        for (const start of ['the first', 'the second']) {
          const migrate = runInLayout(t, folder, args, { ...environmentOf(target), DATABASE_URL: url })
          await migrate.exited
          assert.equal(migrate.process.exitCode, 0, `${start}: ${migrate.output()}`)
        }
        assert.deepEqual(await pendingMigrations(database), [])

        const { hostname, port, pathname } = new URL(url)
        const { POSTGRES_USER, POSTGRES_PASSWORD_FILE } = composeEnvironmentOf(readCompose().services.processor)
        const program = runInLayout(t, folder, lastOf(target, 'ENTRYPOINT')!, {
          ...environmentOf(target),
          EVENT_LOG: 'postgres',
          HEALTH_PORT: '0',
          POSTGRES_HOST: hostname,
          POSTGRES_PORT: port,
          POSTGRES_DB: pathname.slice(1),
          POSTGRES_USER,
          POSTGRES_PASSWORD_FILE: POSTGRES_PASSWORD_FILE.replace('/passwords/', `${passwords}/`)
        })
        await until(() => `the processor: ${program.output()}`, async () => program.process.exitCode !== null ||
        (await database.query('select from progress')).length > 0)
        program.process.kill('SIGTERM')
        await program.exited
        assert.equal(program.process.exitCode, 0, program.output())
      })
    }

    await t.test('with a database it gets ready, and stops in peace', async t => {
      const { url } = await openLocalPostgres(t)
      const port = String(await getPort({ host: '127.0.0.1' }))
      const portName = target === 'api' ? 'API_PORT' : 'HEALTH_PORT'
      const environment = {
        ...environmentOf(target), EVENT_LOG: 'postgres', DATABASE_URL: url, METRICS_PORT: '0', [portName]: port
      }
      const program = runInLayout(t, folder, entrypoint, environment)

      const instruction = lastOf(target, 'HEALTHCHECK')!.join(' ')
      const healthcheck = instruction.slice(instruction.indexOf('['), instruction.lastIndexOf(']') + 1)
      for (const deadline = Date.now() + READY_TIMEOUT_MS; ;) {
        const asked = runInLayout(t, folder, JSON.parse(healthcheck), environment)
        await asked.exited
        if (asked.process.exitCode === 0) break
        assert.equal(program.process.exitCode, null, program.output())
        assert.ok(Date.now() < deadline, `not ready: ${asked.output()}\n${program.output()}`)
        await delay(100)
      }
      program.process.kill('SIGTERM')
      await program.exited
      assert.equal(program.process.exitCode, 0, program.output())
    })
  })
}

test('the health check fails where nothing answers', async t => {
  const port = String(await getPort({ host: '127.0.0.1' }))
  const asked = runInLayout(t, ROOT, ['bash', 'deploy/healthcheck'], { HEALTH_PORT: port })
  await asked.exited
  assert.equal(asked.process.exitCode, 1)
  assert.match(asked.output(), /Connection refused/)
})

test('the health check fails with the reason where the program is not ready', async t => {
  const server = createServer((_, response) => response.writeHead(503).end('{"status":"not ready","database":"away"}'))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.after(() => server.close())
  const { port } = server.address() as AddressInfo
  const asked = runInLayout(t, ROOT, ['bash', 'deploy/healthcheck'], { HEALTH_PORT: String(port) })
  await asked.exited
  assert.equal(asked.process.exitCode, 1)
  assert.equal(asked.output(), '{"status":"not ready","database":"away"}\n')
})
