/** Computing: how long an answer has computed, as seen from the steps of its loops. What it waited for is not a part of that. */

/** A longer step was a wait for PostgreSQL, or for others, and at most so much computation. */
const STEP_MAX_MS = 2

export class Computing {
  #steppedMs: number
  #pieceMs = 0
  #totalMs = 0

  constructor (nowMs: number) { this.#steppedMs = nowMs }

  get totalMs (): number { return this.#totalMs }
  /** since the piece before */
  get pieceMs (): number { return this.#pieceMs }

  /** To be called from step to step. */
  step (nowMs: number): void {
    const tookMs = Math.min(nowMs - this.#steppedMs, STEP_MAX_MS)
    this.#steppedMs = nowMs
    this.#pieceMs += tookMs
    this.#totalMs += tookMs
  }

  endPiece (): void { this.#pieceMs = 0 }

  /** Goes on after a wait that everybody knows of. */
  goOn (nowMs: number): void { this.#steppedMs = nowMs }
}
