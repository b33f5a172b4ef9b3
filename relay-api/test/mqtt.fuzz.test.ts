/**
 * MQTT packets on a real listener: generated, changed, truncated, random; before and after the login; in both versions;
 * whole and in pieces. Whatever is sent, at most its own connection ends. `MQTT_FUZZ_PACKETS` and `MQTT_FUZZ_SEED` set
 * their number and seed; nightly runs have a million.
 */
import assert from 'node:assert/strict'
import { connect, type Socket } from 'node:net'
import { test } from 'node:test'

import { Chance } from 'relay-test-support/chance.ts'
import { until } from 'relay-test-support/until.ts'
import { TOKEN } from './support/ask.ts'
import { eventOf } from './support/ingest-site.ts'
import { connectPacket, misplacedPacket, mutate, validPacket, type Version } from './support/mqtt-packets-by-chance.ts'
import { openMqttSite, type MqttSite } from './support/mqtt-site.ts'

const PACKETS = Number(process.env.MQTT_FUZZ_PACKETS ?? 100_000)
const SEED = Number(process.env.MQTT_FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 31))
/** share of connections that never log in */
const STRANGERS_SHARE = 0.6
const AT_ONCE = 12
const UNLIMITED = String(1e9)

/** @returns the bytes of a connection, and the packets up to the first that may end it */
function streamOf (chance: Chance, events: string): { bytes: Buffer, packets: number } {
  const version: Version = chance.pick([4, 5])
  const bad = (from: Buffer) => chance.happens(0.3) ? misplacedPacket(chance, version) : mutate(chance, from)
  if (chance.happens(STRANGERS_SHARE)) {
    const hello = connectPacket(
      chance, version, chance.pick([TOKEN, 'wrong', '']), chance.happens(0.2) ? { clientId: '' } : {}
    )
    return { bytes: Buffer.concat([bad(hello), validPacket(chance, version, events)]), packets: 1 }
  }
  const valid = Array.from({ length: chance.between(50, 250) }, () => validPacket(chance, version, events))
  const bytes = Buffer.concat([
    connectPacket(chance, version, TOKEN), ...valid, bad(validPacket(chance, version, events)),
    validPacket(chance, version, events)
  ])
  return { bytes, packets: valid.length + 2 }
}

/** Sends everything, whole or in pieces, and then disconnects. */
async function sendAll (socket: Socket, bytes: Buffer, chance: Chance): Promise<void> {
  const closed = new Promise<void>(resolve => socket.once('close', () => resolve()))
  socket.on('error', () => {}).resume()
  const pieces = chance.pick([1, 1, 1, 3, 20])
  for (let n = 0; n < pieces; n++) {
    socket.write(bytes.subarray(Math.floor(n * bytes.length / pieces), Math.floor((n + 1) * bytes.length / pieces)))
    if (n + 1 < pieces) await new Promise(resolve => setImmediate(resolve))
  }
  socket.end()
  await closed
}

test(`${PACKETS} random packets only end their own connections`, { timeout: 900_000 }, async t => {
  await using site = (await openMqttSite(t, 'postgres', {
    MQTT_CONNECTS_PER_MINUTE_MAX: UNLIMITED,
    MQTT_MESSAGES_PER_SECOND_MAX: UNLIMITED,
    DEAD_LETTERS_PER_HOUR_MAX: '1000',
    RATE_LIMIT_FAILED_LOGINS_MAX: '1000000',
    RATE_LIMIT_ADDRESS_MAX: '100000000'
  }))!
  const rejections: unknown[] = []
  const reject = (error: unknown) => { rejections.push(error) }
  process.on('unhandledRejection', reject)
  t.after(() => { process.off('unhandledRejection', reject) })

  const honest = await site.connect({ protocolVersion: 5, clientId: 'honest' })
  let closes = 0
  honest.on('close', () => { closes++ })
  let acknowledged = 0
  const over = new AbortController()
  const beside = (async () => {
    for (; !over.signal.aborted; acknowledged++) {
      await honest.publishAsync(site.topic, JSON.stringify(eventOf(acknowledged)), { qos: 1 })
    }
  })()

  let sent = 0
  let connections = 0
  await Promise.all(Array.from({ length: AT_ONCE }, async (_, lane) => {
    const chance = new Chance(SEED + lane)
    while (sent < PACKETS) {
      const { bytes, packets } = streamOf(chance, site.topic)
      sent += packets
      connections++
      await sendAll(connect(site.port, '127.0.0.1'), bytes, chance)
    }
  }))
  over.abort()
  await beside
  t.diagnostic(
    `seed ${SEED}: ${sent} packets on ${connections} connections; ${acknowledged} events acknowledged beside them`
  )
  assert.equal(closes, 0)
  assert.ok(acknowledged > 0)
  assert.deepEqual(rejections, [])
  assert.equal(await site.metric('relay_api_mqtt_ended_total', 'reason="fault"'), 0) // the guard was not needed
  await gone(site)
})

async function gone (site: MqttSite): Promise<void> {
  await until('all connections but the honest one to be gone', async () =>
    await site.metric('relay_api_mqtt_connections') === 1 &&
      await site.metric('relay_api_mqtt_pending_connections') === 0)
}
