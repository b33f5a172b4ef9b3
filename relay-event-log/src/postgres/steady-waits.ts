/**
 * How long states in the database have lasted, by the steady clock of the process that looks at them.
 *
 *     seen first ──its limit is over by the clock of the server──▶ over
 *         └──▶ watched ──looks of this process span its limit──▶ over
 *                  └── another version: lasts from this look on
 *
 * The clock of the server may be set. It only decides about a state that this process sees for the first time: then a
 * group whose processes have all died is taken over at once. If that clock was set back, the state ends one limit
 * later; if it was set forward, no watched state ends.
 *
 * The time between two looks counts up to a maximum. So a pause of this process, or of the server, does not count
 * against others, who could not show a sign of life. After a restart of the server all states start again.
 */
export interface LastingState {
  readonly id: string
  /** changes with every sign of life */
  readonly version: string
  readonly limitMs: number
  /** whether its limit is over by the clock of the server */
  readonly isOverOnServer: boolean
}

export class SteadyWaits {
  readonly #stepMaxMs: number
  #watched: ReadonlyMap<string, { readonly version: string, readonly lastedMs: number }> = new Map()
  #lookedAtMs = 0
  #serverStart: string | undefined

  /** @param stepMaxMs more than the usual time between two looks */
  constructor (stepMaxMs: number) {
    this.#stepMaxMs = stepMaxMs
  }

  /**
   * @param states all that there are; others are forgotten
   * @param nowMs steady clock of this process
   * @param serverStart differs after a restart of the server
   * @returns ids of the states that are over
   */
  look (states: readonly LastingState[], nowMs: number, serverStart: string): ReadonlySet<string> {
    const stepMs = Math.min(nowMs - this.#lookedAtMs, this.#stepMaxMs)
    const isSameRun = serverStart === this.#serverStart
    const watched = new Map<string, { version: string, lastedMs: number }>()
    const over = new Set<string>()
    for (const { id, version, limitMs, isOverOnServer } of states) {
      const before = this.#watched.get(id)
      const lastedMs = before?.version === version && isSameRun ? before.lastedMs + stepMs : 0
      watched.set(id, { version, lastedMs })
      if (before === undefined ? isOverOnServer : lastedMs >= limitMs) over.add(id)
    }
    this.#watched = watched
    this.#lookedAtMs = nowMs
    this.#serverStart = serverStart
    return over
  }
}
