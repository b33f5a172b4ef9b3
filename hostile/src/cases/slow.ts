/** Connections that take their time: each is closed by an absolute deadline, whatever trickles in. */
import { OWN_PREFIX, OWN_ZONE, type Attack } from '../attack.ts'
import { connectPacket, eventOf, type Attacker, type RawSocket } from '../attacker.ts'

/** The deadlines of heads, bodies and CONNECTs, with what a busy machine adds. */
const HEAD_MS = 20_000
const BODY_MS = 60_000
const CONNECT_MS = 20_000
const IDLE_MS = 90_000

interface Trickle { readonly first: Buffer | string, readonly drop: Buffer | string, readonly everyMs: number, readonly untilMs: number }

/** Opens connections that go on sending a little, by themselves, after the attack has ended. */
async function trickle (attacker: Attacker, port: number, count: number, { first, drop, everyMs, untilMs }: Trickle): Promise<void> {
  const opened: RawSocket[] = []
  for (let n = 0; n < count; n++) {
    const raw = await attacker.connect(port, n % 50 === 0 ? attacker.freshAddress() : undefined)
    raw.write(first)
    attacker.last(raw)
    attacker.count('opened')
    opened.push(raw)
    await attacker.pause(4)
  }
  const timer = setInterval(() => { for (const it of opened) it.write(drop) }, everyMs)
  setTimeout(() => clearInterval(timer), untilMs)
  await attacker.pause(1_500)
}

const post = (token: string, more: string) => `POST /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/x-ndjson\r\n${more}\r\n\r\n`

export const slow: readonly Attack[] = [
  {
    name: 'slow/heads',
    who: 'stranger',
    input: '200 heads of HTTP that get a byte every 2 s',
    holds: `closed within ${HEAD_MS / 1_000} s`,
    closedWithinMs: HEAD_MS,
    run: it => trickle(it, it.target.apiPort, 200, { first: 'GET /api/v1/zones HTTP/1.1\r\nX-A: ', drop: 'a', everyMs: 2_000, untilMs: HEAD_MS })
  },
  {
    name: 'slow/silent',
    who: 'stranger',
    input: '200 connections by HTTP on which nothing is said',
    holds: `closed within ${HEAD_MS / 1_000} s`,
    closedWithinMs: HEAD_MS,
    run: it => trickle(it, it.target.apiPort, 200, { first: '', drop: '', everyMs: 60_000, untilMs: 0 })
  },
  {
    name: 'slow/idle-after-answer',
    who: 'stranger',
    input: '100 connections by HTTP that stay after one request',
    holds: `closed within ${IDLE_MS / 1_000} s`,
    closedWithinMs: IDLE_MS,
    run: it => trickle(it, it.target.apiPort, 100, { first: 'GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n', drop: '', everyMs: 60_000, untilMs: 0 })
  },
  {
    name: 'slow/bodies',
    who: 'write key',
    input: '60 bodies that get a byte every 2 s',
    holds: `closed within ${BODY_MS / 1_000} s`,
    closedWithinMs: BODY_MS,
    run: it => trickle(it, it.target.apiPort, 60, { first: post(it.target.token, 'Content-Length: 1000000'), drop: '\n', everyMs: 2_000, untilMs: BODY_MS })
  },
  {
    name: 'slow/bodies-without-token',
    who: 'stranger',
    input: '60 bodies without a token that get a byte every 2 s',
    holds: `closed within ${BODY_MS / 1_000} s`,
    closedWithinMs: BODY_MS,
    run: it => trickle(it, it.target.apiPort, 60, { first: post('nobody', 'Content-Length: 1000000'), drop: '\n', everyMs: 2_000, untilMs: BODY_MS })
  },
  {
    name: 'slow/stalled-gzip',
    who: 'write key',
    input: '8 gzipped bodies of 7.9 MB inflated that stop before their end',
    holds: `others send meanwhile; closed within ${BODY_MS / 1_000} s`,
    closedWithinMs: BODY_MS,
    async run (attacker) {
      const { gzipSync } = await import('node:zlib')
      const bytes = gzipSync(Buffer.alloc(8_300_000, 'x'))
      const first = Buffer.concat([Buffer.from(post(attacker.target.token, `Content-Encoding: gzip\r\nContent-Length: ${bytes.length}`)), bytes.subarray(0, bytes.length - 20)])
      await trickle(attacker, attacker.target.apiPort, 8, { first, drop: '', everyMs: 60_000, untilMs: 0 })
    }
  },
  {
    name: 'slow/mqtt-silent',
    who: 'stranger',
    input: '300 connections by MQTT on which nothing is said',
    holds: `closed within ${CONNECT_MS / 1_000} s`,
    closedWithinMs: CONNECT_MS,
    run: it => trickle(it, it.target.mqttPort, 300, { first: '', drop: '', everyMs: 60_000, untilMs: 0 })
  },
  {
    name: 'slow/mqtt-connect',
    who: 'stranger',
    input: '300 CONNECTs that get a byte every 3 s',
    holds: `closed within ${CONNECT_MS / 1_000} s, however much is still said`,
    closedWithinMs: CONNECT_MS,
    run: it => trickle(it, it.target.mqttPort, 300, { first: connectPacket(5, 'x'.repeat(2_000), 'nobody').subarray(0, 20), drop: 'x', everyMs: 3_000, untilMs: CONNECT_MS + 5_000 })
  },
  {
    name: 'slow/mqtt-refused-stays',
    who: 'stranger',
    input: '100 CONNECTs that are refused, and whose side stays open',
    holds: `closed within ${CONNECT_MS / 1_000} s`,
    closedWithinMs: CONNECT_MS,
    run: it => trickle(it, it.target.mqttPort, 100, { first: connectPacket(5, 'x', 'nobody'), drop: Buffer.from('c000', 'hex'), everyMs: 2_000, untilMs: CONNECT_MS + 5_000 })
  },
  {
    name: 'slow/mqtt-publish',
    who: 'write key',
    input: '10 clients with a keep-alive of 5 s that stop in the middle of a PUBLISH',
    holds: 'closed within 30 s',
    closedWithinMs: 30_000,
    async run (attacker) {
      const { generate } = await import('mqtt-packet')
      const packet = generate({ cmd: 'publish', topic: 'iot-events', payload: eventOf(`${OWN_PREFIX}1`, OWN_ZONE), qos: 1, messageId: 1, dup: false, retain: false }, { protocolVersion: 4 })
      for (let n = 0; n < 10; n++) {
        const mqtt = await attacker.mqtt({ version: 4, keepalive: 5 })
        mqtt?.raw.write(packet.subarray(0, packet.length - 5))
        if (mqtt) attacker.last(mqtt.raw)
      }
      await attacker.pause(1_000)
    }
  }
]
