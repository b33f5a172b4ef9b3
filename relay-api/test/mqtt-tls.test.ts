/** MQTT over TLS, with certificates made here. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { connect as connectSocket, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { connect as connectTls, type ConnectionOptions } from 'node:tls'

import getPort from 'get-port'
import { connect as connectMqtt, connectAsync, type IClientOptions, type MqttClient } from 'mqtt'
import { createLogger, RelayError } from 'relay-common'

import { countRecords } from '../../relay-simulator/test/support/event-logs.ts'
import { makeCertificates } from 'relay-test-support/certificates.ts'
import { until } from 'relay-test-support/until.ts'
import { startApi } from '../src/app.ts'
import { readApiConfig } from '../src/config.ts'
import { TOKEN } from './support/ask.ts'
import { eventOf, openIngestSite } from './support/ingest-site.ts'

const limit = { timeout: 120_000 }

/** MQTT 3.1.1, without a password; and the answer */
const CONNECT = Buffer.from('101000044d5154540402003c0004636c6e74', 'hex')
const CONNACK_REFUSED = Buffer.from('20020005', 'hex')

/** Tries to log in. @returns the first answer @throws if the connection ends without one */
async function firstBytes (socket: Socket): Promise<Buffer> {
  socket.write(CONNECT)
  return await new Promise((resolve, reject) => {
    socket.once('data', bytes => {
      socket.destroy()
      resolve(bytes)
    })
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('it was closed')))
  })
}

async function openFolder (opened: AsyncDisposableStack): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'relay-test-mqtt-'))
  opened.defer(() => rm(folder, { recursive: true, force: true }))
  return folder
}

test('with a certificate MQTT only accepts TLS, from clients that trust it and have one if required', limit, async t => {
  await using opened = new AsyncDisposableStack()
  const folder = await openFolder(opened)
  const [own, devices, foreign] = await Promise.all(['own', 'devices', 'foreign'].map(name => makeCertificates(
    folder, name
  )))
  const ports = { open: await getPort({ host: '127.0.0.1' }), mutual: await getPort({ host: '127.0.0.1' }) }
  const tls = { MQTT_TLS_CERT_FILE: own.certFile, MQTT_TLS_KEY_FILE: own.keyFile }
  const site = opened.use((await openIngestSite(t, 'postgres', { ...tls, MQTT_PORT: String(ports.open) }))!)
  const second = await startApi(readApiConfig({
    ...site.environment, MQTT_PORT: String(ports.mutual), MQTT_TLS_CA_FILE: devices.caFile
  }), createLogger('test', 'silent'))
  opened.defer(() => second.close())

  const send = async (port: number, options: IClientOptions = {}) => {
    const client = await connectAsync(`mqtts://localhost:${port}`, {
      username: 'device', password: TOKEN, reconnectPeriod: 0, ca: await readFile(own.caFile), ...options
    })
    try {
      await client.publishAsync(site.log.topic, JSON.stringify(eventOf(0)), { qos: 1 })
    } finally {
      await client.endAsync(true)
    }
  }
  const certificateOf = async ({ certFile, keyFile }: typeof own) => ({
    cert: await readFile(certFile), key: await readFile(keyFile)
  })

  await send(ports.open)
  await send(ports.mutual, await certificateOf(devices))
  assert.equal(await countRecords(site.log), 2)

  await assert.rejects(send(ports.open, { password: 'wrong' }), { code: 5 })
  const ca = await readFile(own.caFile)
  const answerOf = async (port: number, options: ConnectionOptions = {}) =>
    await firstBytes(connectTls({ host: '127.0.0.1', port, ca, ...options }))
  assert.deepEqual(await answerOf(ports.open), CONNACK_REFUSED)
  assert.deepEqual(await answerOf(ports.mutual, await certificateOf(devices)), CONNACK_REFUSED)
  await assert.rejects(answerOf(ports.open, { ca: await readFile(foreign.caFile) }), /certificate/)
  await assert.rejects(answerOf(ports.mutual), /certificate required/)
  await assert.rejects(answerOf(ports.mutual, await certificateOf(foreign)), /alert|ECONNRESET|closed/)
  const inTheClear = await firstBytes(connectSocket(ports.open, '127.0.0.1')).catch(() => Buffer.alloc(0))
  assert.notDeepEqual(inTheClear, CONNACK_REFUSED)
  assert.equal(await countRecords(site.log), 2)

  // a client without a finished handshake does not prevent closing
  const stranger = connectSocket(ports.mutual, '127.0.0.1')
  stranger.on('error', () => {}).resume()
  await once(stranger, 'connect')
  await send(ports.mutual, await certificateOf(devices)) // by now it is registered
  const parted = once(stranger, 'close')
  await second.close()
  await parted
})

