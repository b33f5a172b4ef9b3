/** Answers with a million rows, with fewer at every change: created as fast as they are read, in constant memory. */
import assert from 'node:assert/strict'
import { get, type IncomingMessage } from 'node:http'
import { once } from 'node:events'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

import { listen } from 'relay-common'

import { isNight } from 'relay-test-support/nightly.ts'
import { until } from 'relay-test-support/until.ts'
import { openTestApi, TOKEN } from './support/ask.ts'
import { writeMinutes } from './support/write-minutes.ts'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** Whole answers in memory would be 40 MB or more. */
const ROWS = isNight ? 1_000_000 : 400_000
/** Enough to be streamed, for tests that need no million. */
const FEWER_ROWS = 100_000
const startMs = Date.UTC(2022, 0, 1)
const limit = { timeout: 600_000 }

async function open (port: number, rows: number, query: string): Promise<IncomingMessage> {
  const range = `start=${new Date(startMs).toISOString()}&end=${new Date(startMs + rows * 60_000).toISOString()}`
  const request = get({
    port,
    host: '127.0.0.1',
    path: `/api/v1/aggregates?device=d-1&${range}&interval=1m&limit=${rows}&${query}`,
    headers: { authorization: `Bearer ${TOKEN}` }
  })
  const [response] = await once(request, 'response') as [IncomingMessage]
  assert.equal(response.statusCode, 200)
  return response
}

function heapBytes (): number {
  collectGarbage()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

const MEMORY_GROWTH_MAX_BYTES = 16 * 1024 * 1024

async function countLines (
  response: IncomingMessage, rows: number
): Promise<{ lines: number, growth: number, last: string }> {
  let lines = 0
  let last = ''
  const samples: number[] = []
  for await (const chunk of response.setEncoding('utf8') as AsyncIterable<string>) {
    const before = lines
    for (let at = chunk.indexOf('\n'); at >= 0; at = chunk.indexOf('\n', at + 1)) lines++
    last = (last + chunk).slice(-1_000)
    const tenth = (line: number) => Math.floor(line / rows * 10)
    if (tenth(lines) > tenth(before)) samples.push(heapBytes())
  }
  return { lines, growth: Math.max(...samples.slice(1)) - samples[0], last } // the first tenth warms up
}

test('very many rows are streamed in constant memory, in every format', limit, async t => {
  const api = await openTestApi(t)
  await writeMinutes(api.database, startMs, ROWS)
  const { port } = await listen(api.app, '127.0.0.1', 0, 'API_PORT')

  for (const [format, rows, end] of [
    ['ndjson', ROWS, /"next":null}}\n$/], ['csv', FEWER_ROWS, /2022-03-11T10:40:00Z,1,21.5,.*\r\n$/],
    ['json', FEWER_ROWS, /}\],"next":null}$/]
  ] as const) {
    const startedMs = performance.now()
    const { lines, growth, last } = await countLines(await open(port, rows, `stats=count,avg&format=${format}`), rows)
    t.diagnostic(`${format}: ${Math.round(rows / (performance.now() - startedMs) * 1000)} rows/s, ` +
      `memory grew by ${(growth / 1024 / 1024).toFixed(1)} MB`)
    assert.equal(lines, { ndjson: rows + 1, csv: rows + 1, json: rows - 1 }[format])
    assert.match(last, end)
    assert.ok(growth < MEMORY_GROWTH_MAX_BYTES, `${growth} bytes more`)
  }

  await t.test('a client that does not read holds no connection, and one that disconnects ends the read', async () => {
    const response = await open(port, ROWS, 'stats=count&format=ndjson')
    const calls = async () => {
      const [{ active, read }] = await api.database.query<{ active: number, read: bigint }>(`
        select count(*) filter (where state <> 'idle' and pid <> pg_backend_pid())::integer as active,
          (select coalesce(sum(idx_scan), 0)::bigint
            from pg_stat_user_indexes where relname like 'rollups_minute%') as read
        from pg_stat_activity where datname = current_database()`)
      return { active, read }
    }
    // buffers are filled, and then nothing more is read
    let before = await calls()
    await until('the reading to pause', async () => {
      const now = await calls()
      const isPaused = now.active === 0 && now.read === before.read && now.read > 0n
      before = now
      return isPaused
    })
    response.destroy()
    const { lines } = await countLines(await open(port, FEWER_ROWS, 'stats=count&format=csv'), FEWER_ROWS)
    assert.equal(lines, FEWER_ROWS + 1)
  })

  await t.test('an error aborts the response, so that no part passes for the whole', async () => {
    await api.database.query(`
      update rollups_minute set body = '\\x1100' where bucket_start = to_timestamp($1)`,
    [startMs / 1000 + (FEWER_ROWS - 1) * 60])
    const answer = await open(port, FEWER_ROWS, 'stats=count&format=csv')
    await assert.rejects(countLines(answer, FEWER_ROWS), { code: 'ECONNRESET' })
  })
})
