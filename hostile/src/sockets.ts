/** Sockets of attackers: raw bytes, and packets of MQTT. */
import type { Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

import { generate, parser as createParser, type IConnectPacket, type Packet } from 'mqtt-packet'

/** Stored part of an answer; the rest is read and dropped. */
export const BODY_KEPT_BYTES = 4 * 1024 * 1024

export interface LastingSocket { readonly socket: Socket, readonly openedMs: number, readonly raw: RawSocket }

export class RawSocket {
  readonly socket: Socket
  readonly openedMs = performance.now()
  readonly connected: Promise<void>
  readonly closed: Promise<void>
  /** when it was closed, on the clock of `performance`; undefined: it is open */
  closedMs: number | undefined
  readonly #chunks: Buffer[] = []
  #size = 0

  constructor (socket: Socket) {
    this.socket = socket
    socket.on('error', () => {})
    socket.on(
      'data', (chunk: Buffer) => { if ((this.#size += chunk.length) < BODY_KEPT_BYTES) this.#chunks.push(chunk) }
    )
    this.connected = new Promise(resolve => socket.once('connect', () => resolve()))
    this.closed = new Promise(resolve => socket.once('close', () => {
      this.closedMs = performance.now()
      resolve()
    }))
  }

  get isOpen (): boolean { return this.closedMs === undefined }
  get received (): Buffer { return Buffer.concat(this.#chunks) }
  /** status of the first HTTP answer; 0: none */
  get status (): number {
    return Number(
      /^HTTP\/1\.[01] (\d{3})/.exec(this.received.subarray(0, 20).toString('latin1'))?.[1] ?? 0
    )
  }

  write (bytes: Buffer | string): void { if (this.isOpen && !this.socket.destroyed) this.socket.write(bytes) }
  end (): void { this.socket.destroy() }

  /** Waits for the other side to close. @returns whether it did in time */
  async isClosedWithin (ms: number): Promise<boolean> {
    return await Promise.race([this.closed.then(() => true), delay(ms).then(() => false)])
  }

  /** Waits for data, a close, or the end of the time. */
  async heard (ms: number): Promise<void> {
    if (this.#size > 0) return
    const came = new Promise<void>(resolve => this.socket.once('data', () => resolve()))
    await Promise.race([came, this.closed, delay(ms)])
  }
}

export class MqttSocket {
  readonly raw: RawSocket
  readonly version: 4 | 5
  readonly #packets: Packet[] = []
  #wake: () => void = () => {}

  constructor (raw: RawSocket, version: 4 | 5) {
    this.raw = raw
    this.version = version
    const parser = createParser({ protocolVersion: version })
    parser.on('packet', packet => { this.#packets.push(packet); this.#wake() })
    parser.on('error', () => {})
    raw.socket.on('data', bytes => { try { parser.parse(bytes) } catch {} })
    raw.closed.then(() => this.#wake())
  }

  /** The next packet; undefined: closed, or timed out. */
  async next (ms = 5_000): Promise<Packet & { reasonCode?: number, returnCode?: number } | undefined> {
    const untilMs = performance.now() + ms
    while (this.#packets.length === 0 && this.raw.isOpen && performance.now() < untilMs) {
      const woken = new Promise<void>(resolve => { this.#wake = resolve })
      await Promise.race([woken, delay(Math.max(1, untilMs - performance.now()))])
    }
    return this.#packets.shift() as never
  }

  write (packet: Packet): void { this.raw.write(generate(packet, { protocolVersion: this.version })) }

  publish (payload: string | Buffer, { topic = 'iot-events', qos = 1 as 0 | 1, messageId = 1 } = {}): void {
    this.write({ cmd: 'publish', topic, payload, qos, messageId, dup: false, retain: false })
  }

  end (): void { this.raw.end() }
}

export function connectPacket (protocolVersion: 4 | 5, clientId: string, token: string, keepalive = 60): Buffer {
  return generate({
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion,
    clean: true,
    clientId,
    keepalive,
    username: 'device',
    password: Buffer.from(token)
  } as IConnectPacket, { protocolVersion })
}
