/**
 * Sends known readings like any client, and queries them until they are visible.
 *
 *     reading ──POST──▶ accepted ──ask for it, again and again──▶ there ──ask for all of the last minutes──▶ exact
 *        └── not taken: sent again with the next one           └── not in time: missing
 *
 * A reading without an answer is resent with the next one, in the same bytes, as devices do; it counts once. Until it
 * is accepted its state is unknown, and the last minutes are not compared.
 */
import { setTimeout as delay } from 'node:timers/promises'

import type { RelayClient } from '@relay-telemetry/client/src/index.ts'

import { failureOf } from './api.ts'
import {
  differenceOf, eventOf, numbersOf, readingAt, STATISTICS, type Numbers, type ProbeDevice, type Reading
} from './probe-readings.ts'

export const probeResults = ['ok', 'missing', 'different', 'failed'] as const

export interface ProbeRound {
  readonly result: typeof probeResults[number]
  readonly reading: Reading
  /** from sending the reading to the first answer with it, ms; undefined: none */
  readonly latencyMs?: number
  /** what is wrong, for people; undefined: nothing */
  readonly detail?: string
}

export interface ProberSettings {
  readonly device: ProbeDevice
  /** time in which a reading must become visible */
  readonly withinMs: number
}

/** Range that each round compares, to detect readings that are lost, doubled or changed later. */
const COMPARED_MS = 10 * 60_000
const ASK_INTERVAL_MIN_MS = 100
const ASK_INTERVAL_MAX_MS = 1_000
/** longer than the API takes to refuse a request */
const REQUEST_TIMEOUT_MS = 15_000

export class Prober {
  readonly #relay: RelayClient
  readonly #settings: ProberSettings
  /** accepted, in the order of their times */
  #accepted: Reading[] = []
  /** perhaps sent, in the order of their times */
  #unsure: Reading[] = []
  #lastMs = 0

  constructor (relay: RelayClient, settings: ProberSettings) {
    this.#relay = relay
    this.#settings = settings
  }

  /** One round with one reading. @param signal ends it; it throws then */
  async round (signal: AbortSignal): Promise<ProbeRound> {
    this.#lastMs = Math.max(Date.now(), this.#lastMs + 1)
    const reading = readingAt(this.#settings.device, this.#lastMs)
    const startedMs = performance.now()
    const fromMs = reading.timeMs - COMPARED_MS
    this.#accepted = this.#accepted.filter(it => it.timeMs >= fromMs)
    this.#unsure = [...this.#unsure.filter(it => it.timeMs >= fromMs), reading]
    try {
      const refused = await this.#send(signal)
      if (refused !== undefined) return { result: 'failed', reading, detail: refused }
    } catch (error) {
      return { result: 'failed', reading, detail: `not accepted: ${this.#messageOf(error, signal)}` }
    }
    const until = performance.now() + this.#settings.withinMs
    const own = await this.#compare([reading], until, signal)
    if (own.result !== 'ok') return { ...own, reading }
    const latencyMs = performance.now() - startedMs
    const all = await this.#compare(this.#accepted, until, signal)
    return { ...all, reading, latencyMs }
  }

  /** @returns why the API refuses; undefined: everything is accepted */
  async #send (signal: AbortSignal): Promise<string | undefined> {
    const sent = this.#unsure
    const { data, error } = await this.#relay.POST('/api/v1/events', {
      headers: { 'content-type': 'application/x-ndjson' },
      bodySerializer: () => sent.map(it => eventOf(this.#settings.device, it)).join('\n'),
      body: [],
      signal: AbortSignal.any([signal, AbortSignal.timeout(REQUEST_TIMEOUT_MS)])
    })
    const { refused } = (data ?? error) as { refused?: Array<{ index: number, reason: string, detail: string }> }
    if (refused === undefined) throw failureOf(error)
    this.#unsure = []
    const isRefused = new Set(refused.map(it => it.index))
    this.#accepted.push(...sent.filter((_, index) => !isRefused.has(index)))
    this.#accepted.sort((a, b) => a.timeMs - b.timeMs)
    return refused.length === 0 ? undefined : `refused: ${refused[0].reason} ${refused[0].detail}`
  }

  /** Queries until an answer is as expected, is wrong, or time is up. */
  async #compare (
    readings: readonly Reading[], until: number, signal: AbortSignal
  ): Promise<Pick<ProbeRound, 'result' | 'detail'>> {
    const expected = numbersOf(readings)
    const range = { startMs: readings[0].timeMs, endMs: readings[readings.length - 1].timeMs + 1 }
    for (let waitMs = ASK_INTERVAL_MIN_MS; ; waitMs = Math.min(2 * waitMs, ASK_INTERVAL_MAX_MS)) {
      let outcome: Pick<ProbeRound, 'result' | 'detail'>
      try {
        const found = await this.#ask(range, signal)
        const detail = differenceOf(expected, found)
        if (detail === undefined) return { result: 'ok' }
        // too few may become complete in a moment; as many or more will not
        outcome = {
          result: found.count < expected.count ? 'missing' : 'different', detail: `${detail}, ${rangeOf(range)}`
        }
      } catch (error) {
        outcome = { result: 'failed', detail: `not answered: ${this.#messageOf(error, signal)}` }
      }
      if (outcome.result === 'different' || performance.now() + waitMs > until) return outcome
      await delay(waitMs, undefined, { signal })
    }
  }

  async #ask ({ startMs, endMs }: Range, signal: AbortSignal): Promise<Numbers> {
    const { deviceId, zone, deviceType } = this.#settings.device
    const { data, error, response } = await this.#relay.GET('/api/v1/aggregates', {
      params: {
        query: {
          device: [deviceId],
          zone: [zone],
          type: [deviceType],
          start: new Date(startMs).toISOString(),
          end: new Date(endMs).toISOString(),
          interval: 'range',
          stats: STATISTICS
        }
      },
      signal: AbortSignal.any([signal, AbortSignal.timeout(REQUEST_TIMEOUT_MS)])
    })
    if (data === undefined) throw failureOf(error)
    const staleSince = response.headers.get('relay-stale-since')
    if (staleSince !== null) throw new Error(`the answer is stale, of ${staleSince}`)
    const [row] = (data as { rows: Array<Record<string, number> & { firstTime?: string, lastTime?: string }> }).rows
    if (row === undefined) return { count: 0 }
    const { count, sum, avg, min, max, first, last, firstTime, lastTime } = row
    return {
      count,
      sum,
      avg,
      min,
      max,
      first,
      firstMs: Date.parse(String(firstTime)),
      last,
      lastMs: Date.parse(String(lastTime))
    }
  }

  /** @throws the reason of the signal, if that ended it */
  #messageOf (error: unknown, signal: AbortSignal): string {
    signal.throwIfAborted()
    const { message, cause } = error as Error
    return message === 'fetch failed'
      ? `no connection to the API (${(cause as { code?: string })?.code ?? String(cause)})`
      : message
  }
}

interface Range {
  readonly startMs: number
  readonly endMs: number
}

function rangeOf ({ startMs, endMs }: Range): string {
  return `from ${new Date(startMs).toISOString()} to before ${new Date(endMs).toISOString()}`
}
