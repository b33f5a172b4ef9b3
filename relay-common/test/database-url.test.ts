import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createLogger, openDatabase } from 'relay-common'

import { openLocalPostgres } from 'relay-test-support/local-postgres.ts'

const log = createLogger('test', 'silent')

test('a connection string without a password takes that of POSTGRES_PASSWORD', async t => {
  const { url, settings } = await openLocalPostgres(t)
  const without = new URL(url)
  const password = decodeURIComponent(without.password)
  without.password = ''
  const open = async (DATABASE_URL: string, POSTGRES_PASSWORD: string) => {
    const database = await openDatabase({ ...settings, DATABASE_URL, POSTGRES_PASSWORD }, 'test', log)
    await database.query('select 1').finally(() => database.close())
  }
  await open(without.href, password)
  await open(url, 'another') // its own wins
  await assert.rejects(open(without.href, ''), { code: 'RELAY_CONFIG_INVALID' })
  const elsewhere = new URL(url)
  elsewhere.pathname = '/nowhere'
  for (const [DATABASE_URL, why] of [
    [without.href, 'password authentication failed'], [elsewhere.href, 'database "nowhere" does not exist']
  ]) {
    await assert.rejects(open(DATABASE_URL, 'another'), {
      code: 'RELAY_DATABASE_UNREACHABLE', message: new RegExp(`refuses the login: ${why}.*; check DATABASE_URL`)
    })
  }
  without.searchParams.set('password', password)
  await open(without.href, 'another')
})
