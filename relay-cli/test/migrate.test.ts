import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

import { createLogger, databaseSettings, openDatabase, pendingMigrations, readConfig } from 'relay-common'
import { Type } from 'typebox'

import { openLocalPostgres } from 'relay-test-support/local-postgres.ts'
import { documents, runCli } from './support/run-cli.ts'

test('a database is migrated once; a dry run only lists the steps', async t => {
  const { database, url, settings } = await openLocalPostgres(t, { migrated: false })
  const site = { environment: { DATABASE_URL: url, EVENT_LOG: 'postgres' } }
  const [pending] = documents(await runCli(site, ['migrate', '--dry-run', '--json']))
  assert.ok(pending.length > 5)
  assert.deepEqual(await pendingMigrations(database), pending)

  assert.deepEqual(documents(await runCli(site, ['migrate', '--json'])), [pending])
  assert.deepEqual(await pendingMigrations(database), [])
  assert.match((await runCli(site, ['migrate'])).stdout, /nothing to do/)

  const again = await openDatabase(settings, 'test', createLogger('test', 'silent'))
  assert.deepEqual(await again.query('select count(*) as n from series'), [{ n: 0n }])
  await again.close()
})

test('programs get logins as members of their roles, with the passwords of their files', async t => {
  const { database, url } = await openLocalPostgres(t)
  const folder = await mkdtemp(join(tmpdir(), 'relay-logins-'))
  t.after(() => rm(folder, { recursive: true }))
  const site = { environment: { DATABASE_URL: url, EVENT_LOG: 'postgres' } }
  await writeFile(join(folder, 'given'), 'it\'s "mine"; --\n')
  const migrate = ['migrate', '--login', `api=${folder}/given`, '--login', `processor=${folder}/made/password`]
  const { stdout } = await runCli(site, migrate)
  assert.match(stdout, /^nothing to do\nrelay_api_login can log in\nrelay_processor_login can log in\n$/)
  const made = await readFile(join(folder, 'made/password'), 'utf8')
  assert.equal((await stat(join(folder, 'made/password'))).mode & 0o777, 0o600)
  assert.equal((await runCli(site, migrate)).code, 0)
  assert.equal(await readFile(join(folder, 'made/password'), 'utf8'), made)

  const { hostname, port, pathname } = new URL(url)
  const logIn = async (user: string, password: string) => {
    const settings = readConfig(Type.Object(databaseSettings), {
      POSTGRES_HOST: hostname,
      POSTGRES_PORT: port,
      POSTGRES_DB: pathname.slice(1),
      POSTGRES_USER: user,
      POSTGRES_PASSWORD: password
    })
    const opened = await openDatabase(settings, 'test', createLogger('test', 'silent'))
    try {
      const roles = await opened.query<{ role: string }>(`
        select rolname as role from pg_roles
        where pg_has_role(current_user, oid, 'member') and rolname <> current_user`)
      return roles.map(it => it.role)
    } finally {
      await opened.close()
    }
  }
  assert.deepEqual(await logIn('relay_api_login', 'it\'s "mine"; --'), ['relay_api'])
  assert.deepEqual(await logIn('relay_processor_login', made.trim()), ['relay_processor'])
  await assert.rejects(logIn('relay_api_login', made.trim()), { message: /refuses the login: password/ })
  const [{ secret }] = await database.query<{ secret: string }>(
    "select rolpassword as secret from pg_authid where rolname = 'relay_api_login'")
  assert.match(secret, /^SCRAM-SHA-256\$4096:/)

  const wrong = await runCli(site, ['migrate', '--login', `root=${folder}/given`])
  assert.equal(wrong.code, 64)
  assert.match(wrong.stderr, /Must be one of processor=<file>, api=<file>, simulator=<file>/)
})
