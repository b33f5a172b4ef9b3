/** What a resuming client gets first: the changes that it missed since its last event id, or a reset. */
import type { Database } from 'relay-common'

import { collectChanges, readChangedBuckets } from './changed-buckets.ts'
import { readChanges } from './commits.ts'
import { renderChanges, renderOpen, renderReset } from './message.ts'
import { parsePosition, whyNotResumable, type CurrentPosition } from './position.ts'
import type { View } from './view.ts'

/**
 * @param lastId as the client sends it
 * @param now position of the database before this call: the changes up to it are included
 */
export async function renderMissed (
  database: Database, view: View, lastId: string, now: CurrentPosition
): Promise<string> {
  const since = parsePosition(lastId)
  const reason = since ? whyNotResumable(since, now) : 'unknown event id'
  if (!since || reason !== undefined) return renderReset(reason!, now) + renderOpen(now)
  const ids = new Set(view.seriesIds)
  const commits = await readChanges(database, since, view.query.levelIndex, [...ids])
  const missed = collectChanges(commits, [view], it => ids.has(it) ? [view] : [])
  const contents = await readChangedBuckets(database, missed)
  return [...missed].map(([view, it]) => renderChanges(view, it, contents)).join('') + renderOpen(now)
}
