/** Limits of one caller or address on MQTT, without an effect on others. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { test, type TestContext } from 'node:test'

import { generate, parser, type Packet } from 'mqtt-packet'
import { pino } from 'pino'
import type { Logger } from 'relay-common'

import { countRecords } from '../../relay-simulator/test/support/event-logs.ts'
import { until } from 'relay-test-support/until.ts'
import { TOKEN } from './support/ask.ts'
import { eventOf } from './support/ingest-site.ts'
import { openMqttSite, type MqttSite } from './support/mqtt-site.ts'

const limit = { timeout: 120_000 }
const open = async (t: TestContext, settings: Record<string, string>, log?: Logger) => (await openMqttSite(
  t, 'postgres', settings, log
))!
const event = (n: number) => JSON.stringify(eventOf(n))

/** Logs in on a socket. @returns everything received since */
async function logIn (socket: Socket, protocolVersion: 4 | 5 = 5, fields: object = {}): Promise<Packet[]> {
  const heard: Packet[] = []
  const parsing = parser({ protocolVersion })
  parsing.on('packet', it => heard.push(it))
  socket.on('data', bytes => parsing.parse(bytes))
  socket.write(generate({
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion,
    clientId: crypto.randomUUID(),
    clean: true,
    keepalive: 0,
    username: 'u',
    password: Buffer.from(TOKEN),
    ...fields
  }))
  await until('to be logged in', () => heard[0]?.cmd === 'connack')
  return heard
}

/** Sends a piece repeatedly until the connection is closed. */
async function drip (socket: Socket, bytes: (n: number) => Buffer): Promise<void> {
  let isClosed = false
  socket.resume().once('close', () => { isClosed = true })
  let n = 0
  await until('the connection to be closed', () => {
    if (!isClosed) socket.write(bytes(n++))
    return isClosed
  })
}

test('above its messages per second MQTT 5 gets 0x97, the rest waits without loss, and other callers are not delayed', limit, async t => {
  await using site = await open(t, { MQTT_MESSAGES_PER_SECOND_MAX: '5' })
  const [five, four, other] = await Promise.all([
    site.connect({ protocolVersion: 5, password: await site.makeKey() }),
    site.connect({ protocolVersion: 4, password: await site.makeKey() }),
    site.connect({ protocolVersion: 4 })
  ])
  const refused: unknown[] = []
  const send = (n: number) =>
    five.publishAsync(site.topic, event(n), { qos: 1 }).catch(error => refused.push(error.code))
  const all = Promise.all(Array.from({ length: 20 }, (_, n) => send(n)))
  await until('a refusal', () => refused.length > 0)
  await other.publishAsync(site.topic, event(1000), { qos: 1 })
  await all
  assert.ok(refused.length < 10 && refused.every(it => it === 0x97), `${refused.join()}`)

  const before = await countRecords(site.log)
  for (let n = 0; n < 9; n++) four.publish(site.topic, event(2000 + n), { qos: 0 })
  await four.publishAsync(site.topic, event(2010), { qos: 1 })
  assert.equal(await countRecords(site.log), before + 10)
  assert.ok(await site.metric('relay_api_budget_exceeded_total', 'budget="mqttMessages"', 'caller="key:') >= 2)
  assert.equal(await site.metric('relay_api_budget_exceeded_total', 'budget="mqttMessages"', 'caller="token:'), 0)
})

test('above its bytes per second a caller waits, and others do not', limit, async t => {
  await using site = await open(t, { MQTT_BYTES_PER_SECOND_MAX: String(128 * 1024) })
  const [many, other] = [await site.connect({ password: await site.makeKey() }), await site.connect()]
  const large = (n: number) => JSON.stringify({ ...eventOf(n), more: 'x'.repeat(60_000) })
  const all = Promise.all(Array.from({ length: 6 }, (_, n) => many.publishAsync(site.topic, large(n), { qos: 1 })))
  await until('it to wait', async () => await site.metric(
    'relay_api_budget_exceeded_total', 'budget="mqttBytes"', 'caller="key:'
  ) > 0)
  await other.publishAsync(site.topic, large(100), { qos: 1 })
  await all
  assert.equal(await countRecords(site.log), 7)
  assert.equal(await site.metric('relay_api_budget_exceeded_total', 'budget="mqttBytes"', 'caller="token:'), 0)
})

test('a caller has a number of clients, others have their own, and a reconnecting client keeps its place', limit, async t => {
  await using site = await open(t, { MQTT_CONNECTIONS_PER_CALLER_MAX: '2' })
  const password = await site.makeKey()
  const [first] = [await site.connect({ password, clientId: 'a' }), await site.connect({ password, clientId: 'b' })]
  await assert.rejects(site.connect({ password, protocolVersion: 5, reconnectPeriod: 0 }), { code: 0x97 })
  await assert.rejects(site.connect({ password, protocolVersion: 4, reconnectPeriod: 0 }), { code: 3 })
  await site.connect()
  await site.connect({ password, clientId: 'b' })
  await first.endAsync()
  await until('the place to be free', async () => await site.metric('relay_api_mqtt_connections') === 2)
  await site.connect({ password, clientId: 'c' })
  assert.ok(await site.metric('relay_api_mqtt_refused_connects_total', 'reason="caller-budget"') >= 2)
})

