/**
 * Positions in the commits of rollups, as clients of a stream keep them (`Last-Event-ID`):
 *
 *     1234567-1735689600000      an xid8, and when it was read by the clock of the database, in ms
 *
 * Every transaction before the xid8 had ended then, so whoever goes on from it misses nothing; what was under way then
 * and has been shown since is shown once more.
 */

export interface Position {
  /** of which all earlier transactions have ended */
  readonly xactId: bigint
  readonly timeMs: number
}

export function renderPosition ({ xactId, timeMs }: Position): string {
  return `${xactId}-${timeMs}`
}

/** @returns undefined: not a position */
export function parsePosition (text: string): Position | undefined {
  const parts = /^(\d{1,19})-(\d{1,15})$/.exec(text)
  return parts ? { xactId: BigInt(parts[1]), timeMs: Number(parts[2]) } : undefined
}

/** Commits are dropped after 20 minutes (migration 0005); none is under way for as long as the difference. */
const RESUMABLE_MS = 10 * 60_000

/** Whether all commits since a position are there still. @param now where the database is now */
export function isResumable (position: Position, now: Position & { readonly nextXactId: bigint }): boolean {
  // a database that was restored elsewhere counts its transactions anew
  return now.timeMs - position.timeMs <= RESUMABLE_MS && position.xactId <= now.nextXactId
}
