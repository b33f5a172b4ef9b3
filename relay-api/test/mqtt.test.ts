import assert from 'node:assert/strict'
import { once, type EventEmitter } from 'node:events'
import { connect as connectSocket } from 'node:net'
import { suite, test } from 'node:test'

import { countRecords, readEvents, readTopic } from '../../relay-simulator/test/support/event-logs.ts'
import { until } from 'relay-test-support/until.ts'
import { authorization, eventOf, kinds } from './support/ingest-site.ts'
import { openMqttSite, readLetters } from './support/mqtt-site.ts'

const limit = { timeout: 120_000 }

for (const kind of kinds) {
  for (const protocolVersion of [4, 5] as const) {
    suite(`MQTT ${protocolVersion === 4 ? '3.1.1' : '5'} on the ${kind} log`, limit, () => {
      test('an event is in the log before it is acknowledged, in the order of its device', async t => {
        await using site = await openMqttSite(t, kind)
        if (!site) return
        const client = await site.connect({ protocolVersion })
        await client.publishAsync(site.topic, JSON.stringify(eventOf(0, { deviceId: 'd' })), { qos: 1 })
        assert.equal(await countRecords(site.log), 1)
        const publish = (n: number) =>
          client.publishAsync('devices/d/events', JSON.stringify(eventOf(n, { deviceId: 'd' })), { qos: 1 })
        await Promise.all(Array.from({ length: 500 }, (_, n) => publish(n + 1)))
        const events = (await readEvents(site.log)).get('d')!
        assert.deepEqual(events.map(it => it.value), Array.from({ length: 501 }, (_, n) => n / 4))
      })
    })
  }
}

test('MQTT 5 gets the reason of a refusal; without a code for it the event becomes a dead letter', limit, async t => {
  await using site = (await openMqttSite(t, 'postgres', {
    RETENTION_MINUTE_DAYS: '3653', RETENTION_HOUR_DAYS: '3653', RETENTION_DAY_DAYS: '3653'
  }))!
  const five = await site.connect({ protocolVersion: 5 })
  let reason = ''
  five.on('packetreceive', packet => {
    if (packet.cmd === 'puback') reason = packet.properties?.reasonString?.split(':')[0] ?? ''
  })
  const refusal = (topic: string, payload: string) =>
    five.publishAsync(topic, payload, { qos: 1 }).then(() => undefined, error => [error.code, reason])
  const event = JSON.stringify(eventOf(0, { deviceId: 'd' }))
  assert.deepEqual(await refusal(site.topic, '{"deviceId":'), [0x99, 'not-json'])
  const old = JSON.stringify(eventOf(0, { timestamp: '1999-12-31T00:00:00Z' }))
  assert.deepEqual(await refusal(site.topic, old), [0x99, 'too-old'])
  assert.deepEqual(await refusal('devices/other/events', event), [0x87, 'not-granted'])
  assert.deepEqual(await refusal('elsewhere', event), [0x90, ''])
  assert.equal(await countRecords(site.log), 0)

  await five.publishAsync(site.topic, 'of QoS 0', { qos: 0 })
  const four = await site.connect({ protocolVersion: 4 })
  await four.publishAsync(site.topic, 'of 3.1.1', { qos: 1 })
  await four.publishAsync(site.topic, event, { qos: 1 })
  await until('both letters', async () => (await readLetters(site)).length === 2)
  assert.deepEqual((await readLetters(site)).map(it => [it.reason, String(it.value), it.sourceTopic]).sort(),
    [['not-json', 'of 3.1.1', `mqtt:${site.topic}`], ['not-json', 'of QoS 0', `mqtt:${site.topic}`]])
  // and nothing else is among the events
  assert.deepEqual((await readTopic(site.log)).map(it => String(it.value)), [event])
})