test('an invalid certificate is reported at start, with the name of its setting', limit, async t => {
  await using opened = new AsyncDisposableStack()
  const folder = await openFolder(opened)
  const [one, other] = [await makeCertificates(folder, 'one'), await makeCertificates(folder, 'other')]
  const site = opened.use((await openIngestSite(t, 'postgres'))!)
  const port = await getPort({ host: '127.0.0.1' })
  const broken = join(folder, 'broken.pem')
  await writeFile(broken, 'no PEM')
  const faults: Array<[Record<string, string>, RegExp]> = [
    [{ MQTT_TLS_CERT_FILE: one.certFile }, /MQTT_TLS_KEY_FILE must be set together/],
    [{ MQTT_TLS_CA_FILE: one.caFile }, /must be set together/],
    [{ MQTT_TLS_CERT_FILE: one.certFile, MQTT_TLS_KEY_FILE: join(folder, 'none') }, /none, named by MQTT_TLS_KEY_FILE/],
    [{ MQTT_TLS_CERT_FILE: one.certFile, MQTT_TLS_KEY_FILE: other.keyFile }, /could not use .*mismatch/],
    [{ MQTT_TLS_CERT_FILE: broken, MQTT_TLS_KEY_FILE: one.keyFile }, /could not use /]
  ]
  for (const [settings, message] of faults) {
    const config = readApiConfig({ ...site.environment, MQTT_PORT: String(port), ...settings })
    await assert.rejects(startApi(config, createLogger('test', 'silent')), (error: RelayError) => {
      assert.equal(error.code, 'RELAY_CONFIG_INVALID')
      assert.match(error.message, message)
      return true
    })
  }
})

test('the time of a TLS login starts with the accept: an incomplete handshake holds no place', limit, async t => {
  await using opened = new AsyncDisposableStack()
  const own = await makeCertificates(await openFolder(opened), 'own')
  const port = await getPort({ host: '127.0.0.1' })
  const site = opened.use((await openIngestSite(t, 'postgres', {
    MQTT_TLS_CERT_FILE: own.certFile,
    MQTT_TLS_KEY_FILE: own.keyFile,
    MQTT_PORT: String(port),
    MQTT_CONNECT_TIMEOUT_MS: '500',
    MQTT_PENDING_PER_ADDRESS_MAX: '5'
  }))!)
  const hello = Buffer.from('160301010001000100fc0303', 'hex') // the beginning of one
  const strangers = Array.from({ length: 20 }, () => {
    const socket = connectSocket(port, '127.0.0.1')
    opened.defer(() => { socket.destroy() })
    socket.on('error', () => {}).resume()
    const drip = setInterval(
      () => { if (socket.writable) socket.write(socket.bytesWritten < hello.length ? hello : Buffer.from([0])) }, 50
    )
    opened.defer(() => clearInterval(drip))
    return once(socket, 'close')
  })
  const ca = await readFile(own.caFile)
  const connect = async () => {
    const client = connectMqtt(
      `mqtts://localhost:${port}`, { username: 'device', password: TOKEN, reconnectPeriod: 0, ca }
    )
    client.on('error', () => {}) // a connection that is reset may report it twice
    await new Promise<void>((resolve, reject) => {
      client.once('connect', () => resolve()).once('close', () => reject(new Error('it found no place')))
    })
    return client
  }
  let client: MqttClient | undefined // during the time of the unknown clients it may find no place
  await until('a client to find a place', async () => (client = await connect().catch(() => undefined)) !== undefined)
  opened.defer(() => client!.endAsync(true))
  await Promise.all(strangers)
  await client!.publishAsync(site.log.topic, JSON.stringify(eventOf(0)), { qos: 1 })
})
