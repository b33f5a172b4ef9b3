/**
 * The honest client, a process of its own: sends queries with known answers, sends events over HTTP and MQTT, and
 * checks that answers contain them. It runs the whole time; `cut` ends one window and begins the next.
 *
 * Requests start by the clock, not after the previous one, so that a stall of the site shows in all of them. A request
 * that has waited long when a window is cut belongs to that window.
 */
import { Agent, request as httpRequest } from 'node:http'

import { MqttPublisher } from './mqtt-publisher.ts'

export interface HonestSettings {
  readonly apiPort: number
  /** 0: no MQTT */
  readonly mqttPort: number
  readonly readToken: string
  readonly writeToken: string
  readonly questions: readonly KnownQuestion[]
  /** zone of the events */
  readonly liveZone: string
  /** ms between queries, between events over HTTP, between events over MQTT, between checks of sent events; 0: never */
  readonly everyMs: { readonly question: number, readonly http: number, readonly mqtt: number, readonly look: number }
}

export interface KnownQuestion {
  readonly kind: string
  readonly path: string
  /** the answer; left out: as the first time */
  readonly body?: string
}

/** Observations since the last cut. */
export interface HonestWindow {
  /** ms, by kind of request; `devices`, `send by MQTT` … */
  readonly times: Readonly<Record<string, readonly number[]>>
  readonly failures: readonly string[]
  /** age of the oldest event that was acknowledged but not visible, at the worst check, ms */
  readonly behindMs: number
  readonly acknowledged: number
  readonly visible: number
}

export type HonestOrder = { readonly kind: 'start', readonly settings: HonestSettings } | { readonly kind: 'cut' } | {
  readonly kind: 'stop'
}

const HOST = '127.0.0.1'
const TIMEOUT_MS = 10_000
/** A request that has waited longer than this when a window is cut counts in it, with its time so far. */
const COUNTED_UNDER_WAY_MS = 50
const LIVE_DEVICES = 10

if (import.meta.main) {
  let client: HonestClient | undefined
  process.on('message', (order: HonestOrder) => {
    if (order.kind === 'start') client = new HonestClient(order.settings)
    else if (order.kind === 'stop') client?.stop()
    else process.send!(client!.cut())
  })
  process.on('disconnect', () => process.exit(0))
  process.send?.('ready')
}

interface UnderWay { readonly kind: string, readonly startedMs: number, isCounted: boolean }

