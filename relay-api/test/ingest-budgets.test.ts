/** Costs of one caller's bodies: memory, time and stored answers; others are not affected. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { test, type TestContext } from 'node:test'
import { gzipSync } from 'node:zlib'

import { countRecords } from '../../relay-simulator/test/support/event-logs.ts'
import { until } from 'relay-test-support/until.ts'
import { TOKEN } from './support/ask.ts'
import { authorization, eventOf, openIngestSite, type IngestSite } from './support/ingest-site.ts'

const limit = { timeout: 120_000 }
const MIB = 1024 * 1024
const OTHER = 'token-of-somebody-else'
const others = { API_TOKENS: `${TOKEN},${OTHER}` }
const asOther = { authorization: `Bearer ${OTHER}` }
const lines = { 'content-type': 'application/x-ndjson' }
const gzipped = { 'content-encoding': 'gzip' }

/** Sends a request with an endless body. */
async function stall (
  t: TestContext, site: IngestSite, body: Uint8Array, headers: Record<string, string> = {}
): Promise<Socket> {
  const socket = connect(Number(new URL(site.url).port), '127.0.0.1')
  t.after(() => socket.destroy())
  socket.on('error', () => {})
  await once(socket, 'connect')
  const all = { host: 'x', authorization, 'content-type': 'application/json', 'content-length': '8000000', ...headers }
  socket.write(`POST /api/v1/events HTTP/1.1\r\n${Object.entries(all).map(it => `${it.join(': ')}\r\n`).join('')}\r\n`)
  socket.write(body)
  return socket
}

async function bytesInFlight (site: IngestSite): Promise<number> {
  const text = await (await fetch(site.metricsUrl)).text()
  return Number(/^relay_api_ingest_in_flight_bytes{[^}]*} (\d+)$/m.exec(text)![1])
}

/** The data so far, and how it ended. */
function readAll (socket: Socket): Promise<string> {
  let text = ''
  socket.on('data', bytes => { text += bytes })
  return new Promise(resolve => socket.once('close', () => resolve(text)))
}

test('a body of blank lines is refused at low cost', limit, async t => {
  await using site = (await openIngestSite(t, 'postgres', others))!
  for (const blank of ['\n', '\r\n', ' \n', '\t\t\n']) {
    const body = Buffer.from(blank.repeat(Math.floor(8 * MIB / blank.length)))
    const { status, body: problem } = await site.post(body, lines)
    assert.deepEqual([status, problem.code], [413, 'RELAY_BODY_TOO_LARGE'], JSON.stringify(blank))
    const { status: inflated } = await site.post(gzipSync(body), { ...lines, ...gzipped })
    assert.equal(inflated, 413)
  }
})

/** CPU time of one turn, on any machine: this much, or a quarter of the total if that is more. */
const TURN_CPU_MAX_MS = 50
const TURN_SHARE_MAX = 0.25

/** CPU time of event loop turns from now on. @returns ends it, and returns the longest turn and the total, ms */
function measureTurns (): () => { readonly longestMs: number, readonly allMs: number } {
  const cpuMs = () => {
    const { user, system } = process.threadCpuUsage()
    return (user + system) / 1_000
  }
  const startedMs = cpuMs()
  let lastMs = startedMs
  let longestMs = 0
  let isOver = false
  const look = () => {
    const nowMs = cpuMs()
    longestMs = Math.max(longestMs, nowMs - lastMs)
    lastMs = nowMs
    if (!isOver) setImmediate(look)
  }
  setImmediate(look)
  return () => {
    isOver = true
    look()
    return { longestMs, allMs: lastMs - startedMs }
  }
}

test('bodies of blanks are refused by their first part, and take no room of their caller', limit, async t => {
  await using site = (await openIngestSite(t, 'postgres', { INGEST_IN_FLIGHT_MAX_BYTES: `${8 * MIB}` }))!
  const blanks = gzipSync(Buffer.alloc(64 * MIB, ' ')) // 64 KB: at 200 times its size it would fill the whole limit
  const answers = await Promise.all(Array.from({ length: 6 }, () => site.post(blanks, { ...lines, ...gzipped })))
  assert.deepEqual(answers.map(it => it.status), Array(6).fill(413))
})

