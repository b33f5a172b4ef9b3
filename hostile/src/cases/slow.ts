/** Connections that take their time: each is closed by an absolute deadline, whatever trickles in. */
import { gzipSync } from 'node:zlib'

import { generate } from 'mqtt-packet'

import { OWN_PREFIX, OWN_ZONE, type Attack, type Who } from '../attack.ts'
import { eventOf } from '../attacker.ts'
import { connectPacket, type RawSocket } from '../sockets.ts'

/** The deadlines of heads, bodies and CONNECTs, with what a busy machine adds. */
const HEAD_MS = 20_000
const BODY_MS = 60_000
const CONNECT_MS = 20_000
const IDLE_MS = 90_000

interface Trickle {
  readonly who: Who
  readonly count: number
  /** what the connections do, for people */
  readonly input: string
  readonly holds?: string
  readonly closedWithinMs: number
  readonly by?: 'HTTP' | 'MQTT'
  readonly first?: (token: string) => Buffer | string
  /** sent again and again, as long as the connection may live and a little longer; left out: nothing more comes */
  readonly drop?: { readonly bytes: Buffer | string, readonly everyMs: number }
}

/** Opens connections that go on sending a little, by themselves, after the attack has ended. */
function trickle (
  name: string, { who, count, input, holds, closedWithinMs, by = 'HTTP', first, drop }: Trickle
): Attack {
  return {
    name: `slow/${name}`,
    who,
    input: `${count} ${input}`,
    holds: `${holds === undefined ? '' : `${holds}; `}closed within ${closedWithinMs / 1_000} s`,
    closedWithinMs,
    async run (attacker) {
      const { apiPort, mqttPort, token } = attacker.target
      const opened: RawSocket[] = []
      for (let n = 0; n < count; n++) {
        const raw = await attacker.connect(
          by === 'HTTP' ? apiPort : mqttPort, n % 50 === 0 ? attacker.freshAddress() : undefined
        )
        if (first) raw.write(first(token))
        attacker.last(raw)
        attacker.count('opened')
        opened.push(raw)
        await attacker.pause(4)
      }
      if (drop) {
        const timer = setInterval(() => { for (const it of opened) it.write(drop.bytes) }, drop.everyMs)
        setTimeout(() => clearInterval(timer), closedWithinMs + 5_000)
      }
      await attacker.pause(1_500)
    }
  }
}

const post = (token: string, more: string) => `POST /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/x-ndjson\r\n${more}\r\n\r\n`
const openBody = (token: string) => post(token, 'Content-Length: 1000000')

const zipped = gzipSync(Buffer.alloc(8_300_000, 'x'))
const stalledGzip = (token: string) =>
  Buffer.concat([Buffer.from(post(token, `Content-Encoding: gzip\r\nContent-Length: ${zipped.length}`)), zipped.subarray(0, -20)])

const everyTwoSeconds = (bytes: Buffer | string) => ({ bytes, everyMs: 2_000 })

export const slow: readonly Attack[] = [
  trickle('heads', {
    who: 'stranger',
    count: 200,
    input: 'heads of HTTP that get a byte every 2 s',
    closedWithinMs: HEAD_MS,
    first: () => 'GET /api/v1/zones HTTP/1.1\r\nX-A: ',
    drop: everyTwoSeconds('a')
  }),
  trickle(
    'silent',
    { who: 'stranger', count: 200, input: 'connections by HTTP on which nothing is said', closedWithinMs: HEAD_MS }
  ),
  trickle('idle-after-answer', {
    who: 'stranger',
    count: 100,
    input: 'connections by HTTP that stay after one request',
    closedWithinMs: IDLE_MS,
    first: () => 'GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n'
  }),
  trickle('bodies', {
    who: 'write key',
    count: 60,
    input: 'bodies that get a byte every 2 s',
    closedWithinMs: BODY_MS,
    first: openBody,
    drop: everyTwoSeconds('\n')
  }),
  trickle('bodies-without-token', {
    who: 'stranger',
    count: 60,
    input: 'bodies without a token that get a byte every 2 s',
    closedWithinMs: BODY_MS,
    first: () => openBody('nobody'),
    drop: everyTwoSeconds('\n')
  }),
  trickle('stalled-gzip', {
    who: 'write key',
    count: 8,
    input: 'gzipped bodies of 7.9 MB inflated that stop before their end',
    holds: 'others send meanwhile',
    closedWithinMs: BODY_MS,
    first: stalledGzip
  }),
  trickle(
    'mqtt-silent',
    {
      who: 'stranger',
      count: 300,
      input: 'connections by MQTT on which nothing is said',
      closedWithinMs: CONNECT_MS,
      by: 'MQTT'
    }
  ),
  trickle('mqtt-connect', {
    who: 'stranger',
    count: 300,
    input: 'CONNECTs that get a byte every 3 s, for longer than their deadline',
    closedWithinMs: CONNECT_MS,
    by: 'MQTT',
    first: () => connectPacket(5, 'x'.repeat(2_000), 'nobody').subarray(0, 20),
    drop: { bytes: 'x', everyMs: 3_000 }
  }),
  trickle('mqtt-refused-stays', {
    who: 'stranger',
    count: 100,
    input: 'CONNECTs that are refused, and whose side stays open',
    closedWithinMs: CONNECT_MS,
    by: 'MQTT',
    first: () => connectPacket(5, 'x', 'nobody'),
    drop: everyTwoSeconds(Buffer.from('c000', 'hex'))
  }),
  {
    name: 'slow/mqtt-publish',
    who: 'write key',
    input: '10 clients with a keep-alive of 5 s that stop in the middle of a PUBLISH',
    holds: 'closed within 30 s',
    closedWithinMs: 30_000,
    async run (attacker) {
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
