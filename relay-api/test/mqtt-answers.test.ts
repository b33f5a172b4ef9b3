/**
 * MQTT messages other than events, and their answers: they cost no event, and protocol errors get the answer of the
 * standard.
 */
import assert from 'node:assert/strict'
import { once, type EventEmitter } from 'node:events'
import { suite, test } from 'node:test'

import type { MqttClient } from 'mqtt'
import { generate, parser, type Packet } from 'mqtt-packet'

import { countRecords, readEvents } from '../../relay-simulator/test/support/event-logs.ts'
import { until } from 'relay-test-support/until.ts'
import { TOKEN } from './support/ask.ts'
import { authorization, eventOf } from './support/ingest-site.ts'
import { openMqttSite, readLetters, type MqttSite } from './support/mqtt-site.ts'

const limit = { timeout: 120_000 }

for (const protocolVersion of [4, 5] as const) {
  const name = protocolVersion === 4 ? '3.1.1' : '5'
  test(`births, wills, states and commands over MQTT ${name} are counted, and cost no event`, limit, async t => {
    await using site = (await openMqttSite(t, 'postgres'))!
    const client = await site.connect({
      protocolVersion,
      clean: false,
      clientId: 'hub',
      reconnectPeriod: 0,
      will: { topic: 'tele/hub/LWT', payload: Buffer.from('Offline'), qos: 2, retain: true }
    })
    let isClosed = false
    client.on('close', () => { isClosed = true })
    const others = [
      'tele/hub/LWT', 'zigbee2mqtt/bridge/state', 'homeassistant/sensor/x/config', 'devices/x', `${site.topic}x`,
      'devices//events', '//' + site.topic
    ]
    const system = ['$SYS/broker/connection/hub/state', '$share/x']
    await client.subscribeAsync('cmnd/hub/#').catch(() => {}) // refused
    for (const topic of [...others, ...system]) {
      for (const qos of [0, 1, 2] as const) {
        const published = client.publishAsync(topic, 'Online', { qos, retain: true })
        await (protocolVersion === 5 && qos > 0 ? assert.rejects(published, { code: 0x90 }) : published)
      }
    }
    for (const [n, topic] of [site.topic, `/${site.topic}`, 'devices/d/events', '/devices/d/events'].entries()) {
      await client.publishAsync(topic, JSON.stringify(eventOf(n, { deviceId: 'd' })), { qos: 2 })
    }
    assert.deepEqual((await readEvents(site.log)).get('d')!.map(it => it.value), [0, 0.25, 0.5, 0.75])
    assert.equal(await site.metric('relay_api_mqtt_ignored_total', 'reason="other-topic"'), 3 * others.length)
    assert.equal(await site.metric('relay_api_mqtt_ignored_total', 'reason="system-topic"'), 3 * system.length)
    assert.equal(isClosed, false)
    assert.deepEqual(await readLetters(site), [])
  })
}

