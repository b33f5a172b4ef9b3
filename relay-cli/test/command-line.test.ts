import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { glob, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { publishLocalStack } from 'relay-common'

import { openSite } from '../../relay-processor/test/support/open-processor.ts'
import { documents, runCli } from './support/run-cli.ts'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))

test('an error is one line, and the exit code distinguishes a wrong command line from failed work', async t => {
  const site = (await openSite(t, 'postgres'))!
  const missing = await runCli(
    { ...site, environment: { ...site.environment, EVENTS_TOPIC: 'no-such-topic' } }, ['lag']
  )
  assert.deepEqual([missing.code, missing.stdout], [2, ''])
  assert.match(missing.stderr, /^relay: no topic no-such-topic .*\(RELAY_TOPIC_MISSING\)\n$/)

  const away = { ...site.environment, DATABASE_URL: 'postgres://relay:secret@127.0.0.1:1/relay' }
  const unreachable = await runCli({ ...site, environment: away }, ['lag'])
  assert.equal(unreachable.code, 2)
  assert.match(unreachable.stderr, /^relay: no connection to PostgreSQL at 127.0.0.1:1\/relay.*\n$/)
  assert.doesNotMatch(unreachable.stderr, /secret/)

  const noPassword = new URL(site.environment.DATABASE_URL)
  noPassword.password = ''
  const nobody = await runCli({ ...site, environment: { ...site.environment, DATABASE_URL: noPassword.href } }, ['lag'])
  assert.equal(nobody.code, 2)
  assert.match(
    nobody.stderr, /^relay: PostgreSQL at \S+ requires a password, but none is set.*POSTGRES_PASSWORD_FILE.*\n$/
  )

  for (const args of [['lagg'], ['lag', '--nonsense'], ['verify'], ['verify', '--from', 'yesterday', '--to', '0s']]) {
    const usage = await runCli(site, args)
    assert.equal(usage.code, 64, args.join(' '))
    assert.match(usage.stderr, /^error: [^]*--help/)
  }
  const help = await runCli(site, ['replay', '--help'])
  assert.equal(help.code, 0)
  assert.match(help.stdout, /Examples:/)
})

test('without a configured database or log it is the local stack, and otherwise not', async t => {
  const site = (await openSite(t, 'postgres'))!
  const folder = await mkdtemp(join(tmpdir(), 'relay-test-cli-'))
  t.after(() => rm(folder, { recursive: true }))
  const { DATABASE_URL, EVENT_LOG, ...rest } = site.environment
  const environment = { ...rest, RELAY_DATA_DIR: folder }
  const told = await publishLocalStack(folder, { DATABASE_URL, EVENT_LOG })
  // variables of other tools, and of options of the stack, name no server
  const ofOthers = {
    KAFKA_OPTS: '-Xmx1g',
    KAFKA_HOME: '/opt/kafka',
    DATABASE_HOST: 'db',
    EVENT_LOG: 'kafka',
    PGSSLMODE: 'require',
    PGSSLNEGOTIATION: 'direct',
    PGOPTIONS: '-c search_path=nowhere'
  }
  const lag = await runCli({ environment: { ...environment, ...ofOthers } }, ['lag', '--json'])
  assert.equal(lag.code, 0, lag.stderr)
  assert.equal(documents(lag)[0].topic, site.config.EVENTS_TOPIC)
  const elsewhere = await runCli({ environment: { ...environment, POSTGRES_PORT: '1' } }, ['lag'])
  assert.match(elsewhere.stderr, /no connection to PostgreSQL at \S+:1\//)
  await told.close()
  await told.close() // a second time is harmless
  const empty = await runCli({ environment }, ['--data-dir', '', 'lag'])
  assert.equal(empty.code, 64)
  assert.match(empty.stderr, /Must not be empty/)
  for (const run of [
    await runCli({ environment }, ['lag']),
    await runCli({ environment: rest }, ['lag', '--data-dir', folder]),
    await runCli({ environment: rest }, ['--data-dir', join(folder, 'no-such-folder'), 'lag'])
  ]) {
    assert.equal(run.code, 2)
    assert.match(
      run.stderr,
      new RegExp(`^relay: no local stack is running \\(${folder}.*RELAY_DATA_DIR or --data-dir.*DATABASE_URL.*\\n$`)
    )
  }
  await writeFile(
    join(folder, 'site.json'), JSON.stringify({ DATABASE_URL, EVENT_LOG, RELAY_STACK_PID: `${await deadPid()}` })
  )
  assert.match(
    (await runCli({ environment }, ['lag'])).stderr, /no local stack is running/, 'a killed one takes nothing back'
  )
})

test('every program prints its version and help, without JavaScript values, and refuses unknown arguments', async () => {
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
  const mains = [
    ...await Array.fromAsync(glob('{relay-*,bench,faults,hostile}/src/main.ts', { cwd: root })),
    'relay-processor/test/simulation/main.ts', 'relay-stack/src/stop.ts'
  ]
  assert.ok(mains.length >= 10)
  await Promise.all(mains.map(async main => {
    const { stdout } = await run(process.execPath, [main, '--version'], { cwd: root })
    assert.equal(stdout, `${version}\n`, main)
  }))
  for (const name of ['api', 'processor', 'issuer']) {
    const main = `relay-${name}/src/main.ts`
    assert.match((await run(process.execPath, [main, '--help'], { cwd: root })).stdout, /docs\/configuration\.md/)
    await assert.rejects(run(process.execPath, [main, '--porrt', '1'], { cwd: root }), {
      stdout: /unknown argument --porrt: relay-\w+ has no options/
    })
  }
  for (const args of [['dead-letters', 'replay'], ['replay']]) {
    const { stdout } = await runCli({ environment: {} }, [...args, '--help'])
    assert.doesNotMatch(stdout, /default: (null|undefined|NaN|Infinity)/, args.join(' '))
  }
})

async function deadPid (): Promise<number> {
  const child = spawn('true')
  await once(child, 'exit')
  return child.pid!
}