test('a reason text is valid for every client, and omitted if the client accepts no packet of that size', limit, async t => {
  await using site = (await openMqttSite(t, 'postgres'))!
  const client = await site.connect({ protocolVersion: 5, reconnectPeriod: 0 })
  const reasons: string[] = []
  client.on('packetreceive', packet => {
    if (packet.cmd === 'puback') reasons.push(packet.properties?.reasonString ?? '')
  })
  const event = JSON.stringify(eventOf(0, { deviceId: 'd' }))
  const payloads = [
    `\ufeff${event}`, '\u0000', '\u007f', '\u0085', '\ufdd0', '\uffff', '\u{1ffff}', '{"\ufeff', `x${'💧'.repeat(100)}`
  ]
  for (const payload of payloads) {
    await assert.rejects(client.publishAsync(site.topic, payload, { qos: 1 }), { code: 0x99 })
  }
  assert.equal(reasons.length, payloads.length)
  for (const reason of reasons) {
    assert.match(reason, /^not-json: ./)
    assert.doesNotMatch(reason, /[\p{Cc}\p{Cs}\p{Noncharacter_Code_Point}\ufeff]/u)
  }

  const short = await site.connect({ protocolVersion: 5, reconnectPeriod: 0, properties: { maximumPacketSize: 30 } })
  for (const qos of [1, 2] as const) {
    await assert.rejects(short.publishAsync(site.topic, payloads[0], { qos }), { code: 0x99 })
    await short.publishAsync(site.topic, event, { qos })
  }
  const goodbyes: Array<string | undefined> = []
  short.on(
    'packetreceive', packet => { if (packet.cmd === 'disconnect') goodbyes.push(packet.properties?.reasonString) }
  )
  const closed = once(short as unknown as EventEmitter, 'close')
  short.stream.write(Buffer.from('f000', 'hex')) // AUTH, which was not requested
  await closed
  assert.deepEqual(goodbyes, [undefined])
})

test('clients without a token, or without permission to send, are refused; so are subscriptions', limit, async t => {
  await using site = (await openMqttSite(t, 'postgres'))!
  const made = await fetch(`${site.url}/api/v1/keys`, {
    method: 'POST',
    headers: { authorization, 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'reader', scopes: ['events:read'] })
  })
  const { key } = await made.json() as { key: string }
  assert.ok(key)
  for (const password of ['wrong', '', key]) {
    for (const [protocolVersion, code] of [[4, 5], [5, 0x87]] as const) {
      await assert.rejects(site.connect({ protocolVersion, password, reconnectPeriod: 0 }), { code })
    }
  }
  const client = await site.connect({ protocolVersion: 4 })
  await assert.rejects(client.subscribeAsync(site.topic))
  await client.publishAsync(site.topic, JSON.stringify(eventOf(0)), { qos: 1 }) // it is still connected
})

test('a device with a key of its zone can only send for that zone', limit, async t => {
  await using site = (await openMqttSite(t, 'postgres'))!
  const made = await fetch(`${site.url}/api/v1/keys`, {
    method: 'POST',
    headers: { authorization, 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'sender', scopes: ['events:write'], zones: ['Zone A'], devicePrefixes: ['a-'] })
  })
  const { key } = await made.json() as { key: string }
  const client = await site.connect({ protocolVersion: 5, password: key })
  const send = (deviceId: string, zone: string) =>
    client.publishAsync(site.topic, JSON.stringify(eventOf(0, { deviceId, zone })), { qos: 1 })
  await send('a-1', 'Zone A')
  await assert.rejects(send('a-1', 'Zone B'), { code: 0x87 })
  await assert.rejects(send('b-1', 'Zone A'), { code: 0x87 })
  const posted = await site.post(JSON.stringify([eventOf(1, { deviceId: 'a-1' }), eventOf(2, { deviceId: 'b-1' })]),
    { authorization: `Bearer ${key}` })
  assert.deepEqual([posted.status, posted.body.refused[0].reason], [207, 'not-granted'])
  assert.equal(await countRecords(site.log), 2)
})