for (const protocolVersion of [4, 5] as const) {
  const name = protocolVersion === 4 ? '3.1.1' : '5'
  test(`a will over MQTT ${name} is accepted when its client is lost, but not after a goodbye`, limit, async t => {
    await using site = (await openMqttSite(t, 'postgres'))!
    const leave = async (
      clientId: string, will: { topic: string, payload: string }, go: (client: MqttClient) => unknown
    ) => {
      const client = await site.connect({
        protocolVersion,
        clientId,
        reconnectPeriod: 0,
        will: { topic: will.topic, payload: Buffer.from(will.payload), qos: 1, retain: true }
      })
      const closed = once(client as unknown as EventEmitter, 'close')
      await go(client)
      await closed
    }
    const event = (n: number) => JSON.stringify(eventOf(n, { deviceId: 'd' }))
    const lose = (client: MqttClient) => client.stream.destroy()
    await leave('lost', { topic: 'devices/d/events', payload: event(0) }, lose)
    await leave('goodbye', { topic: 'devices/d/events', payload: event(1) }, it => it.endAsync())
    await leave('of another device', { topic: 'devices/other/events', payload: event(2) }, lose)
    await leave('no event', { topic: `/${site.topic}`, payload: 'Offline' }, lose)
    await leave('elsewhere', { topic: 'tele/hub/LWT', payload: 'Offline' }, lose)
    await leave('taken over', { topic: site.topic, payload: event(3) }, async () => {
      await site.connect({ protocolVersion, clientId: 'taken over', reconnectPeriod: 0 })
    })
    if (protocolVersion === 5) {
      await leave(
        'with its will', { topic: site.topic, payload: event(4) }, it => it.endAsync(false, { reasonCode: 4 })
      )
    }
    await leave(
      'violation', { topic: site.topic, payload: event(5) },
      it => { it.stream.write(Buffer.from('30ffffffff00', 'hex')) }
    )
    const expected = protocolVersion === 5 ? [0, 0.75, 1, 1.25] : [0, 0.75, 1.25]
    await until('the wills', async () => ((await readEvents(site.log)).get('d') ?? []).length === expected.length)
    assert.deepEqual((await readEvents(site.log)).get('d')!.map(it => it.value).sort((a, b) => a - b), expected)
    await until('both letters', async () => (await readLetters(site)).length === 2)
    assert.deepEqual((await readLetters(site)).map(it => it.reason).sort(), ['not-granted', 'not-json'])
    assert.equal(await site.metric('relay_api_mqtt_ignored_total', 'reason="other-topic"'), 1)
  })
}

test('a will is accepted after the keep-alive time, but not after its key was revoked', limit, async t => {
  await using site = (await openMqttSite(t, 'postgres'))!
  const will = (n: number) => ({
    topic: site.topic, payload: Buffer.from(JSON.stringify(eventOf(n, { deviceId: 'd' }))), qos: 0, retain: false
  })
  assert.deepEqual(await heardBy(site, login(5, { keepalive: 1, will: will(0) }), 5), ['connack 0', 'disconnect 8d'])
  await until('the will', async () => (await readEvents(site.log)).has('d'))

  const key = await site.makeKey()
  const client = await site.connect({
    protocolVersion: 5, password: key, reconnectPeriod: 0, will: { ...will(1), qos: 0 }
  })
  const closed = once(client as unknown as EventEmitter, 'close')
  const id = key.split('_').at(-2)
  const { status } = await fetch(`${site.url}/api/v1/keys/${id}`, { method: 'DELETE', headers: { authorization } })
  assert.equal(status, 204)
  await closed
  await site.connect().then(it => it.publishAsync(
    site.topic, JSON.stringify(eventOf(2, { deviceId: 'd' })), { qos: 1 }
  ))
  assert.deepEqual((await readEvents(site.log)).get('d')!.map(it => it.value), [0, 0.5])
})

test('an oversized event does not end a connection of MQTT 3.1.1: its beginning becomes a dead letter', limit, async t => {
  await using site = (await openMqttSite(t, 'postgres'))!
  const client = await site.connect({ protocolVersion: 4, reconnectPeriod: 0 })
  for (const qos of [0, 1, 2] as const) await client.publishAsync(site.topic, 'x'.repeat(200_000), { qos })
  await client.publishAsync(site.topic, JSON.stringify(eventOf(0)), { qos: 1 })
  assert.equal(await countRecords(site.log), 1)
  const letters = await readLetters(site)
  assert.deepEqual(letters.map(it => [it.reason, it.valueBytes]), Array(3).fill(['oversized', 200_000]))
  assert.ok(letters.every(it => it.value!.length > 64 * 1024 && it.value!.length < 72 * 1024))
})

