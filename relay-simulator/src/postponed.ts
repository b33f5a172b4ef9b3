import type { Device } from './fleet.ts'

/** An event that is sent later than it happened. */
export interface PostponedEvent {
  /** when it is to be sent, ms since the epoch */
  readonly dueMs: number
  readonly kind: 'late' | 'duplicate'
  readonly device: Device
  /** when it happened */
  readonly timeMs: number
}

/** Events that wait for their moment, earliest first: a binary heap. */
export class Postponed {
  readonly #heap: PostponedEvent[] = []

  get size (): number { return this.#heap.length }

  /** When the next one is due; Infinity: none waits. */
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

  /** Takes the one that is due first. */
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

/** A total order: what is due in the same ms leaves in the same order, whatever way it came in. */
function isBefore (a: PostponedEvent, b: PostponedEvent): boolean {
  if (a.dueMs !== b.dueMs) return a.dueMs < b.dueMs
  if (a.timeMs !== b.timeMs) return a.timeMs < b.timeMs
  return a.device.deviceId < b.device.deviceId
}
