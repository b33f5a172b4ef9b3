/** Clients by MQTT that connect too often, send too fast, or hold too much. */
import { OWN_PREFIX, OWN_ZONE, type Attack } from '../attack.ts'
import { eventOf, type Attacker } from '../attacker.ts'
import { connectPacket } from '../sockets.ts'

async function publishFast (attacker: Attacker, qos: 0 | 1, perSecond: number, payload: () => string): Promise<void> {
  const mqtt = await attacker.mqtt({ version: 5 })
  const each = 20
  for (let n = 0; !attacker.isOver && mqtt?.raw.isOpen; n += each) {
    for (let m = 0; m < each; m++) mqtt.publish(payload(), { qos, messageId: (n + m) % 60_000 + 1 })
    attacker.count('published', each)
    await attacker.pause(each * 1_000 / perSecond)
  }
}

export const mqttLoad: readonly Attack[] = [
  {
    name: 'mqtt-load/failed-logins',
    who: 'stranger',
    input: 'CONNECTs with a made-up password, 150 a second from one address',
    holds: 'the audit log stays small',
    async run (attacker) {
      while (!attacker.isOver) {
        const raw = await attacker.connect(attacker.target.mqttPort)
        raw.write(connectPacket(4, 'x', 'nobody'))
        await raw.heard(1_000)
        attacker.count('refused')
        raw.end()
        await attacker.pause(5)
      }
    }
  },
  {
    name: 'mqtt-load/failed-logins-of-many',
    who: 'stranger',
    input: 'the same, each from another address',
    holds: 'the audit log stays small',
    async run (attacker) {
      while (!attacker.isOver) {
        const raw = await attacker.connect(attacker.target.mqttPort, attacker.freshAddress())
        raw.write(connectPacket(5, 'x', `nobody-${'x'.repeat(500)}`))
        await raw.heard(1_000)
        attacker.count('refused')
        raw.end()
        await attacker.pause(5)
      }
    }
  },
  { name: 'mqtt-load/qos0-flood', who: 'write key', input: 'valid events at QoS 0, 3,000 a second on one connection', holds: 'others are served', run: it => publishFast(it, 0, 3_000, () => eventOf(`${OWN_PREFIX}1`, OWN_ZONE)) },
  { name: 'mqtt-load/qos1-flood', who: 'write key', input: 'valid events at QoS 1, 2,000 a second on one connection', holds: 'others are served', run: it => publishFast(it, 1, 2_000, () => eventOf(`${OWN_PREFIX}1`, OWN_ZONE)) },
  {
    name: 'mqtt-load/refused-flood',
    who: 'write key',
    input: 'messages that are no events at QoS 0, 2,000 a second',
    holds: 'others are served',
    run: it => publishFast(it, 0, 2_000, () => '{"no":"event"}')
  },
  { name: 'mqtt-load/large-messages', who: 'write key', input: 'events of 60 KB at QoS 0, 150 a second', holds: 'others are served', run: it => publishFast(it, 0, 150, () => eventOf(`${OWN_PREFIX}1`, OWN_ZONE, { x: 'x'.repeat(60_000) })) },
  {
    name: 'mqtt-load/many-connections',
    who: 'write key',
    input: '600 connections of one key, 200 a second',
    holds: 'others get in',
    async run (attacker) {
      let letIn = 0
      for (let n = 0; n < 600 && !attacker.isOver; n++) {
        const raw = await attacker.connect(attacker.target.mqttPort)
        raw.write(connectPacket(5, `c${n}`, attacker.target.token))
        await raw.heard(1_000)
        if (raw.isOpen) letIn++
        attacker.count('connected')
      }
      attacker.note = `${letIn} connections at once`
      const other = await attacker.mqtt({ token: attacker.target.adminToken, from: '127.0.0.1' })
      attacker.expect(other !== undefined, 'another caller was not let in')
    }
  },
  {
    name: 'mqtt-load/takeovers',
    who: 'write key',
    input: 'one client id that connects again and again, 100 a second, with 20 messages on its way',
    holds: 'others are served',
    async run (attacker) {
      while (!attacker.isOver) {
        const raw = await attacker.connect(attacker.target.mqttPort)
        raw.write(connectPacket(5, 'the-same', attacker.target.token))
        await raw.heard(500)
        attacker.count('connected')
        await attacker.pause(8)
      }
    }
  },
  {
    name: 'mqtt-load/pings',
    who: 'write key',
    input: 'PINGREQs, 5,000 a second, whose answers nobody reads',
    holds: 'others are served',
    async run (attacker) {
      const mqtt = await attacker.mqtt({ version: 4 })
      mqtt?.raw.socket.pause()
      const pings = Buffer.from('c000'.repeat(100), 'hex')
      while (!attacker.isOver && mqtt?.raw.isOpen) {
        mqtt.raw.write(pings)
        attacker.count('sent', 100)
        await attacker.pause(20)
      }
    }
  }
]
