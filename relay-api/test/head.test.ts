import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createLogger, type Database } from 'relay-common'
import { MINUTE_MS } from 'relay-rollups'

import { openLocalPostgres } from 'relay-test-support/local-postgres.ts'
import { createApp } from '../src/app.ts'
import { readApiConfig } from '../src/config.ts'
import { TOKEN } from './support/ask.ts'
import { writeEvents } from './support/write-events.ts'

test('HEAD has the headers of GET, and reads only the beginning of a long answer', async t => {
  const { database, url } = await openLocalPostgres(t)
  let statements = 0
  const counted: Database = {
    ...database,
    streamPrepared (...of) {
      statements++
      return database.streamPrepared(...of)
    }
  }
  await using opened = new AsyncDisposableStack()
  const config = readApiConfig({ DATABASE_URL: url, API_TOKENS: TOKEN })
  const app = opened.adopt(await createApp(config, counted, createLogger('test', 'silent')), it => it.close())
  const startMs = Date.UTC(2024, 0, 1)
  const rows = 8_000
  await writeEvents(database, Array.from({ length: rows }, (_, n) =>
    ({
      deviceId: 'd',
      zone: 'Zone A',
      deviceType: 'THERMOSTAT',
      value: n,
      timestampMs: startMs +
      n * MINUTE_MS,
      sourcePartition: 0
    })))

  const ask = async (method: 'GET' | 'HEAD', lengthMinutes: number, format: string) => {
    const query = new URLSearchParams({
      device: 'd',
      start: new Date(startMs)
        .toISOString(),
      end: new Date(startMs + lengthMinutes * MINUTE_MS)
        .toISOString(),
      interval: '1m',
      format
    })
    statements = 0
    const { statusCode, headers, body } = await app.inject({
      method,
      url: `/api/v1/aggregates?${query}`,
      headers: { authorization: `Bearer ${TOKEN}`, 'accept-encoding': 'identity' }
    })
    const {
      date,
      'x-request-id': id,
      'ratelimit-remaining': remaining,
      'ratelimit-reset': reset,
      'transfer-encoding': encoding,
      ...stable
    } = headers
    return { statusCode, headers: stable, body, statements }
  }
  for (const format of ['json', 'ndjson', 'csv']) {
    for (const lengthMinutes of [5, rows]) {
      const [whole, head] = [await ask('GET', lengthMinutes, format), await ask('HEAD', lengthMinutes, format)]
      assert.equal(head.statusCode, 200)
      assert.equal(head.body, '')
      assert.deepEqual(head.headers, whole.headers)
      const isLong = lengthMinutes === rows
      assert.equal('content-length' in head.headers, !isLong)
      if (isLong) {
        assert.ok(head.statements < whole.statements / 2, `${head.statements} of ${whole.statements} statements`)
      }
    }
  }
})
