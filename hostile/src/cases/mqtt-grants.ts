/**
 * A write key tries to have events counted that it may not send: by MQTT, by what two parsers read in two ways, by
 * replay.
 */
import { execFile } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { OWN_PREFIX, OWN_ZONE, VAULT_PREFIX, VAULT_ZONE, type Attack } from '../attack.ts'
import { eventOf, type Attacker } from '../attacker.ts'
import type { Site } from '../site.ts'
import type { MqttSocket } from '../sockets.ts'

const CLI = fileURLToPath(new URL('../../../relay-cli/src/main.ts', import.meta.url))
/** FUTURE_MAX_MS by default */
const FUTURE_MAX_MS = 300_000
const MESSAGES = 150

interface Way { readonly version: 4 | 5, readonly qos: 0 | 1, readonly topic?: string }

/** Publishes messages, on a new connection wherever the site has ended the one before. */
async function publishAll (
  attacker: Attacker, { version, qos, topic }: Way, payloads: readonly (string | Buffer)[]
): Promise<void> {
  let mqtt: MqttSocket | undefined
  for (const [n, payload] of payloads.entries()) {
    if (!mqtt?.raw.isOpen) mqtt = await attacker.mqtt({ version })
    mqtt?.publish(payload, { qos, messageId: n + 1, ...topic === undefined ? {} : { topic } })
    attacker.count('published')
    await attacker.pause(8)
  }
  await attacker.pause(300)
  mqtt?.end()
}

/** Too far in the future for the one who takes it, and just not any more for the one who counts it. */
function soonValid (attacker: Attacker, deviceId: string, zone: string): string {
  const timestamp = new Date(Date.now() + FUTURE_MAX_MS + attacker.chance.between(5, 250)).toISOString()
  return JSON.stringify({ deviceId, deviceType: 'THERMOSTAT', zone, value: 1, timestamp })
}

function future (name: string, way: Way, what: 'zone' | 'device'): Attack {
  const deviceId = what === 'zone' ? `${OWN_PREFIX}1` : `${VAULT_PREFIX}1`
  const zone = what === 'zone' ? VAULT_ZONE : OWN_ZONE
  return {
    name: `mqtt-grants/${name}`,
    who: 'write key',
    input: `${MESSAGES} events of a foreign ${what} that lie 5 to 250 ms too far in the future: MQTT ${way.version === 5 ? '5' : '3.1.1'}, QoS ${way.qos}${way.topic ? ', topic of a device' : ''}`,
    holds: 'none is counted',
    spanMs: 6_000,
    async run (attacker) {
      for (let n = 0, mqtt: MqttSocket | undefined; n < MESSAGES; n++) {
        if (!mqtt?.raw.isOpen) mqtt = await attacker.mqtt({ version: way.version })
        mqtt?.publish(soonValid(attacker, deviceId, zone), { ...way, messageId: n + 1 })
        attacker.count('published')
        await attacker.pause(8)
      }
      await attacker.pause(800)
    }
  }
}

/** JSON that one parser may read in another way than the next. All of it is about what is not granted. */
function ambiguous (): string[] {
  const time = new Date().toISOString()
  const own = `"deviceId":"${OWN_PREFIX}2","deviceType":"THERMOSTAT"`
  const rest = `"value":1,"timestamp":"${time}"`
  const vaultEvent = `{"deviceId":"${VAULT_PREFIX}2","deviceType":"THERMOSTAT","zone":"${VAULT_ZONE}",${rest}}`
  const ownEvent = `{${own},"zone":"${OWN_ZONE}",${rest}}`
  return [
    `{${own},"zone":"${OWN_ZONE}","zone":"${VAULT_ZONE}",${rest}}`,
    `{${own},"zone":"${VAULT_ZONE}","zone":"${OWN_ZONE}",${rest}}`,
    `{${own},"zone":"${OWN_ZONE}","z\\u006fne":"${VAULT_ZONE}",${rest}}`,
    `{${own},"zone":"${OWN_ZONE}",${rest},"x":{"zone":"${VAULT_ZONE}"}}`.replace('"zone":"Large",', ''),
    `{${own},"zone":"\\u0056ault",${rest}}`,
    `{${own},"zone":"${OWN_ZONE}\\u0000","x":"${VAULT_ZONE}",${rest}}`,
    `{"__proto__":{"zone":"${VAULT_ZONE}"},${own},${rest}}`,
    `{"deviceId":"${OWN_PREFIX}3","device\\u0049d":"${VAULT_PREFIX}3","deviceType":"THERMOSTAT","zone":"${OWN_ZONE}",${rest}}`,
    `{"deviceId":["${VAULT_PREFIX}1"],"deviceType":"THERMOSTAT","zone":"${OWN_ZONE}",${rest}}`,
    `${ownEvent}${vaultEvent}`,
    `${ownEvent}\r${vaultEvent}`,
    `${ownEvent}\u2028${vaultEvent}`,
    `[${ownEvent},${vaultEvent}]`,
    `\ufeff${vaultEvent}`,
    `/* */${vaultEvent}`,
    `${vaultEvent}//${ownEvent}`,
    `{"a":"\\"}${vaultEvent}`,
    vaultEvent
  ]
}

