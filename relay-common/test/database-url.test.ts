import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createLogger, openDatabase } from 'relay-common'

import { openLocalPostgres } from './support/local-postgres.ts'

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
  without.searchParams.set('password', password)
  await open(without.href, 'another')
})