test('messages unacknowledged when the log became unreachable are resent, and none is missing', limit, async t => {
  await using site = (await openMqttSite(t, 'postgres', { DATABASE_STATEMENT_TIMEOUT_MS: '300' }))!
  const client = await site.connect({ protocolVersion: 4, clean: false, clientId: 'c' })
  const blocker = await site.database.connect()
  let isAcknowledged = false
  let sent: Promise<unknown>
  let reconnects = 0
  client.on('packetreceive', ({ cmd }) => { if (cmd === 'connack') reconnects++ })
  try {
    await blocker.query('begin; lock table event_log_batches in access exclusive mode')
    sent = Promise.all(Array.from(
      { length: 20 }, (_, n) => client.publishAsync(site.topic, JSON.stringify(eventOf(n)), { qos: 1 })
    ))
      .then(() => { isAcknowledged = true })
    await until('the client to come back', () => reconnects > 0)
    assert.equal(isAcknowledged, false)
    await blocker.query('rollback')
  } finally {
    blocker.release(true)
  }
  await sent!
  const stored = new Set((await readTopic(site.log)).map(it => String(it.value)))
  assert.deepEqual([...stored].sort(), Array.from({ length: 20 }, (_, n) => JSON.stringify(eventOf(n))).sort())
})

test('a second connection of a client replaces the first, and other protocols are disconnected', limit, async t => {
  await using site = (await openMqttSite(t, 'postgres'))!
  const first = await site.connect({ protocolVersion: 5, clientId: 'c', reconnectPeriod: 0 })
  const closed = new Promise<void>(resolve => first.once('close', () => resolve()))
  const second = await site.connect({ protocolVersion: 5, clientId: 'c', reconnectPeriod: 0 })
  await closed
  await second.publishAsync(site.topic, JSON.stringify(eventOf(0)), { qos: 1 })

  const connectPacket = Buffer.from('101000044d5154540402003c0004636c6e74', 'hex') // without a password
  const tooLarge = Buffer.concat([Buffer.from([0x30, 0xff, 0xff, 0xff, 0x7f]), Buffer.alloc(100_000)])
  for (const bytes of [Buffer.from('GET / HTTP/1.1\r\n\r\n'), tooLarge, connectPacket, Buffer.from([0xc0, 0])]) {
    const socket = connectSocket(site.port, '127.0.0.1')
    socket.on('error', () => {}).resume()
    socket.write(bytes)
    await once(socket, 'close')
  }
})

test('clients whose key is revoked or expires are told, and disconnected soon', limit, async t => {
  await using site = (await openMqttSite(t, 'postgres'))!
  const makeKey = async (settings: Record<string, unknown> = {}) => {
    const response = await fetch(`${site.url}/api/v1/keys`, {
      method: 'POST',
      headers: { authorization, 'content-type': 'application/json' },
      body: JSON.stringify({ name: 'sender', scopes: ['events:write'], ...settings })
    })
    assert.equal(response.status, 201)
    return await response.json() as { id: string, key: string }
  }
  const open = async (password: string, protocolVersion: 4 | 5 = 5) => {
    const client = await site.connect({ protocolVersion, password, reconnectPeriod: 0 })
    let reason: number | undefined
    client.on('disconnect', packet => { reason = packet.reasonCode })
    const closed = new Promise<void>(resolve => client.once('close', () => resolve()))
    return { client, closed, reason: () => reason }
  }
  const [revoked, staying] = [await makeKey(), await makeKey()]
  const [five, four, other] = [await open(revoked.key), await open(revoked.key, 4), await open(staying.key)]
  const gone = await fetch(`${site.url}/api/v1/keys/${revoked.id}`, { method: 'DELETE', headers: { authorization } })
  assert.ok(gone.ok)
  await Promise.all([five.closed, four.closed])
  assert.equal(five.reason(), 0x87)

  const expiring = await makeKey()
  const last = await open(expiring.key)
  await site.database.query(
    "update api_keys set expires_at = now() + interval '1 second' where key_id = $1", [expiring.id]
  )
  await last.closed
  assert.equal(last.reason(), 0x87)
  await other.client.publishAsync(site.topic, JSON.stringify(eventOf(0)), { qos: 1 }) // it is still connected
})