class HonestClient {
  readonly #settings: HonestSettings
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 64 })
  readonly #known = new Map<string, string>()
  readonly #underWay = new Set<UnderWay>()
  readonly #timers: NodeJS.Timeout[]
  readonly #runId = Date.now().toString(36)
  readonly #startedMs = Date.now()
  #times: Record<string, number[]> = {}
  #failures = new Map<string, number>()
  /** acknowledgement times of events, in order */
  #acknowledgedMs: number[] = []
  #visible = 0
  #behindMs = 0
  #turn = 0
  #sent = 0
  #lastTimeMs = 0
  #mqtt: MqttPublisher | undefined
  #isStopped = false

  constructor (settings: HonestSettings) {
    this.#settings = settings
    const { everyMs } = settings
    const every = (ms: number, act: () => void) => ms > 0 ? [setInterval(act, ms)] : []
    this.#timers = [
      ...every(everyMs.question, () => this.#askNext()),
      ...every(everyMs.http, () => this.#send()),
      ...every(everyMs.look, () => this.#look())
    ]
    if (settings.mqttPort > 0 && everyMs.mqtt > 0) {
      this.#mqtt = new MqttPublisher(settings.mqttPort, settings.writeToken, it => this.#fail(it))
      this.#timers.push(setInterval(() => this.#publish(), everyMs.mqtt))
    }
  }

  stop (): void {
    this.#isStopped = true
    for (const it of this.#timers) clearInterval(it)
    this.#mqtt?.close()
    // it continues to check, for the last events
    setInterval(() => this.#look(), 500)
  }

  cut (): HonestWindow {
    const nowMs = performance.now()
    for (const it of this.#underWay) {
      const ms = nowMs - it.startedMs
      if (it.isCounted || ms < COUNTED_UNDER_WAY_MS) continue
      it.isCounted = ms > 1_000 // a slower one is reported again when it has failed
      this.#note(it.kind, ms)
    }
    const window = {
      times: this.#times,
      failures: [...this.#failures].map(([what, times]) => times === 1 ? what : `${what} (${times} times)`),
      behindMs: Math.max(this.#behindMs, this.#behind()),
      acknowledged: this.#acknowledgedMs.length,
      visible: this.#visible
    }
    this.#times = {}
    this.#failures = new Map()
    this.#behindMs = 0
    return window
  }

  #note (kind: string, ms: number): void { (this.#times[kind] ??= []).push(Math.round(ms * 100) / 100) }
  #fail (what: string): void { if (!this.#isStopped) this.#failures.set(what, (this.#failures.get(what) ?? 0) + 1) }

  #askNext (): void {
    const { questions, readToken } = this.#settings
    const { kind, path, body } = questions[this.#turn++ % questions.length]
    this.#request(kind, { path, token: readToken }).then(answer => {
      if (answer === undefined) return
      if (answer.status !== 200) return this.#fail(`${kind}: status ${answer.status} ${codeOf(answer.body)}`)
      const found = lastingPartOf(answer.body)
      const known = body ?? this.#known.get(path)
      if (known === undefined) this.#known.set(path, found)
      else if (found !== known) this.#fail(`${kind}: a wrong answer, ${differenceOf(known, found)}`)
    })
  }

  /** A reading of one of a few devices, with a unique time. */
  #nextEvent (): string {
    this.#lastTimeMs = Math.max(this.#lastTimeMs + 1, Date.now())
    const deviceId = `live-${this.#runId}-${this.#sent++ % LIVE_DEVICES}`
    return JSON.stringify({
      deviceId,
      deviceType: 'THERMOSTAT',
      zone: this.#settings.liveZone,
      value: 20 + this.#sent % 10 / 2,
      timestamp: new Date(this.#lastTimeMs).toISOString()
    })
  }

  #send (): void {
    this.#request('send by HTTP', {
      path: '/api/v1/events', token: this.#settings.writeToken, body: this.#nextEvent()
    }).then(answer => {
      if (answer === undefined) return
      if (answer.status === 202) this.#acknowledgedMs.push(Date.now())
      else this.#fail(`send by HTTP: status ${answer.status} ${codeOf(answer.body)}`)
    })
  }

  #publish (): void {
    const underWay = this.#begin('send by MQTT')
    this.#mqtt!.publish(this.#nextEvent()).then(isTaken => {
      this.#end(underWay)
      if (isTaken) this.#acknowledgedMs.push(Date.now())
    }, error => {
      this.#end(underWay)
      this.#fail(`send by MQTT: ${(error as Error).message}`)
    })
  }

  /** Counts the acknowledged events in the answers. */
  #look (): void {
    const { liveZone, readToken } = this.#settings
    const from = new Date(this.#startedMs - 60_000).toISOString()
    const to = new Date(Date.now() + 60_000).toISOString()
    this.#request('look', {
      path: `/api/events/zone/${encodeURIComponent(liveZone)}?startTime=${from}&endTime=${to}`, token: readToken
    }).then(answer => {
      if (answer === undefined || answer.status === 404) return
      if (answer.status !== 200) return this.#fail(`look: status ${answer.status} ${codeOf(answer.body)}`)
      this.#visible = (JSON.parse(answer.body) as { count: number }).count
      this.#behindMs = Math.max(this.#behindMs, this.#behind())
    })
  }

  /** By counts: events become visible in about the order of their acknowledgement. */
  #behind (): number {
    const oldest = this.#acknowledgedMs[this.#visible]
    return oldest === undefined ? 0 : Date.now() - oldest
  }

  #begin (kind: string): UnderWay {
    const underWay = { kind, startedMs: performance.now(), isCounted: false }
    this.#underWay.add(underWay)
    return underWay
  }

  #end (underWay: UnderWay): void {
    this.#underWay.delete(underWay)
    if (!underWay.isCounted) this.#note(underWay.kind, performance.now() - underWay.startedMs)
  }

  /** @returns undefined: it failed, which is recorded */
  async #request (
    kind: string, ask: { path: string, token: string, body?: string }
  ): Promise<{ status: number, body: string } | undefined> {
    const underWay = this.#begin(kind)
    try {
      return await this.#fetch(ask)
    } catch (error) {
      this.#fail(`${kind}: ${(error as { code?: string }).code ?? (error as Error).message}`)
      return undefined
    } finally {
      this.#end(underWay)
    }
  }

  async #fetch (
    { path, token, body }: { path: string, token: string, body?: string }
  ): Promise<{ status: number, body: string }> {
    const { promise, resolve, reject } = Promise.withResolvers<{ status: number, body: string }>()
    const request = httpRequest({
      host: HOST,
      port: this.#settings.apiPort,
      path,
      method: body === undefined ? 'GET' : 'POST',
      agent: this.#agent,
      headers: {
        authorization: `Bearer ${token}`,
        ...body === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) }
      }
    })
    const timer = setTimeout(() => request.destroy(new Error(`no answer within ${TIMEOUT_MS / 1_000} s`)), TIMEOUT_MS)
    request.on('error', error => {
      // a server may close an idle connection just as it is used again; every client retries then
      if (request.reusedSocket && (error as { code?: string }).code === 'ECONNRESET') {
        resolve(this.#fetch({
          path, token, body
        }))
      } else reject(error)
    })
    request.on('response', response => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', chunk => { text += chunk })
      response.on('end', () => resolve({ status: response.statusCode!, body: text }))
      response.on('error', reject)
    })
    request.end(body)
    return await promise.finally(() => clearTimeout(timer))
  }
}

/** An answer without the progress of the partitions, which changes. */
function lastingPartOf (body: string): string {
  return body.replace(/"completeThrough":[^,}]*/, '').replace(/"status":"(?:final|provisional)"/g, '')
}

/** Where two texts start to differ. */
function differenceOf (known: string, found: string): string {
  let at = 0
  while (at < known.length && known[at] === found[at]) at++
  return `…${found.slice(Math.max(0, at - 30), at + 60)} in place of …${known.slice(Math.max(0, at - 30), at + 60)}`
}

function codeOf (body: string): string {
  return /"code":"(\w+)"/.exec(body)?.[1] ?? ''
}
