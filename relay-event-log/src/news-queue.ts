import { setImmediate as nextTurn } from 'node:timers/promises'

import type { ConsumerNews } from './port.ts'
import { Wakeup } from 'relay-common'

/** Source of records: the entries of a buffer, and a way to remove those of a partition. */
export interface RecordSource {
  take (): ConsumerNews | undefined
  stop (partition: number): void
}

/** how long an owner may work through the buffer before sockets and timers get their turn */
const TURN_MAX_MS = 5

/**
 * The news of a consumer for its owner, in order, for any log. News of the membership comes before records: once a
 * partition is revoked or lost, the buffer has nothing of it.
 */
export class NewsQueue {
  readonly #source: () => RecordSource
  readonly #news: ConsumerNews[] = []
  readonly #wakeup = new Wakeup()
  #failure: unknown
  #isEnded = false
  #turnStartedMs = performance.now()

  /** @param source called at every use, because it is created after the queue that it wakes */
  constructor (source: () => RecordSource) {
    this.#source = source
  }

  add (news: ConsumerNews): void {
    this.#drop(news)
    this.#news.push(news)
    this.wake()
  }

  /** Makes `next` throw after all earlier news were taken. */
  fail (error: unknown): void {
    this.#failure ??= error
    this.wake()
  }

  /** Signals that the source has something. */
  wake (): void {
    this.#wakeup.wake()
  }

  /** Ends the wait of an owner in `next`. */
  end (): void {
    this.#isEnded = true
    this.wake()
  }

  /** `EventConsumer.next`. */
  async next (waitMaxMs: number, signal?: AbortSignal): Promise<ConsumerNews> {
    if (performance.now() - this.#turnStartedMs > TURN_MAX_MS) {
      await nextTurn()
      this.#turnStartedMs = performance.now()
    }
    const deadlineMs = performance.now() + waitMaxMs
    for (;;) {
      const news = this.#poll()
      if (news) return news
      const leftMs = deadlineMs - performance.now()
      if (this.#isEnded || signal?.aborted || leftMs <= 0) return { kind: 'idle' }
      await this.#wakeup.wait(leftMs, signal)
      this.#turnStartedMs = performance.now()
    }
  }

  #poll (): ConsumerNews | undefined {
    const news = this.#news.shift() ?? this.#source().take()
    // the owner may have started a partition after its revocation, which it did not know yet
    if (news) this.#drop(news)
    else if (this.#failure) throw this.#failure
    return news
  }

  #drop (news: ConsumerNews): void {
    if (news.kind !== 'revoked' && news.kind !== 'lost') return
    for (const partition of news.partitions) this.#source().stop(partition)
  }
}
