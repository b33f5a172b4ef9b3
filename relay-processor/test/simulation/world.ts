/**
 * Simulated time. Everything that happens is an event at a time; events run one after the other, and the next one only
 * when all that the last one set off has come to rest. Times have chance in them, so the order has; one seed, one order.
 */
import { setImmediate as rest } from 'node:timers/promises'

import { Chance } from '../../../test-support/chance.ts'

interface Event {
  readonly atMs: number
  /** events of one moment run in the order in which they were scheduled */
  readonly number: number
  readonly what: string
  readonly work: () => void
}

const START_MS = Date.parse('2024-06-01T00:00:00Z')

export class World {
  readonly chance: Chance
  /** what has happened, where somebody wants to read it */
  readonly trace: string[] | undefined
  /** how often something happened that is worth having been met */
  readonly counts: Record<string, number> = {}
  #nowMs = START_MS
  #numbers = 0
  /** a heap: the first is the next */
  readonly #events: Event[] = []
  #failure: Error | undefined

  constructor (seed: number, isTraced: boolean) {
    this.chance = new Chance(seed)
    this.trace = isTraced ? [] : undefined
  }

  get nowMs (): number { return this.#nowMs }
  get eventCount (): number { return this.#numbers }

  schedule (delayMs: number, what: string, work: () => void): void {
    this.#push({ atMs: this.#nowMs + delayMs, number: this.#numbers++, what, work })
  }

  /** Resolves after some time, for what is no processor's: servers, faults. */
  sleep (ms: number, what: string): Promise<void> {
    return new Promise(resolve => this.schedule(ms, what, resolve))
  }

  note (what: string): void {
    this.trace?.push(`${(this.#nowMs - START_MS).toFixed().padStart(7)} ms  ${what}`)
  }

  count (what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1
  }

  /** Ends the run: a promise was broken. */
  fail (why: string): void {
    this.note(`BROKEN: ${why}`)
    this.#failure ??= new Error(why)
  }

  /** Runs events until a condition holds. @returns false: the time was up before */
  async run (condition: () => boolean, limitMs: number): Promise<boolean> {
    const deadlineMs = this.#nowMs + limitMs
    while (!condition()) {
      const event = this.#pop()
      if (!event || event.atMs > deadlineMs) {
        if (event) this.#push(event)
        this.#nowMs = deadlineMs
        return false
      }
      this.#nowMs = event.atMs
      if (event.what) this.note(event.what)
      event.work()
      await rest()
      if (this.#failure) throw this.#failure
    }
    return true
  }

  #push (event: Event): void {
    const heap = this.#events
    let at = heap.push(event) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!isBefore(event, heap[parent])) break
      heap[at] = heap[parent]
      at = parent
    }
    heap[at] = event
  }

  #pop (): Event | undefined {
    const heap = this.#events
    const first = heap[0]
    const last = heap.pop()
    if (heap.length === 0 || !last) return first
    let at = 0
    for (let child = 1; child < heap.length; child = 2 * at + 1) {
      if (child + 1 < heap.length && isBefore(heap[child + 1], heap[child])) child++
      if (!isBefore(heap[child], last)) break
      heap[at] = heap[child]
      at = child
    }
    heap[at] = last
    return first
  }
}

function isBefore (a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.number < b.number)
}
