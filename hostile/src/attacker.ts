/**
 * The tools of an attack: HTTP requests and sockets (sockets.ts) from its own addresses. Linux answers on all of
 * 127.0.0.0/8, so each attack has a new address for all limits. The honest client has 127.0.0.1 for itself, unless the
 * attack is about a shared address.
 */
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'

import type { Chance } from 'relay-test-support/chance.ts'
import { BODY_KEPT_BYTES, connectPacket, MqttSocket, RawSocket, type LastingSocket } from './sockets.ts'

/** What an attacker knows of the site. */
export interface Target {
  readonly apiPort: number
  readonly mqttPort: number
  readonly issuerPort: number
  /** port of a second API process that logs at level debug */
  readonly debugPort?: number
  /** the attack's own key; empty: none */
  readonly token: string
  /** of an administrator, for attacks by typing errors */
  readonly adminToken: string
}

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
  readonly ms: number
}

export interface Ask {
  readonly method?: string
  readonly path: string
  /** default: the attack's own key; empty: none */
  readonly token?: string
  readonly headers?: Record<string, string | string[]>
  readonly body?: string | Buffer
  readonly port?: number
  /** default: the attack's own address */
  readonly from?: string
  readonly timeoutMs?: number
  /** the client disconnects after this time */
  readonly leaveAfterMs?: number
}

export interface MqttAsk {
  readonly version?: 4 | 5
  readonly token?: string
  readonly clientId?: string
  readonly from?: string
  readonly keepalive?: number
}

const HOST = '127.0.0.1'
const TIMEOUT_MS = 20_000
/** Slower answers are reported with the attack. */
const TOLD_MS = 3_000

export class Attacker {
  readonly target: Target
  readonly chance: Chance
  /** number of requests of a generating attack */
  readonly generated: number
  readonly #spanMs: number
  readonly #startedMs = performance.now()
  readonly #broken = new Map<string, number>()
  readonly #slow = new Set<string>()
  readonly #sockets = new Set<Socket>()
  readonly #lasting = new Set<LastingSocket>()
  readonly #codes: Record<string, number> = {}
  #requests = 0
  #slowestMs = 0
  #addresses = 0
  /** of the attempt: it has unique addresses and names */
  readonly number: number
  note = ''

  constructor (target: Target, chance: Chance, spanMs: number, number: number, generated: number) {
    this.target = target
    this.chance = chance
    this.#spanMs = spanMs
    this.number = number
    this.generated = generated
  }