test('topic aliases of MQTT 5 stand for their topic, and an empty client id gets a new one', limit, async t => {
  await using site = (await openMqttSite(t, 'postgres'))!
  const client = await site.connect({ protocolVersion: 5, clientId: '', reconnectPeriod: 0 })
  const publish = async (topic: string, n: number, topicAlias: number) => {
    await client.publishAsync(
      topic, JSON.stringify(eventOf(n, { deviceId: 'd' })), { qos: 1, properties: { topicAlias } }
    )
  }
  await publish('devices/d/events', 0, 1)
  await publish(site.topic, 1, 16)
  await publish('', 2, 1)
  await publish('', 3, 16)
  assert.equal((await readEvents(site.log)).get('d')!.length, 4)
})

const login = (protocolVersion: 4 | 5, fields: object = {}) => generate({
  cmd: 'connect',
  protocolId: 'MQTT',
  protocolVersion,
  clientId: 'c',
  clean: true,
  keepalive: 0,
  username: 'u',
  password: Buffer.from(TOKEN),
  ...fields
} as Packet, { protocolVersion })
const packet = (fields: object, protocolVersion: 4 | 5 = 5) => generate(fields as Packet, { protocolVersion })
/** A login with flags that the library would not write. */
const withFlags = (bytes: Buffer, flags: number) => {
  bytes[bytes.indexOf('MQTT') + 5] = flags
  return bytes
}
const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')

/** @returns everything received until the connection closes: the type of each packet, with its code */
async function heardBy (site: MqttSite, bytes: Buffer, protocolVersion: 4 | 5): Promise<string[]> {
  const heard: string[] = []
  const parsing = parser({ protocolVersion })
  parsing.on('packet', it => {
    const { reasonCode, returnCode } = it as { reasonCode?: number, returnCode?: number }
    heard.push(`${it.cmd} ${(protocolVersion === 5 ? reasonCode : returnCode)?.toString(16) ?? ''}`.trim())
  })
  const socket = site.open()
  let isClosed = false
  socket.on('data', it => parsing.parse(it)).on('close', () => { isClosed = true })
  socket.write(bytes)
  await until(() => `the connection to be closed, after ${heard.join()}`, () => isClosed, 20_000)
  return heard
}

