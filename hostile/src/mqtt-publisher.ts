import { connect, type Socket } from 'node:net'

import { generate, parser as createParser, type IPubackPacket } from 'mqtt-packet'

import { connectPacket } from './sockets.ts'

const HOST = '127.0.0.1'
const TIMEOUT_MS = 10_000
const RECONNECT_MS = 200

/** A device that publishes with QoS 1, and reconnects. */
export class MqttPublisher {
  readonly #port: number
  readonly #token: string
  readonly #fail: (what: string) => void
  readonly #waiting = new Map<number, {
    resolve: (isTaken: boolean) => void, reject: (error: Error) => void, timer: NodeJS.Timeout
  }>()

  #socket: Socket | undefined
  #isOpen = false
  #isClosing = false
  #messageId = 0

  constructor (port: number, token: string, fail: (what: string) => void) {
    this.#port = port
    this.#token = token
    this.#fail = fail
    this.#connect()
  }

  async publish (payload: string): Promise<boolean> {
    const messageId = this.#messageId = this.#messageId % 65_535 + 1
    const { promise, resolve, reject } = Promise.withResolvers<boolean>()
    const timer = setTimeout(() => {
      this.#waiting.delete(messageId)
      reject(new Error(`no acknowledgement within ${TIMEOUT_MS / 1_000} s`))
    }, TIMEOUT_MS)
    this.#waiting.set(messageId, { resolve, reject, timer })
    const packet = {
      cmd: 'publish', topic: 'iot-events', payload, qos: 1, messageId, dup: false, retain: false
    } as const
    if (this.#isOpen) this.#socket!.write(generate(packet, { protocolVersion: 5 }))
    else this.#settle(messageId, new Error('there is no connection'))
    return await promise
  }

  close (): void {
    this.#isClosing = true
    this.#socket?.destroy()
  }

  #settle (messageId: number, error?: Error): void {
    const waiting = this.#waiting.get(messageId)
    if (!waiting) return
    this.#waiting.delete(messageId)
    clearTimeout(waiting.timer)
    if (error) waiting.reject(error)
    else waiting.resolve(true)
  }

  #connect (): void {
    const socket = this.#socket = connect({ host: HOST, port: this.#port, noDelay: true })
    const parser = createParser({ protocolVersion: 5 })
    parser.on('packet', packet => {
      if (packet.cmd === 'connack') {
        this.#isOpen = packet.reasonCode === 0
        if (!this.#isOpen) this.#fail(`MQTT: not let in, reason ${packet.reasonCode}`)
      } else if (packet.cmd === 'puback') {
        const { messageId, reasonCode = 0 } = packet as IPubackPacket
        this.#settle(messageId!, reasonCode < 0x80 ? undefined : new Error(`refused with ${reasonCode}`))
      } else {
        this.#fail(`MQTT: ${packet.cmd} ${'reasonCode' in packet ? packet.reasonCode : ''}`)
      }
    })
    socket.on('data', bytes => parser.parse(bytes))
    socket.on('connect', () => socket.write(connectPacket(5, `honest-${process.pid}`, this.#token)))
    socket.on('error', () => {})
    socket.on('close', () => {
      const wasOpen = this.#isOpen
      this.#isOpen = false
      if (this.#isClosing) return
      this.#fail(wasOpen ? 'MQTT: the connection was closed' : 'MQTT: no connection')
      for (const id of [...this.#waiting.keys()]) this.#settle(id, new Error('the connection was closed'))
      setTimeout(() => { if (!this.#isClosing) this.#connect() }, RECONNECT_MS)
    })
  }
}
