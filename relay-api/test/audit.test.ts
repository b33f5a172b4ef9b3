/** What an investigator finds in the log. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createApiKey } from 'relay-access'
import { pino } from 'pino'

import { openTestApi, TOKEN } from './support/ask.ts'

test('every refusal is a line with who, what, from where and which request, and without a secret', async t => {
  const lines: string[] = []
  const log = pino({ level: 'info' }, { write: (line: string) => { lines.push(line) } })
  const { app, database } = await openTestApi(t, { RATE_LIMIT_FAILED_LOGINS_MAX: '3' }, log)
  const { key, stored } = await createApiKey(database, {
    environment: 'local', name: 'k', scopes: ['events:read'], grants: { zones: ['Zone A'] }, expiresAtMs: undefined
  }, { principal: 'test' })
  const refusalsOf = async (url: string, token: string | undefined, method: 'GET' | 'POST' = 'GET') => {
    lines.length = 0
    const response = await app.inject({
      method, url, remoteAddress: '192.0.2.7', headers: token === undefined ? {} : { authorization: `Bearer ${token}` }
    })
    const audit = lines.map(it => JSON.parse(it)).filter(it => it.audit === true)
    assert.equal(audit.length, 1, `${response.statusCode} ${lines.join('')}`)
    const [line] = audit
    assert.equal(line.requestId, response.headers['x-request-id'])
    assert.equal(line.address, '192.0.2.7')
    return line
  }

  const forbidden = await refusalsOf('/api/v1/keys', key, 'POST')
  assert.deepEqual([forbidden.act, forbidden.principal, forbidden.method, forbidden.path],
    ['forbidden', `key:${stored.keyId}`, 'POST', '/api/v1/keys'])
  const outside = await refusalsOf('/api/v1/aggregates?zone=Zone%20B', key)
  assert.deepEqual([outside.act, outside.principal], ['forbidden', `key:${stored.keyId}`])

  assert.match((await refusalsOf('/api/v1/aggregates?device=secret', undefined)).reason, /no bearer token/)
  assert.match((await refusalsOf('/api/v1/aggregates', 'hunter2')).reason, /an unknown bearer token/)
  assert.match((await refusalsOf('/api/v1/aggregates', `${key.slice(0, -1)}-`)).reason, /malformed/)
  const wrongSecret = await refusalsOf('/api/v1/aggregates', 'another-wrong-one')
  assert.equal(wrongSecret.act, 'unauthorized')
  assert.equal((await refusalsOf('/api/v1/aggregates', 'hunter3')).act, 'blocked')

  const all = lines.join('')
  for (const secret of [key, TOKEN, 'hunter2', 'hunter3', 'device=secret']) assert.ok(!all.includes(secret))
})