/** The login of a version, the packet after it, and the answer. */
const violations: ReadonlyArray<readonly [name: string, 4 | 5, Buffer, string | undefined]> = [
  ['a second CONNECT', 5, login(5), 'disconnect 82'],
  ['a second CONNECT', 4, login(4), undefined],
  ['SUBSCRIBE without topics', 4, hex('82 02 00 01'), undefined],
  ['SUBSCRIBE without topics', 5, hex('82 03 00 01 00'), 'disconnect 82'],
  ['UNSUBSCRIBE without topics', 4, hex('a2 02 00 01'), undefined],
  ['UNSUBSCRIBE without topics', 5, hex('a2 03 00 01 00'), 'disconnect 82'],
  ['SUBSCRIBE without anything', 5, hex('82 00'), 'disconnect 81'],
  ['SUBSCRIBE with the id 0', 5, hex('82 07 00 00 00 00 01 61 00'), 'disconnect 82'],
  [
    'a topic with a wildcard', 5, packet({ cmd: 'publish', topic: 'a/#', payload: '', qos: 1, messageId: 1 }),
    'disconnect 90'
  ],
  ['a topic that is no UTF-8', 5, hex('30 04 00 01 ff 00'), 'disconnect 81'],
  ['a topic with a NUL', 5, hex('30 04 00 01 00 00'), 'disconnect 81'],
  ['no topic and no alias', 5, hex('30 03 00 00 00'), 'disconnect 82'],
  [
    'an alias that stands for nothing', 5,
    packet({ cmd: 'publish', topic: '', payload: '', qos: 0, properties: { topicAlias: 3 } }), 'disconnect 94'
  ],
  [
    'an alias over the limit', 5,
    packet({ cmd: 'publish', topic: 'a', payload: '', qos: 0, properties: { topicAlias: 17 } }), 'disconnect 94'
  ],
  ['an alias of 0', 5, hex('30 07 00 01 61 03 23 00 00'), 'disconnect 94'],
  ['a message of QoS 3', 5, hex('36 03 00 00 00'), 'disconnect 81'],
  ['a message with the id 0', 5, hex('32 06 00 01 61 00 00 00'), 'disconnect 82'],
  [
    'a packet over the limit', 5, packet({ cmd: 'publish', topic: 'a', payload: 'x'.repeat(80_000), qos: 0 }),
    'disconnect 95'
  ],
  ['a length that never ends', 5, hex('30 ff ff ff ff ff'), 'disconnect 81'],
  ['an unknown property', 5, hex('30 05 00 01 61 01 7f'), 'disconnect 81'],
  ['PUBACK of what was not sent', 5, packet({ cmd: 'puback', messageId: 1, reasonCode: 0 }), 'disconnect 82'],
  ['AUTH of a client that named no method', 5, hex('f0 00'), 'disconnect 82'],
  ['AUTH with a code', 5, hex('f0 02 19 00'), 'disconnect 82'],
  ['a property of a message twice', 5, hex('30 0e 00 01 61 0a 02 00 00 00 01 02 00 00 00 01'), 'disconnect 82'],
  ['a property of the value 0 twice', 5, hex('30 08 00 01 61 04 01 00 01 00'), 'disconnect 82'],
  ['a length in more bytes than needed', 5, hex('c0 80 00'), 'disconnect 81'],
  ['a topic alias twice', 5, hex('30 0a 00 01 61 06 23 00 01 23 00 01'), 'disconnect 82'],
  ['the property of another packet', 5, hex('30 09 00 01 61 05 11 00 00 00 01'), 'disconnect 81'],
  ['a subscription identifier with a message', 5, hex('30 06 00 01 61 02 0b 01'), 'disconnect 82'],
  ['a response topic with a wildcard', 5, hex('30 08 00 01 61 04 08 00 01 23'), 'disconnect 82'],
  ['a duplicate of QoS 0', 5, hex('38 04 00 01 61 00'), 'disconnect 81'],
  ['a duplicate of QoS 0', 4, hex('38 03 00 01 61'), undefined],
  ['a packet of no type', 4, hex('00 00'), undefined],
  ['wrong flags', 5, hex('80 05 00 01 00 00 00'), 'disconnect 81']
]

/** A first packet, and the answer. */
const refusals: ReadonlyArray<readonly [name: string, 4 | 5, Buffer, string | undefined]> = [
  ['MQTT 3.1', 4, packet(
    { cmd: 'connect', protocolId: 'MQIsdp', protocolVersion: 3, clientId: 'c', clean: true, keepalive: 0 }, 4
  ), 'connack 1'],
  [
    'MQTT 6', 5, Buffer.concat([hex('10 10 0004'), Buffer.from('MQTT'), hex('06 02 00 00 00 00 01 63 00 00')]),
    'connack 84'
  ],
  [
    'another protocol', 4, Buffer.concat([hex('10 0d 0004'), Buffer.from('HTTP'), hex('04 02 00 00 00 01 63')]),
    undefined
  ],
  ['a wrong token', 5, login(5, { password: Buffer.from('wrong') }), 'connack 87'],
  ['a wrong token', 4, login(4, { password: Buffer.from('wrong') }), 'connack 5'],
  ['no client id for a session that stays', 4, withFlags(login(4, { clientId: '' }), 0xc0), 'connack 2'],
  ['an authentication method', 5, login(5, { properties: { authenticationMethod: 'SCRAM-SHA-1' } }), 'connack 8c'],
  ['a property twice', 5, Buffer.concat([
    hex('10 1e 0004'), Buffer.from('MQTT'), hex('05 c2 0000 0a 11 00000001 11 00000001 0001 63 0001 75 0001 78')
  ]), 'connack 82'],
  ['a client id that is no UTF-8', 4, hex('10 0e 0004 4d515454 04 02 0000 0002 c328'), undefined],
  ['a client id that is no UTF-8', 5, hex('10 0f 0004 4d515454 05 02 0000 00 0002 c328'), 'connack 81'],
  ['a limit of 0', 5, login(5, { properties: { receiveMaximum: 0 } }), 'connack 82'],
  ['a CONNECT that ends early', 5, hex('10 0a 00044d515454 05 c2 00 00'), 'connack 81'],
  ['a CONNECT that ends early', 4, hex('10 0a 00044d515454 04 c2 00 00'), undefined],
  ['a CONNECT over 16 KiB', 4, login(4, { clientId: 'c'.repeat(17_000) }), undefined],
  ['another packet first', 4, hex('c0 00'), undefined],
  ['HTTP', 4, Buffer.from('GET / HTTP/1.1\r\n\r\n'), undefined],
  ['TLS', 4, hex('16 03 01 02 00 01 00 01 fc 03 03'), undefined]
]

