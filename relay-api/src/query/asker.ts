/** Asker: for whom an answer is read, and how much of what all share it may take. Every step of reading is handed one. */
import { RelayError, type ForWhom } from 'relay-common'

export interface Asker extends ForWhom {
  /**
   * To be asked in every loop that may compute for long.
   * @returns undefined: go on; else what to wait for, so that others have their turn of the event loop
   * @throws where the answer is not wanted any more
   */
  pace (): Promise<void> | undefined
  /** Counts rows of the tables that were read, and rows of the answer that were looked for. */
  countRead (rows: number): void
  /** whether it may read on: it has not read as much as one answer may */
  readonly mayReadOn: boolean
  /** how many rows it has counted so far */
  readonly rowsRead: number
  /** most series that may be found for it one by one */
  readonly seriesMax: number
  /** The answer takes many statements, or a stream. @throws RelayError RELAY_BUDGET_EXCEEDED, RELAY_ANSWERS_BUSY */
  becomeLong (): void
}

/** Whoever is alone, such as a test, and has no limits. */
export const nobody: Asker = {
  pace: () => undefined, countRead: () => {}, mayReadOn: true, rowsRead: 0, seriesMax: Infinity, becomeLong: () => {}
}

/** What an answer that can't be cut says where it would have to read more than one may. */
export function tooMuchToRead (): RelayError {
  return new RelayError('RELAY_TOO_MANY_POINTS', 'the answer would read too many rollups ' +
    '(ANSWER_ROWS_MAX); use a shorter range, longer intervals, or fewer devices, zones or types', { parameter: 'start' })
}

/** What it says where there are more devices than may be read one by one. */
export function tooManySeries (max: number): RelayError {
  return new RelayError('RELAY_TOO_MANY_POINTS', `the answer would read more than ${max} device series one by one ` +
    '(ANSWER_SERIES_MAX), because you may see only some devices of a zone; select fewer zones or types, or name devices', { parameter: 'zone' })
}
