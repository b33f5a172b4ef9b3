/** Asker: the caller that an answer is read for, with its share of common resources. Every step of reading gets one. */
import { RelayError, type ForWhom } from 'relay-common'

export interface Asker extends ForWhom {
  /**
   * Call it in every loop that may compute for long.
   * @returns undefined: continue; otherwise a promise to await, so that others get a turn of the event loop
   * @throws if nobody waits for the answer
   */
  pace (): Promise<void> | undefined
  /** Counts rows read from tables, and rows of the answer that were looked for. */
  countRead (rows: number): void
  /** whether it is below the limit of an answer */
  readonly mayReadOn: boolean
  /** number of rows counted so far */
  readonly rowsRead: number
  /** most series that may be looked up for it one by one */
  readonly seriesMax: number
  /**
   * Marks the answer as long: it takes many statements, or a stream. @throws RelayError RELAY_BUDGET_EXCEEDED,
   * RELAY_ANSWERS_BUSY
   */
  becomeLong (): void
}

/** A single caller without limits, such as a test. */
export const nobody: Asker = {
  pace: () => undefined, countRead: () => {}, mayReadOn: true, rowsRead: 0, seriesMax: Infinity, becomeLong: () => {}
}

/** The error of an answer that can't be paged and exceeds the limit of rows. */
export function tooMuchToRead (): RelayError {
  return new RelayError('RELAY_TOO_MANY_POINTS', 'the answer would read too many rollups ' +
    '(ANSWER_ROWS_MAX); use a shorter range, longer intervals, or fewer devices, ' +
      'zones or types', { parameter: 'start' })
}

/** The error if there are too many devices to read one by one. */
export function tooManySeries (max: number): RelayError {
  return new RelayError('RELAY_TOO_MANY_POINTS', `the answer would read more than ${max} device series one by one ` +
    '(ANSWER_SERIES_MAX), because you may see only some devices of a zone; select fewer zones or types, or ' +
      'name devices', { parameter: 'zone' })
}
