/** Sends events as fast as they are acknowledged, over HTTP and MQTT. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

import autocannon from 'autocannon'
import { generate } from 'mqtt-packet'

export interface HttpLoad {
  readonly url: string
  readonly token: string
  readonly contentType: string
  /** sent in rotation */
  readonly bodies: readonly string[]
  /** number of bodies */
  readonly amount: number
  readonly connections: number
}

/** @returns the time from the first request to the last answer, in s @throws if an answer was not 202 */
export async function sendByHttp ({ url, token, contentType, bodies, amount, connections }: HttpLoad): Promise<number> {
  const startedMs = performance.now()
  let lastMs = startedMs
  const { errors, timeouts, non2xx } = await new Promise<autocannon.Result>((resolve, reject) => {
    const running = autocannon({
      url: `${url}/api/v1/events`,
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': contentType },
      requests: bodies.map(body => ({ body })),
      amount,
      connections
    }, (error, result) => error ? reject(error) : resolve(result))
    running.on('response', () => { lastMs = performance.now() }) // it notices its own end up to a second later
  })
  const failures = errors + timeouts + non2xx
  if (failures > 0) throw new Error(`${failures} of ${amount} bodies were not taken`)
  return (lastMs - startedMs) / 1000
}

export interface MqttLoad {
  readonly port: number
  readonly token: string
  readonly topic: string
  /** sent in rotation */
  readonly events: readonly string[]
  /** number of events */
  readonly amount: number
  readonly connections: number
}

/** Unacknowledged messages of a connection; the API accepts 200. */
const WINDOW = 50
const ACKNOWLEDGEMENT_BYTES = 4
const PUBACK = 0x40

/** Sends over MQTT 3.1.1 with QoS 1. @returns the time from the first message to the last acknowledgement, in s */
export async function sendByMqtt (load: MqttLoad): Promise<number> {
  const { connections, amount } = load
  const sockets = await Promise.all(Array.from({ length: connections }, (_, n) => open(load, `bench-${n}`)))
  const left = { events: amount }
  const startedMs = performance.now()
  try {
    await Promise.all(sockets.map((socket, n) => publish(socket, packetsOf(load, n * WINDOW), left)))
    return (performance.now() - startedMs) / 1000
  } finally {
    for (const it of sockets) it.destroy()
  }
}

async function open ({ port, token }: MqttLoad, clientId: string): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  socket.setNoDelay(true)
  await once(socket, 'connect')
  socket.write(generate({
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion: 4,
    clean: true,
    clientId,
    username: 'bench',
    password: Buffer.from(token)
  }))
  const [welcome] = await once(socket, 'data') as [Buffer]
  if (welcome[3] !== 0) throw new Error(`the API does not take a client by MQTT: ${welcome.toString('hex')}`)
  return socket
}

/** One per place of the window: the message with that id is always the same. */
function packetsOf ({ topic, events }: MqttLoad, first: number): Buffer[] {
  return Array.from({ length: WINDOW }, (_, n) =>
    generate({
      cmd: 'publish',
      topic,
      payload: events[(first + n) % events.length],
      qos: 1,
      messageId: n +
      1,
      dup: false,
      retain: false
    }))
}

/** @param left shared by all connections; each subtracts what it sends */
function publish (socket: Socket, packets: readonly Buffer[], left: { events: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    let waiting = 0
    let rest: Buffer = Buffer.alloc(0)
    const send = (messageId: number) => {
      if (left.events === 0) return
      left.events--
      waiting++
      socket.write(packets[messageId - 1])
    }
    const take = (chunk: Buffer) => {
      const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
      let at = 0
      socket.cork()
      for (; at + ACKNOWLEDGEMENT_BYTES <= bytes.length; at += ACKNOWLEDGEMENT_BYTES) {
        if (bytes[at] !== PUBACK) return reject(new Error(`no acknowledgement, but ${bytes.toString('hex', at)}`))
        waiting--
        send(bytes.readUInt16BE(at + 2))
      }
      socket.uncork()
      rest = bytes.subarray(at)
      if (waiting === 0) resolve()
    }
    socket.on('data', take)
    socket.once('close', () => reject(new Error('a connection by MQTT ended')))
    socket.cork()
    for (let id = 1; id <= packets.length; id++) send(id)
    socket.uncork()
    if (waiting === 0) resolve()
  })
}