test('while the most expensive JSON bodies are read, others are answered: no body blocks the event loop', limit, async t => {
  await using site = (await openIngestSite(t, 'postgres', others))!
  const event = JSON.stringify(eventOf(0))
  const withOther = (other: string) => `${event.slice(0, -1)},"x":${other}}`
  const names = (count: number) => `{${Array.from({ length: count }, (_, n) => `"n${n}":1`).join(',')}}`
  const worst = {
    deep: withOther('['.repeat(32_000) + ']'.repeat(32_000)),
    named: withOther(names(6_000)),
    numbers: withOther(`[${'1,'.repeat(32_000)}1]`),
    text: withOther(`"${'\\u0041'.repeat(10_000)}"`),
    open: '[{"a":'.repeat(10_000)
  }
  for (const [what, item] of Object.entries(worst)) {
    const body = `${item}\n`.repeat(Math.floor(8 * MIB / (item.length + 1)))
    const endTurns = measureTurns() // the API is in this process
    const attack = site.post(body, lines)
    const honest = await site.post(event, asOther)
    assert.equal(honest.status, 202)
    const { status, body: answer } = await attack
    const { longestMs, allMs } = endTurns()
    assert.ok([202, 207, 413, 422, 503].includes(status), `${what}: ${status}`)
    if (what === 'deep' || what === 'named' || what === 'open') assert.equal(answer.refused[0].reason, 'too-complex')
    assert.ok(
      longestMs <= Math.max(TURN_CPU_MAX_MS, TURN_SHARE_MAX * allMs),
      `${what}: a turn of ${longestMs} ms, of ${allMs} ms in all`
    )
    const zipped = await site.post(gzipSync(body), { ...lines, ...gzipped }) // a few KiB that are 8 MiB
    assert.ok([413, status].includes(zipped.status), `${what}: ${zipped.status}`)
  }
})

test('endless bodies only use the room of one caller, and end at their deadline', limit, async t => {
  const settings = {
    ...others,
    INGEST_IN_FLIGHT_MAX_BYTES: String(4 * MIB),
    INGEST_IN_FLIGHT_PER_CALLER_MAX_BYTES: String(2 * MIB),
    INGEST_BODY_TIMEOUT_MS: '3000'
  }
  await using site = (await openIngestSite(t, 'postgres', settings))!
  const event = JSON.stringify(eventOf(0))
  const half = gzipSync(Buffer.alloc(MIB * 0.9, 'abcdefgh'), { level: 0 }).subarray(0, MIB * 0.8)
  const stalled = []
  for (let n = 0; n < 2; n++) stalled.push(await stall(t, site, half, { ...gzipped, 'content-length': '8000000' }))
  const answers = stalled.map(readAll)
  await until('both to be in memory', async () => await bytesInFlight(site) > 1.5 * MIB)
  const large = event.padEnd(MIB)
  const own = await site.post(large)
  assert.deepEqual([own.status, own.body.code], [429, 'RELAY_BUDGET_EXCEEDED'])
  assert.ok(Number(own.headers.get('retry-after')) > 0)
  assert.equal((await site.post(large, asOther)).status, 202)

  for (const answer of await Promise.all(answers)) assert.match(answer, /^HTTP\/1\.1 408 [^]*RELAY_BODY_TOO_SLOW/)
  await until('their room to be free', async () => await bytesInFlight(site) === 0)
  assert.equal((await site.post(large)).status, 202)
})

test('a slow body ends at its deadline, however often bytes arrive', limit, async t => {
  await using site = (await openIngestSite(t, 'postgres', { INGEST_BODY_TIMEOUT_MS: '1000' }))!
  for (const headers of [{}, gzipped]) {
    const socket = await stall(t, site, headers === gzipped ? gzipSync('[').subarray(0, 10) : Buffer.from('['), headers)
    const answer = readAll(socket)
    const timer = setInterval(() => { if (!socket.destroyed) socket.write(headers === gzipped ? '\0' : ' ') }, 100)
    socket.once('close', () => clearInterval(timer))
    assert.match(await answer, /^HTTP\/1\.1 (408|400) /)
  }
  await until('their room to be free', async () => await bytesInFlight(site) === 0)
})

test('above its bytes per minute a caller waits, and no other does', limit, async t => {
  await using site = (await openIngestSite(t, 'postgres', { ...others, INGEST_BYTES_PER_MINUTE_MAX: '10000' }))!
  const body = JSON.stringify(eventOf(0)).padEnd(6_000)
  assert.equal((await site.post(body)).status, 202)
  for (const [sent, headers] of [[body, {}], [gzipSync(body), gzipped]] as const) {
    const { status, body: problem, headers: answered } = await site.post(sent, headers)
    assert.deepEqual([status, problem.code], [429, 'RELAY_BUDGET_EXCEEDED'])
    assert.ok(Number(answered.get('retry-after')) > 0)
  }
  assert.equal((await site.post(body, asOther)).status, 202)
})

test('answers are stored within the caller\'s limit; beyond it, requests are refused or accepted again', limit, async t => {
  const settings = { ...others, KEPT_ANSWERS_PER_HOUR_MAX: '3', KEPT_ANSWER_BYTES_PER_HOUR_MAX: '2000' }
  await using site = (await openIngestSite(t, 'postgres', settings))!
  const key = (name: string) => ({ 'idempotency-key': name })
  const body = JSON.stringify(eventOf(0))
  assert.equal((await site.post(body, key('a'))).status, 202)
  const many = JSON.stringify([eventOf(1), ...Array(50).fill({})]) // an answer with more than 2,000 bytes
  for (let n = 0; n < 2; n++) {
    const { status, headers } = await site.post(many, key('b'))
    assert.deepEqual([status, headers.get('idempotency-replayed')], [207, null])
  }
  const { status, body: problem } = await site.post(body, key('c'))
  assert.deepEqual([status, problem.code], [429, 'RELAY_BUDGET_EXCEEDED'])
  assert.equal((await site.post(body, { ...asOther, ...key('c') })).status, 202)
  assert.equal((await site.post(body)).status, 202)
})

