/** A client that sends many requests before an answer: all are answered, one at a time. */
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { test } from 'node:test'

import { until } from 'relay-test-support/until.ts'
import { authorization, openIngestSite } from './support/ingest-site.ts'

const TIMES = 300
const ask =
  (zone: string) => ['GET /api/v1/aggregates?start=2024-01-01T00:00:00Z&end=2024-01-02T00:00:00Z&interval=range&zone=' +
  zone + ' HTTP/1.1',
  'Host: relay', `Authorization: ${authorization}`, '', ''].join('\r\n')

test('requests in one write count as one answer in progress, and are answered in order', { timeout: 60_000 }, async t => {
  await using site = (await openIngestSite(
    t, 'postgres', { ANSWERS_PER_CALLER_MAX: '1', RATE_LIMIT_PRINCIPAL_MAX: '1000000' }
  ))!
  const socket = connect(Number(new URL(site.url).port), '127.0.0.1')
  let text = ''
  socket.on('data', chunk => { text += chunk })
  socket.write(Array.from({ length: TIMES }, (_, n) => ask(n % 3 === 0 ? '' : `zone-${n}`)).join(''))
  const statuses = () => [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => status)
  await until(() => `${TIMES} answers, not ${statuses().length}`, () => statuses().length === TIMES, 40_000)
    .finally(() => socket.destroy())
  // an empty name of a zone is invalid
  const expected = Array.from({ length: TIMES }, (_, n) => n % 3 === 0 ? '400' : '200')
  assert.deepEqual(statuses(), expected)
})

test('a client that disconnects with pending requests leaves nothing behind', { timeout: 60_000 }, async t => {
  await using site = (await openIngestSite(
    t, 'postgres', { ANSWERS_PER_CALLER_MAX: '1', RATE_LIMIT_PRINCIPAL_MAX: '1000000' }
  ))!
  for (let n = 0; n < 5; n++) {
    const socket = connect(Number(new URL(site.url).port), '127.0.0.1')
    socket.write(Array.from({ length: TIMES }, () => ask('a')).join(''))
    await new Promise(resolve => socket.once('data', resolve))
    socket.destroy()
  }
  const question = () => fetch(
    `${site.url}/api/v1/aggregates?zone=a&start=2024-01-01T00:00:00Z&end=2024-01-02T00:00:00Z&interval=range`,
    { headers: { authorization } }
  )
  await until('the budget of one answer to be free', async () => (await question()).status === 200)
})
