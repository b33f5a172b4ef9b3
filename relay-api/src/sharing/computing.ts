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