test('an address with too many connects gets no answer, and its connected clients stay', limit, async t => {
  await using site = await open(t, { MQTT_CONNECTS_PER_MINUTE_MAX: '20' })
  const client = await site.connect()
  for (let n = 0; n < 40; n++) {
    const socket = site.open()
    await once(socket, 'connect')
    if (n >= 30) await once(socket.resume(), 'close')
  }
  assert.ok(await site.metric('relay_api_mqtt_refused_connects_total', 'reason="address-budget"') >= 10)
  await client.publishAsync(site.topic, event(0), { qos: 1 })
})

test('unknown clients take no place of known ones: the oldest makes room', limit, async t => {
  await using site = await open(
    t, { MQTT_PENDING_MAX: '10', MQTT_PENDING_PER_ADDRESS_MAX: '5', MQTT_CONNECTIONS_MAX: '2' }
  )
  const strangers = Array.from({ length: 30 }, () => site.open())
  await until(
    'there to be as many as may be', async () => await site.metric('relay_api_mqtt_pending_connections') === 5
  )
  for (const protocolVersion of [4, 5] as const) {
    const client = await site.connect({ protocolVersion })
    await client.publishAsync(site.topic, event(0), { qos: 1 })
  }
  await until(
    'the others to be gone', () => strangers.filter(it => it.closed || it.readableEnded || it.destroyed).length >= 25
  )
  // no place among clients
  await assert.rejects(site.connect({ protocolVersion: 5, reconnectPeriod: 0 }), { code: 0x89 })
})

test('the time of a login starts with the accept, for any pieces', limit, async t => {
  await using site = await open(t, { MQTT_CONNECT_TIMEOUT_MS: '500' })
  const connect = Buffer.concat([
    Buffer.from([0x10, 0x80, 0x7d]), Buffer.from('00044d51545405c2', 'hex'), Buffer.alloc(16_000, 1)
  ])
  await drip(site.open(), n => connect.subarray(n, n + 1))
  await once(site.open().resume(), 'close') // sending nothing is too late as well
  assert.equal(await site.metric('relay_api_mqtt_refused_connects_total', 'reason="timeout"'), 2)
})

test('a packet has a time limit, and bytes of an incomplete one are no sign of life', limit, async t => {
  await using site = await open(t, { MQTT_PACKET_TIMEOUT_MS: '500' })
  const slow = site.open()
  const heard = await logIn(slow)
  await drip(slow, n => n === 0 ? Buffer.from([0x30, 0xff, 0x7f, 0, 10]) : Buffer.from('x'))
  assert.deepEqual(
    heard.slice(1).map(it => [it.cmd, (it as { reasonCode?: number }).reasonCode]), [['disconnect', 0x80]]
  )
  assert.equal(await site.metric('relay_api_mqtt_ended_total', 'reason="packetTimeout"'), 1)

  await using second = await open(t, {})
  const silent = second.open()
  const words = await logIn(silent, 5, { keepalive: 1 })
  await drip(silent, n => n === 0 ? Buffer.from([0x30, 0xff, 0x7f, 0, 10]) : Buffer.from('x'))
  assert.deepEqual(
    words.slice(1).map(it => [it.cmd, (it as { reasonCode?: number }).reasonCode]), [['disconnect', 0x8d]]
  )
})

test('a client that does not read its answers is not read either, and is disconnected soon', limit, async t => {
  await using site = await open(t, { MQTT_PACKET_TIMEOUT_MS: '500', MQTT_MESSAGES_PER_SECOND_MAX: '10000000' })
  const socket = site.open()
  await logIn(socket)
  socket.pause()
  const refused = generate({
    cmd: 'publish', topic: site.topic, payload: 'x', qos: 1, messageId: 1, dup: false, retain: false
  }, { protocolVersion: 5 })
  const many = Buffer.concat(Array<Buffer>(1_000).fill(refused)) // each is answered with its reason as text
  let isClosed = false
  socket.once('close', () => { isClosed = true })
  await until('the connection to be closed', () => {
    if (socket.writableLength < many.length) socket.write(many)
    return isClosed
  })
  const client = await site.connect()
  await client.publishAsync(site.topic, event(0), { qos: 1 })
})

test('a flood of failed logins is a bounded number of lines', limit, async t => {
  const lines: Array<Record<string, unknown>> = []
  const log = pino({ level: 'info' }, { write: line => { lines.push(JSON.parse(line)) } }) as unknown as Logger
  await using site = await open(t, { RATE_LIMIT_FAILED_LOGINS_MAX: '10' }, log)
  await flood(site, 200)
  const refusals = lines.filter(it => it.msg === 'refused')
  assert.ok(refusals.length > 0 && refusals.length <= 100, `${refusals.length} lines`)
  assert.ok(refusals.every(it => it.audit === true && it.address))
})

/** Failed logins, one after the other: half with tokens, half with invented keys. */
async function flood (site: MqttSite, count: number): Promise<void> {
  for (let n = 0; n < count; n++) {
    const password = n % 2 === 0 ? `wrong-${n}` : `relay_local_${String(n).padStart(12, 'x')}_wrong`
    await assert.rejects(site.connect({ password, reconnectPeriod: 0 }), { code: 5 })
  }
}
