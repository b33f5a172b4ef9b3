/** Lets one loop wait until there is something to do. A call while nobody waits is kept for the next wait. */
export class Wakeup {
  #isDue = false
  #end: (() => void) | undefined

  wake (): void {
    this.#isDue = true
    this.#end?.()
  }

  /** Resolves after a wake() since the last wait, after `limitMs`, or when `signal` aborts. */
  async wait (limitMs: number, signal?: AbortSignal): Promise<void> {
    if (!this.#isDue && !signal?.aborted) {
      await new Promise<void>(resolve => {
        const end = () => {
          clearTimeout(timer)
          signal?.removeEventListener('abort', end)
          resolve()
        }
        const timer = setTimeout(end, limitMs)
        signal?.addEventListener('abort', end)
        this.#end = end
      })
      this.#end = undefined
    }
    this.#isDue = false
  }
}
