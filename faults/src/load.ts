/**
 * Steady load on the topic, from a producer that tracks acknowledgements. A failed send may have arrived: its records
 * are resent until they are acknowledged, as any careful producer does.
 */
import { setTimeout as delay } from 'node:timers/promises'

import type { Logger } from 'relay-common'
import type { EventLog, EventProducer, ProducedRecord } from 'relay-event-log'

import type { EventSource } from './events.ts'

export interface LoadSettings {
  readonly eventLog: EventLog
  readonly topic: string
  readonly source: EventSource
  readonly eventsPerSecond: number
  readonly log: Logger
}

const TICK_MS = 50
/** pending sends above which the fleet waits, like devices with a full buffer */
const IN_FLIGHT_MAX = 40
const RETRY_DELAY_MS = 200

export class Load {
  readonly #settings: LoadSettings
  readonly #inFlight = new Set<Promise<void>>()
  readonly #closing = new AbortController()
  readonly #resent = new Set<number>()
  #producer: EventProducer
  #ticking: NodeJS.Timeout | undefined
  #owed = 0
  #acknowledged = 0

  private constructor (settings: LoadSettings, producer: EventProducer) {
    this.#settings = settings
    this.#producer = producer
  }

  static async open (settings: LoadSettings): Promise<Load> {
    return new Load(settings, await settings.eventLog.openProducer())
  }

  /** records that are certainly in the topic */
  get acknowledged (): number { return this.#acknowledged }

  /** records that were sent more than once */
  get resent (): number { return this.#resent.size }

  /** Whether a record was resent, because its first send failed. */
  wasResent (number: number): boolean { return this.#resent.has(number) }

  resume (): void {
    this.#ticking ??= setInterval(() => this.#tick(), TICK_MS)
  }

  /** Stops sending, and waits until everything sent is acknowledged. */
  async pause (): Promise<void> {
    clearInterval(this.#ticking)
    this.#ticking = undefined
    await Promise.all(this.#inFlight)
  }

  /** Continues with a new producer, which knows the current number of partitions. */
  async renewProducer (): Promise<void> {
    const isRunning = this.#ticking !== undefined
    await this.pause()
    await this.#producer.close()
    this.#producer = await this.#settings.eventLog.openProducer()
    if (isRunning) this.resume()
  }

  async close (): Promise<void> {
    this.#closing.abort()
    clearInterval(this.#ticking)
    await this.#producer.close()
    await Promise.all(this.#inFlight)
  }

  #tick (): void {
    this.#owed = Math.min(this.#owed + this.#settings.eventsPerSecond * TICK_MS / 1_000, this.#settings.eventsPerSecond)
    if (this.#inFlight.size >= IN_FLIGHT_MAX || this.#owed < 1) return
    const first = this.#settings.source.count
    const records = Array.from({ length: Math.floor(this.#owed) }, () => this.#settings.source.next())
    this.#owed -= records.length
    const sending = this.#send(first, records).finally(() => this.#inFlight.delete(sending))
    this.#inFlight.add(sending)
  }

  async #send (first: number, records: readonly ProducedRecord[]): Promise<void> {
    const { topic, log } = this.#settings
    while (!this.#closing.signal.aborted) {
      try {
        await this.#producer.send(topic, records)
        this.#acknowledged += records.length
        return
      } catch (error) {
        if (this.#closing.signal.aborted) return
        log.warn({ reason: (error as Error).message }, 'a send failed; its records are sent again')
        for (let n = 0; n < records.length; n++) this.#resent.add(first + n)
        await delay(RETRY_DELAY_MS, undefined, { signal: this.#closing.signal }).catch(() => {})
      }
    }
  }
}
