/** Computing time of an answer, derived from the steps of its loops, without waits. */

/** A longer step includes a wait, for PostgreSQL or others, and counts as this much computation. */
const STEP_MAX_MS = 2

export class Computing {
  #steppedMs: number
  #pieceMs = 0
  #totalMs = 0

  constructor (nowMs: number) { this.#steppedMs = nowMs }

  get totalMs (): number { return this.#totalMs }
  /** since the previous piece */
  get pieceMs (): number { return this.#pieceMs }

  /** Call it at every step. */
  step (nowMs: number): void {
    const tookMs = Math.min(nowMs - this.#steppedMs, STEP_MAX_MS)
    this.#steppedMs = nowMs
    this.#pieceMs += tookMs
    this.#totalMs += tookMs
  }

  endPiece (): void { this.#pieceMs = 0 }

  /** Continues after a known wait. */
  goOn (nowMs: number): void { this.#steppedMs = nowMs }
}

/**
 * Looks how long a turn of the event loop goes on. Answers that wait for the same thing, such as a batch of statements,
 * go on in one turn: 40 of them with a piece each would stop the loop for 40 pieces.
 * @returns whether all that computed in this turn has taken `maxMs` together
 */
export function createTurnClock (maxMs: number): (nowMs: number) => boolean {
  let beganMs: number | undefined
  return nowMs => {
    if (beganMs === undefined) {
      beganMs = nowMs
      setImmediate(() => { beganMs = undefined })
    }
    return nowMs - beganMs >= maxMs
  }
}
