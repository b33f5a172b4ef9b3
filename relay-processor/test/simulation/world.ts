/**
 * Simulated time. Everything is an event at a time. Events run one by one, each after all effects of the previous one.
 * Times are random, so the order is; one seed, one order.
 */
import { setImmediate as rest } from 'node:timers/promises'

import { Chance } from 'relay-test-support/chance.ts'

interface Event {
  readonly atMs: number
  /** events at one time run in the order of scheduling */
  readonly number: number
  readonly what: string
  readonly work: () => void
}

const START_MS = Date.parse('2024-06-01T00:00:00Z')

export class World {
  readonly chance: Chance
  /** what has happened, if wanted */
  readonly trace: string[] | undefined
  /** counts of events that must occur */
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

  /** Resolves after some time, for servers and faults. */
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

  /** Runs events until a condition holds. @returns false: the time was up */
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
