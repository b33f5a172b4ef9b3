import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

import { databaseSettings, readConfig } from 'relay-common'
import { Type } from 'typebox'

const schema = Type.Object(databaseSettings)

test('a setting can come from a file, without its last line end', async t => {
  const folder = await mkdtemp(join(tmpdir(), 'relay-config-'))
  t.after(() => rm(folder, { recursive: true }))
  const path = join(folder, 'password')
  for (const [text, password] of [
    ['secret', 'secret'], ['secret\n', 'secret'], ['secret\r\n', 'secret'], [' a b \n\n', ' a b \n']
  ]) {
    await writeFile(path, text)
    assert.equal(readConfig(schema, { POSTGRES_PASSWORD_FILE: path }).POSTGRES_PASSWORD, password)
  }
  await writeFile(path, '5433')
  assert.equal(readConfig(schema, { POSTGRES_PORT_FILE: path }).POSTGRES_PORT, 5433)
})

test('a missing file or a setting that is given twice is reported without its content', async t => {
  const folder = await mkdtemp(join(tmpdir(), 'relay-config-'))
  t.after(() => rm(folder, { recursive: true }))
  const path = join(folder, 'password')
  const missing = {
    code: 'RELAY_CONFIG_INVALID', message: /could not read .*password, named by POSTGRES_PASSWORD_FILE: ENOENT/
  }
  assert.throws(() => readConfig(schema, { POSTGRES_PASSWORD_FILE: path }), missing)
  await writeFile(path, 'a secret of the file')
  assert.throws(() => readConfig(
    schema, { POSTGRES_PASSWORD_FILE: path, POSTGRES_PASSWORD: 'another secret' }
  ), (error: Error) => {
    assert.match(error.message, /POSTGRES_PASSWORD and POSTGRES_PASSWORD_FILE are both set/)
    return !error.message.includes('secret')
  })
})

test('a setting that names a file is not read as the value of another setting', () => {
  assert.equal(readConfig(schema, { DATABASE_TLS_CA_FILE: '/nowhere' }).DATABASE_TLS_CA_FILE, '/nowhere')
})

test('an invalid value is reported by its name only: it may be a secret in the wrong place', () => {
  assert.throws(() => readConfig(schema, { POSTGRES_PORT: 'hunter2' }), (error: Error) => {
    assert.match(error.message, /POSTGRES_PORT must be integer/)
    return !error.message.includes('hunter2')
  })
})
