/** Very many clients of a stream, and clients that do not read. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Agent, get, type IncomingMessage } from 'node:http'
import { test } from 'node:test'

import { createLogger, openDatabase, type Database } from 'relay-common'

import { until } from 'relay-test-support/until.ts'
import { createApp } from '../src/app.ts'
import { readApiConfig } from '../src/config.ts'
import { openTestApi } from './support/ask.ts'
import { authorization, eventOf } from './support/ingest-site.ts'
import { Listening, openStreamSite } from './support/stream-site.ts'

const limit = { timeout: 180_000 }
const log = createLogger('test', 'silent')

test('a thousand clients get every commit, with one read of the database for all', limit, async t => {
  await using site = await openStreamSite(t, { STREAMS_PER_CALLER_MAX: '1000' })
  const config = readApiConfig(site.environment)
  await using opened = new AsyncDisposableStack()
  const database = opened.adopt(await openDatabase(config, 'test', log), it => it.close())
  const counted = countQuestions(database)
  const app = await createApp(config, counted.database, log)
  opened.defer(() => app.close())
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as { port: number }

  const agent = new Agent({ maxSockets: Infinity })
  const clients = await Promise.all(Array.from({ length: 1_000 }, async (_, n) => {
    const response = await openStream(`http://127.0.0.1:${port}/api/v1/stream?device=d${n % 20}`, agent)
    const client = { text: '' }
    response.setEncoding('utf8').on('data', text => { client.text += text })
    await until('the stream to be open', () => client.text !== '')
    return client
  }))
  const connections = await site.database.query(
    "select from pg_stat_activity where datname = current_database() and application_name = 'test'")
  assert.ok(connections.length <= 2 * Number(config.DATABASE_POOL_MAX))

  const before = counted.count
  const startedMs = performance.now()
  const rounds = 5
  for (let round = 1; round <= rounds; round++) {
    await site.send(...Array.from({ length: 20 }, (_, n) => eventOf(round, { deviceId: `d${n}` })))
    await until(`commit ${round} to reach everybody`, () => clients.every(it => it.text.includes(`"count":${round},`)))
  }
  t.diagnostic(
    `${clients.length} clients, ${Math.round((performance.now() - startedMs) / rounds)} ms from an event to all of them`
  )
  assert.ok(counted.count - before < 200, `${counted.count - before} questions for ${rounds} commits`)
})

test('a slow reader gets the reason and is dropped; it resumes without missing anything', limit, async t => {
  await using site = await openStreamSite(t, { STREAM_BUFFER_MAX_BYTES: '500000' })
  const reader = await site.listen('?groupBy=device')
  const agent = new Agent()
  const response = await openStream(`${site.url}/api/v1/stream?groupBy=device`, agent)
  response.pause()

  const devices = Array.from({ length: 900 }, (_, n) => `${n} `.padEnd(128, 'x'))
  const dropped = async () =>
    /stream_dropped_total{[^}]*reason="slow"[^}]*} 1$/m.test(await (await fetch(site.metricsUrl)).text())
  let rounds = 0
  while (!await dropped()) {
    const value = rounds++
    await site.send(...devices.map(it => eventOf(value % 50, { deviceId: it, value })))
    await until(
      `round ${value}`, () => reader.of('rollup').filter(it => it.last === value).length >= 900 || reader.hasEnded
    )
    assert.equal(reader.hasEnded, false)
  }

  const slow = new Listening(toResponse(response), () => response.destroy())
  await until('the slow client to hear of it', () => slow.hasEnded)
  assert.deepEqual(slow.of('end'), [{ reason: 'slow' }])
  const buckets = new Map(slow.buckets)
  const again = await site.listen('?groupBy=device', slow.lastId)
  await until('it to have all that the other has', () => {
    for (const [name, it] of again.buckets) buckets.set(name, it)
    return [...reader.buckets].every(([name, it]) => buckets.get(name)?.count === it.count)
  })
  assert.deepEqual(again.of('reset'), [])
})

test('clients that disconnect before or after their stream opens leave nothing behind', limit, async t => {
  const { app } = await openTestApi(t)
  await using closing = new AsyncDisposableStack() // before its database closes
  closing.defer(() => app.close())
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as { port: number }
  const url = `http://127.0.0.1:${port}/api/v1/stream`
  await Promise.all(Array.from({ length: 60 }, async (_, n) => {
    const request = get(`${url}?device=d${n}`, { agent: new Agent(), headers: { authorization } })
    const closed = new Promise(resolve => request.on('error', () => {}).once('close', resolve))
    await once(request, n % 3 === 0 ? 'response' : 'finish') // it is open, or at any earlier step
    request.destroy()
    await closed
  }))
  const last = await openStream(url, new Agent()) // all that were opening have opened before it
  const clients = async () =>
    /^relay_api_stream_clients{[^}]*} (\d+)$/m.exec(await app.metrics.metrics())![1]
  await until('the last one alone to be there', async () => await clients() === '1')
  last.destroy()
  await until('nobody to be there', async () => await clients() === '0')
})

test('closing also ends streams that are about to open', limit, async t => {
  for (let n = 0; n < 6; n++) {
    const { app } = await openTestApi(t, { DATABASE_POOL_MAX: '2' })
    await app.listen({ port: 0, host: '127.0.0.1' })
    const { port } = app.server.address() as { port: number }
    const ended = Array.from({ length: 20 }, (_, client) => new Promise(resolve => {
      get(`http://127.0.0.1:${port}/api/v1/stream?device=${client}`, { agent: new Agent(), headers: { authorization } },
        response => response.resume().once('close', resolve)).once('error', resolve)
    }))
    // at different steps of the opening
    for (let turn = 0; turn < n * 20; turn++) await new Promise(resolve => setImmediate(resolve))
    await app.close()
    await Promise.all(ended)
  }
})

function openStream (url: string, agent: Agent): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    get(url, { agent, headers: { authorization } }, response => {
      response.on('error', () => {})
      if (response.statusCode === 200) resolve(response)
      else reject(new Error(`status ${response.statusCode}`))
    }).on('error', reject)
  })
}

function toResponse (message: IncomingMessage): Response {
  return new Response(ReadableStream.from(message) as ReadableStream)
}

/** The same database, with a count of its queries. */
function countQuestions (database: Database) {
  const counted = {
    count: 0,
    database: new Proxy(database, {
      get (target, name: keyof Database) {
        if (name.startsWith('query') || name.startsWith('stream') || name === 'transaction') counted.count++
        return target[name]
      }
    })
  }
  return counted
}
