/** An existing Mosquitto forwards the events of its devices, with the settings of docs/ingest.md. */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

import getPort from 'get-port'
import { connectAsync } from 'mqtt'

import { readEvents } from '../../relay-simulator/test/support/event-logs.ts'
import { until } from 'relay-test-support/until.ts'
import { eventOf } from './support/ingest-site.ts'
import { openMqttSite, type MqttSite } from './support/mqtt-site.ts'

/** Debian's path, which is not in everybody's PATH */
const mosquitto = existsSync('/usr/sbin/mosquitto') ? '/usr/sbin/mosquitto' : 'mosquitto'
const hasMosquitto = spawnSync(mosquitto, ['-h']).error === undefined
const options = {
  timeout: 120_000, skip: hasMosquitto ? false : 'there is no mosquitto here (Debian: apt-get install mosquitto)'
}

/** Starts a broker with a bridge to a site. @returns its port */
async function startBroker (
  opened: AsyncDisposableStack, site: MqttSite, settings: readonly string[]
): Promise<number> {
  const port = await getPort({ host: '127.0.0.1' })
  const folder = await mkdtemp(join(tmpdir(), 'relay-test-bridge-'))
  opened.defer(() => rm(folder, { recursive: true, force: true }))
  const file = join(folder, 'mosquitto.conf')
  await writeFile(file, [
    `listener ${port} 127.0.0.1`, 'allow_anonymous true', 'user root', // of the broker itself
    'connection relay', `address 127.0.0.1:${site.port}`, 'remote_username bridge',
    `remote_password ${await site.makeKey()}`, ...settings
  ].join('\n'), { mode: 0o600 })
  const broker = spawn(mosquitto, ['-c', file], { stdio: 'ignore' })
  opened.defer(async () => {
    broker.kill()
    if (broker.exitCode === null) await once(broker, 'exit')
  })
  return port
}

const bridges: Readonly<Record<string, (topic: string) => readonly string[]>> = {
  'of the documentation': topic => [`topic ${topic} out 1`, 'topic devices/+/events out 1'],
  'by MQTT 5': topic => [`topic ${topic} out 1`, 'topic devices/+/events out 1', 'bridge_protocol_version mqttv50'],
  'of QoS 0': topic => [`topic ${topic} out 0`, 'topic devices/+/events out 0'],
  'of QoS 2 for all topics in both directions': () => ['topic # both 2'],
  'for all topics, with a clean session': () => ['topic # out 1', 'cleansession true']
}

for (const [name, settingsOf] of Object.entries(bridges)) {
  test(`a bridge ${name} forwards all events, and stays connected`, options, async t => {
    await using opened = new AsyncDisposableStack()
    const site = opened.use((await openMqttSite(t, 'postgres'))!)
    const port = await startBroker(opened, site, settingsOf(site.topic))
    await until('the bridge to be connected', async () => await site.metric('relay_api_mqtt_connections') === 1)
    const device = await connectAsync(`mqtt://127.0.0.1:${port}`)
    opened.defer(() => device.endAsync(true))
    const publish = async (topic: string, text: string, retain = false) => {
      await device.publishAsync(
        topic, text, { qos: 1, retain }
      )
    }
    await publish('zigbee2mqtt/bridge/state', 'online', true)
    for (let n = 0; n < 6; n++) {
      await publish(n % 2 === 0 ? site.topic : 'devices/d/events', JSON.stringify(eventOf(n, { deviceId: 'd' })))
      await publish('tele/tasmota/LWT', 'Online')
    }
    await until('all events', async () => ((await readEvents(site.log)).get('d')?.length ?? 0) >= 6)
    assert.deepEqual(
      [...new Set((await readEvents(site.log)).get('d')!.map(it => it.value))], [0, 0.25, 0.5, 0.75, 1, 1.25]
    )
    assert.equal(await site.metric('relay_api_mqtt_ended_total'), 0)
    assert.equal(await site.metric('relay_api_mqtt_connections'), 1)
    assert.ok(
      await site.metric('relay_api_mqtt_ignored_total', 'reason="system-topic"') > 0,
      'the state of the bridge was counted'
    )
  })
}