/** Cuts two texts and puts their pieces together: some are events of what is granted, none may be of what is not. */
function mutate (attacker: Attacker, texts: readonly string[]): string {
  const { chance } = attacker
  const text = chance.pick(texts)
  const at = chance.below(text.length)
  switch (chance.below(5)) {
    case 0: return text.slice(0, at) + chance.pick(texts).slice(chance.below(80))
    case 1: return text.slice(0, at) + String.fromCharCode(chance.below(256)) + text.slice(at + 1)
    case 2: return text.slice(0, at) + text.slice(at + chance.below(6))
    case 3: return text.replaceAll('"', chance.pick(['"', '\'', '\\"', '""']))
    default: return text
  }
}

/** Sends dead letters again, as an operator does who has mended what they were refused for. */
async function replay (site: Site): Promise<string[]> {
  const before = (await site.observe()).ungranted
  await delay(4_000) // what lay in the future does not any more
  await promisify(execFile)(
    process.execPath, [CLI, 'dead-letters', 'replay', '--yes', '--since', '5m'],
    { env: { ...process.env, ...site.environment } }
  )
  await delay(2_000)
  const counted = (await site.observe()).ungranted - before
  return counted > 0 ? [`${counted} series that were not granted are counted after a replay`] : []
}

export const mqttGrants: readonly Attack[] = [
  future('future-qos0-v5', { version: 5, qos: 0 }, 'zone'),
  future('future-qos0-v3', { version: 4, qos: 0 }, 'zone'),
  future('future-qos1-v3', { version: 4, qos: 1 }, 'device'),
  future('future-device-topic', { version: 5, qos: 0, topic: `devices/${VAULT_PREFIX}1/events` }, 'device'),
  {
    name: 'mqtt-grants/replayed-letters',
    who: 'write key',
    input: '40 events of a foreign zone that lie 3 s too far in the future, then an operator replays dead letters',
    holds: 'none is counted, by a replay neither',
    async run (attacker) {
      const timestamp = () => new Date(Date.now() + FUTURE_MAX_MS + 3_000).toISOString()
      const payloads = Array.from({ length: 40 }, (_, n) => eventOf(`${VAULT_PREFIX}${n}`, VAULT_ZONE, { timestamp: timestamp() }))
      await publishAll(attacker, { version: 4, qos: 1 }, payloads.slice(0, 20))
      await publishAll(attacker, { version: 5, qos: 0 }, payloads.slice(20))
      await attacker.send(payloads.join('\n'))
    },
    verify: replay
  },
  {
    name: 'mqtt-grants/unknown-type-replayed',
    who: 'write key',
    input: '20 events of a foreign device with an unknown type, a broken value, too large; then a replay',
    holds: 'none is counted',
    async run (attacker) {
      const event = (more: Record<string, unknown>) => eventOf(`${VAULT_PREFIX}t`, VAULT_ZONE, more)
      const payloads = [
        event({ deviceType: 'NEW' }), event({ value: '1' }), event({ timestamp: 'now' }),
        event({ x: 'x'.repeat(70_000) }), '{}'
      ]
      for (const way of [
        { version: 5, qos: 0 }, { version: 4, qos: 0 }, { version: 4, qos: 1 }, { version: 5, qos: 1 }
      ] as const) {
        await publishAll(attacker, way, payloads)
      }
    },
    verify: replay
  },
  {
    name: 'mqtt-grants/two-readings',
    who: 'write key',
    input: '18 texts that two JSON parsers may read in two ways, by HTTP and by MQTT of each version',
    holds: 'nothing of a foreign zone or device is counted',
    async run (attacker) {
      for (const text of ambiguous()) {
        await attacker.send(text)
        await attacker.ask({
          method: 'POST', path: '/api/v1/events', body: text, headers: { 'content-type': 'application/json' }
        })
      }
      await publishAll(attacker, { version: 5, qos: 0 }, ambiguous())
      await publishAll(attacker, { version: 4, qos: 1 }, ambiguous())
    }
  },
  {
    name: 'mqtt-grants/generated',
    who: 'write key',
    input: 'generated pieces of such texts by HTTP and MQTT, one after the other',
    holds: 'nothing of a foreign zone or device is counted',
    spanMs: 14_000,
    async run (attacker) {
      const texts = ambiguous()
      let mqtt: MqttSocket | undefined
      for (let n = 0; n < attacker.generated; n++) {
        const text = mutate(attacker, texts)
        if (n % 2 === 0) {
          if (!mqtt?.raw.isOpen) mqtt = await attacker.mqtt({ version: n % 4 === 0 ? 5 : 4 })
          mqtt?.publish(text, { qos: n % 8 < 4 ? 0 : 1, messageId: n % 60_000 + 1 })
          attacker.count('published')
        } else {
          await attacker.ask({
            method: 'POST', path: '/api/v1/events', body: text, headers: { 'content-type': 'application/json' }
          })
        }
        await attacker.pause(1)
      }
    }
  }
]
