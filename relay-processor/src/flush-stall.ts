import { unstoredOf, type Partition } from './partition.ts'

/**
 * Data that the log has had for too long without the database having it. This detects any kind of hang.
 * @param unclaimedSinceMs by partition that the log assigns to us and that is not claimed
 * @param limitMs FLUSH_STALLED_MS
 * @returns for people; undefined: none
 */
export function describeStall (
  partitions: Iterable<Partition>, unclaimedSinceMs: ReadonlyMap<number, number>, limitMs: number, steadyMs: number
): string | undefined {
  const sinceMs = steadyMs - limitMs
  const behind = [...partitions].filter(it => it.behindSinceMs !== undefined && it.behindSinceMs < sinceMs)
  const unclaimed = [...unclaimedSinceMs].filter(([, atMs]) => atMs < sinceMs).map(([number]) => number)
  const said: string[] = []
  if (behind.length > 0) {
    const records = behind.reduce((sum, it) => sum + unstoredOf(it), 0)
    said.push(`no flush for over ${limitMs} ms, and the log has ${records} unread records in ` +
      `partitions ${behind.map(it => it.partition).join(', ')}`)
  }
  if (unclaimed.length > 0) said.push(`could not claim partitions ${unclaimed.join(', ')} for over ${limitMs} ms`)
  return said.length > 0 ? said.join('; ') : undefined
}