suite('the protocol of MQTT', limit, () => {
  test('protocol errors are answered according to the standard, and end no other connection', async t => {
    await using site = (await openMqttSite(t, 'postgres'))!
    const honest = await site.connect({ reconnectPeriod: 0 })
    for (const [name, version, bytes, heard] of violations) {
      const expected = ['connack 0', ...heard === undefined ? [] : [heard]]
      assert.deepEqual(
        await heardBy(site, Buffer.concat([login(version), bytes]), version), expected, `${name}, MQTT ${version}`
      )
      await honest.publishAsync(site.topic, JSON.stringify(eventOf(0)), { qos: 1 })
    }
    assert.equal(await site.metric('relay_api_mqtt_ended_total', 'reason="fault"'), 0)
  })

  test('a refused client gets the reason, if the version has a code for it', async t => {
    await using site = (await openMqttSite(t, 'postgres', { RATE_LIMIT_FAILED_LOGINS_MAX: '1000' }))!
    for (const [name, version, bytes, heard] of refusals) {
      assert.deepEqual(
        await heardBy(site, bytes, version), heard === undefined ? [] : [heard], `${name}, MQTT ${version}`
      )
    }
  })

  test('nothing after a DISCONNECT is accepted, and QoS 2 is completed for any number of requests', async t => {
    await using site = (await openMqttSite(t, 'postgres'))!
    for (const version of [4, 5] as const) {
      const publish = (n: number, qos: number, messageId?: number, dup = false) =>
        packet({
          cmd: 'publish',
          topic: site.topic,
          payload: JSON.stringify(eventOf(n, { deviceId: 'd' })),
          qos,
          messageId,
          dup,
          retain: true
        }, version)
      const release = (messageId: number) => packet({ cmd: 'pubrel', messageId, reasonCode: 0 }, version)
      const goodbye = packet({ cmd: 'disconnect', reasonCode: 0 }, version)
      const bytes = [
        login(version, { clean: false }), publish(0, 2, 7), publish(0, 2, 7, true), release(7), release(7), goodbye,
        publish(1, 0), publish(2, 1, 8)
      ]
      const heard = (await heardBy(site, Buffer.concat(bytes), version)).map(it => it.split(' ')[0])
      assert.deepEqual(heard.sort(), ['connack', 'pubcomp', 'pubcomp', 'pubrec', 'pubrec'].slice(0, heard.length))
      const next = await site.connect({ protocolVersion: version, reconnectPeriod: 0 })
      await next.publishAsync(site.topic, JSON.stringify(eventOf(version, { deviceId: 'next' })), { qos: 1 })
      await until('the events before', async () => (await readEvents(site.log)).has('d'))
      assert.ok(
        (await readEvents(site.log)).get('d')!.every(it => it.value === 0),
        'QoS 2 before DISCONNECT is taken, what is behind it is not'
      )
    }
  })

  test('a bridge marks itself by a bit of the version, and is accepted', async t => {
    await using site = (await openMqttSite(t, 'postgres'))!
    const bytes = login(4)
    bytes[bytes.indexOf('MQTT') + 4] |= 0x80
    assert.deepEqual(await heardBy(site, Buffer.concat([bytes, hex('e0 00')]), 4), ['connack 0'])
  })
})