test('expired answers are deleted, and an answer about many events is short', limit, async t => {
  await using site = (await openIngestSite(t, 'postgres'))!
  const { status, body } = await site.post('[]\n'.repeat(9_999) + JSON.stringify(eventOf(0)), lines)
  assert.deepEqual([status, body.accepted, body.refused.length], [207, 1, 9_999])
  assert.notEqual(body.refused[0].detail, '')
  assert.deepEqual(body.refused[9_998], { index: 9_998, reason: 'not-object', detail: '' })
})

test('invalid headers of a body are reported, and nothing hangs', limit, async t => {
  await using site = (await openIngestSite(t, 'postgres', { INGEST_BODY_MAX_BYTES: '20000' }))!
  const event = JSON.stringify(eventOf(0))
  for (const type of ['', 'json', '/', 'application/', 'application/json/x', 'application/json;charset',
    'application/json; =a',
    'application/json,application/json', 'application/json; charset=utf-8; charset=latin1', 'application/json x']) {
    const socket = await stall(t, site, Buffer.from(event), {
      'content-type': type, 'content-length': String(event.length), connection: 'close'
    })
    assert.match(await readAll(socket), /^HTTP\/1\.1 415 [^]*RELAY_MEDIA_TYPE_UNKNOWN/, type)
  }
  for (const type of ['application/json;', 'Application/JSON; charset="UTF-8"', 'application/json;charset=utf8;v=1']) {
    assert.equal((await site.post(event, { 'content-type': type })).status, 202, type)
  }
  const gzip = gzipSync(event)
  const bodies: Array<[Uint8Array, string, number]> = [
    [gzip, 'GZIP', 202],
    [gzip, 'x-gzip', 202],
    [Buffer.from(event), 'identity', 202],
    [Buffer.from(event), '', 202],
    [Buffer.concat([gzipSync('['), gzip, gzipSync(']')]), 'gzip', 202], // several members are one body
    [Buffer.concat([gzip, Buffer.from('rest')]), 'gzip', 400],
    [Buffer.concat([gzip, Buffer.alloc(100)]), 'gzip', 400],
    [Buffer.concat([gzip, gzip.subarray(0, 5)]), 'gzip', 400],
    [gzip.subarray(0, -1), 'gzip', 400],
    [Buffer.alloc(0), 'gzip', 400],
    [gzipSync(gzip), 'gzip, gzip', 415],
    [gzip, 'deflate', 415],
    [Buffer.concat(Array(1_500).fill(gzipSync(''))), 'gzip', 413] // nothing, at length
  ]
  for (const [body, encoding, status] of bodies) {
    const answered = await site.post(body, { 'content-encoding': encoding })
    assert.equal(answered.status, status, `${encoding} ${body.length} ${answered.body.detail}`)
  }
})

test('chunks of any size form one body, and one of too many chunks is too large', limit, async t => {
  await using site = (await openIngestSite(t, 'postgres', { INGEST_BODY_MAX_BYTES: '20000' }))!
  const before = await countRecords(site.log)
  const event = JSON.stringify(eventOf(0))
  const send = async (chunks: string, headers: Record<string, string> = {}) => {
    const { 'content-length': _, ...rest } = { 'content-length': '', ...headers }
    const socket = connect(Number(new URL(site.url).port), '127.0.0.1')
    t.after(() => socket.destroy())
    socket.on('error', () => {})
    const answer = readAll(socket)
    const all = {
      host: 'x',
      authorization,
      'content-type': 'application/json',
      'transfer-encoding': 'chunked',
      connection: 'close',
      ...rest
    }
    socket.write(
      `POST /api/v1/events HTTP/1.1\r\n${Object.entries(all).map(it => `${it.join(': ')}\r\n`).join('')}\r\n`
    )
    for (let at = 0; at < chunks.length; at += 5_000) {
      // not into an answer: its end would be lost
      if (socket.bytesRead === 0) socket.write(chunks.slice(at, at + 5_000))
      await new Promise(resolve => setImmediate(resolve))
    }
    return Number(/^HTTP\/1\.1 (?:100 Continue\r\n\r\nHTTP\/1\.1 )?(\d+)/.exec(await answer)?.[1])
  }
  const ofOne = [...event].map(it => `1\r\n${it}\r\n`).join('')
  assert.equal(await send(`${ofOne}0\r\n\r\n`), 202)
  assert.equal(await send(`${ofOne}0\r\n\r\n`, { expect: '100-continue' }), 202)
  assert.equal(await send(`${ofOne}0\r\n\r\n`, { expect: 'coffee' }), 417)
  assert.ok([400, 413].includes(await send(`1;${'x'.repeat(20_000)}\r\n{\r\n`)))
  assert.equal(await send(`ffffffffffffffff1\r\n${event}`), 400)
  assert.equal(await send('g\r\n'), 400)
  assert.equal(await send(`${'1\r\n \r\n'.repeat(21_000)}0\r\n\r\n`), 413)
  assert.equal(await countRecords(site.log), before + 2)
})
