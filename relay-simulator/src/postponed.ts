import type { Device } from './fleet.ts'

/** An event that is sent later than it happened. */
export interface PostponedEvent {
  /** time of sending, ms since the epoch */
  readonly dueMs: number
  readonly kind: 'late' | 'duplicate'
  readonly device: Device
  /** time of the event */
  readonly timeMs: number
}

/** Waiting events, earliest first: a binary heap. */
export class Postponed {
  readonly #heap: PostponedEvent[] = []

  get size (): number { return this.#heap.length }

  /** Time of the next one; Infinity: none. */
  get nextDueMs (): number { return this.#heap.length === 0 ? Infinity : this.#heap[0].dueMs }

  add (event: PostponedEvent): void {
    const heap = this.#heap
    let at = heap.push(event) - 1
    while (at > 0) {
      const parent = (at - 1) >>> 1
      if (isBefore(heap[parent], event)) break
      heap[at] = heap[parent]
      at = parent
    }
    heap[at] = event
  }

  /** Takes the earliest one. */
  takeNext (): PostponedEvent | undefined {
    const heap = this.#heap
    const first = heap[0]
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return first
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1], heap[child])) child++
      if (isBefore(last, heap[child])) break
      heap[at] = heap[child]
      at = child
    }
    heap[at] = last
    return first
  }
}

/** A total order: events due in the same ms leave in a fixed order, whatever the order of insertion. */
function isBefore (a: PostponedEvent, b: PostponedEvent): boolean {
  if (a.dueMs !== b.dueMs) return a.dueMs < b.dueMs
  if (a.timeMs !== b.timeMs) return a.timeMs < b.timeMs
  return a.device.deviceId < b.device.deviceId
}
