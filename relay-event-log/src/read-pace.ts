/**
 * When to read on after everything was read that the log had. Each read costs a request, an answer and a wake-up of
 * cold code, so one read should take the records of many sends; but not so many that its owner has them all at once.
 */
import type { ReadSettings } from './port.ts'

/** a few milliseconds of folding */
const READ_BYTES = 256 * 1024
/** what is unread is no backlog yet, and little enough to be seen by those who watch it */
const DELAY_MAX_MS = 1_000
/** for owners without turns of their own */
const DELAY_MS = 60

/** The pace of one sequence of reads. */
export class ReadPace {
  readonly #readDelayMs: () => number
  #readAtMs: number | undefined

  constructor ({ readDelayMs = () => DELAY_MS }: Pick<ReadSettings, 'readDelayMs'>) {
    this.#readDelayMs = readDelayMs
  }

  /**
   * Call it after each read.
   * @param startedMs when the read was started, by a steady clock
   * @param bytes of its records
   * @param hasAll whether the log had no more
   * @returns time to wait, ms; at the rate of this read, no more than READ_BYTES come meanwhile
   */
  delayMs (startedMs: number, bytes: number, hasAll: boolean): number {
    const elapsedMs = startedMs - (this.#readAtMs ?? startedMs)
    this.#readAtMs = startedMs
    if (bytes === 0 || !hasAll) return 0
    return Math.min(this.#readDelayMs(), elapsedMs * READ_BYTES / bytes, DELAY_MAX_MS)
  }
}
