/**
 * Positions in the commits of rollups, as stored by clients of a stream (`Last-Event-ID`):
 *
 *     1234567-1735689600000-9f3a51c07e2d      an xid8, when it was read by the clock of the database, in ms, and the
 *                                             history that it is a number of (database-history.ts)
 *
 * Every transaction before the xid8 had ended then, so resuming misses nothing; a transaction that was in progress and
 * has been sent since is sent again. resume.ts reads what a client missed.
 */

export interface StreamPosition {
  /** all earlier transactions have ended */
  readonly xactId: bigint
  readonly timeMs: number
  readonly historyId: string
}

/** The position of the database now. */
export interface CurrentPosition extends StreamPosition {
  /** commits of earlier transactions may be deleted (`rollup_commit_marks`) */
  readonly oldestXactId: bigint
}

export function renderPosition ({ xactId, timeMs, historyId }: StreamPosition): string {
  return `${xactId}-${timeMs}-${historyId}`
}

/** @returns undefined: invalid */
export function parsePosition (text: string): StreamPosition | undefined {
  const parts = /^(\d{1,19})-(\d{1,15})-([0-9a-f]{12})$/.exec(text)
  return parts ? { xactId: BigInt(parts[1]), timeMs: Number(parts[2]), historyId: parts[3] } : undefined
}

/** Older clients get everything anew; commits are kept for longer, unless a clock jumps (migration 0031). */
const RESUMABLE_MS = 10 * 60_000

/**
 * @param now current position of the database. @returns why the changes since a position are unknown; undefined: they
 *   are known
 */
export function whyNotResumable (position: StreamPosition, now: CurrentPosition): string | undefined {
  if (position.historyId !== now.historyId) return 'the database was restored, restarted or replaced'
  const isTooOld = now.timeMs - position.timeMs > RESUMABLE_MS || position.xactId < now.oldestXactId
  return isTooOld ? 'the event id is too old' : undefined
}