  get isOver (): boolean { return performance.now() - this.#startedMs >= this.#spanMs }

  /** the address of this attack */
  get address (): string { return `127.${10 + this.number % 200}.0.1` }

  /** an address that was not used before */
  freshAddress (): string {
    const n = ++this.#addresses
    return `127.${10 + this.number % 200}.${1 + Math.floor(n / 250) % 250}.${1 + n % 250}`
  }

  async pause (ms: number): Promise<void> { await delay(ms) }

  /** Records a broken promise; repetitions are counted. */
  broken (what: string): void { this.#broken.set(what, (this.#broken.get(what) ?? 0) + 1) }

  expect (holds: boolean, what: string): void { if (!holds) this.broken(what) }

  /** Records a promise about time, which a busy machine may also break. */
  expectWithin (ms: number, maxMs: number, what: string): void {
    if (ms > maxMs) this.#slow.add(`${what} took over ${maxMs / 1_000} s`)
  }

  /** Counts requests that are made by hand on a socket. */
  count (outcome: string | number, requests = 1): void {
    this.#requests += requests
    this.#codes[outcome] = (this.#codes[outcome] ?? 0) + requests
  }

  result () {
    const broken = [...this.#broken].map(([what, times]) => times === 1 ? what : `${what} (${times} times)`)
    return { requests: this.#requests, codes: this.#codes, broken, slow: [...this.#slow], note: this.note }
  }

  /** Connections that were left open on purpose. */
  get lasting (): readonly LastingSocket[] { return [...this.#lasting] }

  /** Ends all connections except those that should last. */
  letGo (): void {
    const lasting = new Set([...this.#lasting].map(it => it.socket))
    for (const it of this.#sockets) if (!lasting.has(it)) it.destroy()
  }

  /** Sends an HTTP request on its own connection. A broken connection is an answer with status 0. */
  async ask (ask: Ask): Promise<Answer> {
    const { method = 'GET', path, token = this.target.token, headers = {}, body, port = this.target.apiPort } = ask
    const { promise, resolve } = Promise.withResolvers<Answer>()
    const startedMs = performance.now()
    let isAnswered = false
    const end = (status: number, from: IncomingHttpHeaders = {}, chunks: Buffer[] = []) => {
      if (isAnswered) return
      isAnswered = true
      clearTimeout(leaving)
      this.count(status)
      const answer = { status, headers: from, body: Buffer.concat(chunks), ms: performance.now() - startedMs }
      if (ask.leaveAfterMs === undefined) this.#check(ask, answer)
      resolve(answer)
    }
    const request = httpRequest({
      host: HOST,
      port,
      method,
      path,
      localAddress: ask.from ?? this.address,
      agent: false,
      timeout: ask.timeoutMs ?? TIMEOUT_MS,
      headers: {
        ...token === '' ? {} : { authorization: `Bearer ${token}` },
        ...body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) },
        ...headers
      }
    })
    const leaving = ask.leaveAfterMs === undefined
      ? undefined
      : setTimeout(() => { request.destroy(); end(0) }, ask.leaveAfterMs)
    request.on('socket', socket => this.#track(socket))
    request.on('timeout', () => { request.destroy(); end(0) })
    request.on('error', () => end(0))
    request.on('response', response => {
      const chunks: Buffer[] = []
      let size = 0
      response.on('data', (chunk: Buffer) => { if ((size += chunk.length) <= BODY_KEPT_BYTES) chunks.push(chunk) })
      response.on('end', () => end(response.statusCode!, response.headers, chunks))
      response.on('close', () => end(0))
      response.on('error', () => end(0))
    })
    request.end(body)
    return await promise
  }

  /** Checks that apply to every answer. */
  #check ({ method = 'GET', path }: Ask, { status, headers, ms }: Answer): void {
    const where = `${method} ${path.slice(0, 60)}`
    if (ms > this.#slowestMs) {
      this.#slowestMs = ms
      if (ms > TOLD_MS) this.note = `${(ms / 1_000).toFixed(1)} s for ${method} ${path.slice(0, 90)}`
    }
    if (status >= 500 && status !== 503 && status !== 501 && status !== 505) this.broken(`${status} for ${where}`)
    if ((status === 429 || status === 503) && headers['retry-after'] === undefined) {
      this.broken(`${status} without Retry-After for ${where}`)
    }
    if (status >= 200 && path.startsWith('/api/') && headers['cache-control'] === undefined) {
      const [, resource] = /^(\/api\/(?:v1|events)\/[a-z]*)/.exec(path) ?? []
      this.broken(`status ${status} without Cache-Control for ${method} ${resource ?? 'an unknown address'}`)
    }
  }

  /** `POST /api/v1/events` @param events lines of NDJSON */
  async send (events: string | Buffer, headers: Record<string, string> = {}, more: Partial<Ask> = {}): Promise<Answer> {
    return await this.ask({
      method: 'POST',
      path: '/api/v1/events',
      body: gzipSync(events),
      headers: { 'content-type': 'application/x-ndjson', 'content-encoding': 'gzip', ...headers },
      ...more
    })
  }

  /** A connection to write on by hand. Resolves when it is connected, or was refused (then it is closed). */
  async connect (port: number, from = this.address): Promise<RawSocket> {
    const raw = new RawSocket(connect({ host: HOST, port, localAddress: from, noDelay: true }))
    this.#track(raw.socket)
    await Promise.race([raw.connected, raw.closed])
    return raw
  }

  /** Leaves a connection open when the attack ends: the site must close it. */
  last (raw: RawSocket): void { this.#lasting.add({ socket: raw.socket, openedMs: raw.openedMs, raw }) }

  /** Logs in over MQTT. @returns undefined: refused */
  async mqtt (ask: MqttAsk = {}): Promise<MqttSocket | undefined> {
    const {
      version = 5, token = this.target.token, clientId = `c${this.#requests}-${this.chance.below(1e9)}`, keepalive = 60
    } = ask
    const raw = await this.connect(this.target.mqttPort, ask.from)
    const mqtt = new MqttSocket(raw, version)
    raw.write(connectPacket(version, clientId, token, keepalive))
    const answer = await mqtt.next(5_000)
    const refused = answer?.reasonCode || answer?.returnCode || 0
    this.count(answer === undefined ? 'closed' : `connack ${refused}`)
    return answer?.cmd === 'connack' && refused === 0 ? mqtt : undefined
  }

  #track (socket: Socket): void {
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
  }
}

let made = 0

/** One event as JSON, with a time in the last half minute. */
export function eventOf (deviceId: string, zone: string, more: Record<string, unknown> = {}): string {
  return JSON.stringify({
    deviceId,
    deviceType: 'THERMOSTAT',
    zone,
    value: 21.5,
    timestamp: new Date(Date.now() - made++ % 30_000).toISOString(),
    ...more
  })
}
