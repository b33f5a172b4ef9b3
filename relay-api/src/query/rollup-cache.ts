/**
 * Cache of merged rollups of past blocks: decoding and merging their rows is most of the work of an answer for a zone
 * or a type.
 *
 * Late events may change a block at any time, so each use checks it. A block has a *position*: the oldest transaction
 * in progress in the snapshot that it was read from (`pg_snapshot_xmin`). It includes all older transactions. Later
 * ones recorded their changes in `rollup_commits` under their own number. A statement that uses blocks also reads the
 * commits since their positions, in its own snapshot. Changed blocks are dropped and read again, and so are blocks
 * whose commits may be deleted (migration 0031).
 *
 * A position belongs to one history of the database (`database-history.ts`). Another history clears the cache.
 */
import { LRUCache } from 'lru-cache'
import type { TimeRange } from 'relay-rollups'

import { blocksAround, type CacheBlock } from './blocks.ts'
import type { Tally } from './merge.ts'

/** A cached block, its tally over all series and source partitions; not to be changed. */
export interface KeptBlock extends Tally {
  readonly block: CacheBlock
  /** every transaction before this one is in it, or did not change it */
  position: bigint
  readonly historyId: string
  /** when a read last found that no later transaction changed it; by the clock of this process */
  checkedMs: number
}

/** The moment of the snapshot that a block was read in: see `Moment` (read-rows.ts). */
export interface ReadMoment {
  readonly position: bigint
  readonly historyId: string | null
}

export interface RollupCache {
  /** A block that was checked recently; it may have changed since. */
  find (selectionKey: string, block: CacheBlock, nowMs: number): KeptBlock | undefined
  /** Stores a block, unless it is likely to change soon. */
  keep (selectionKey: string, block: CacheBlock, content: Tally, moment: ReadMoment, nowMs: number): void
  /** Records that a block is still right at this position. */
  confirm (kept: KeptBlock, position: bigint, nowMs: number): void
  /** Drops a block of which some buckets changed. */
  drop (selectionKey: string, kept: KeptBlock, changed: readonly TimeRange[], nowMs: number): void
  /** Drops all blocks, after a change of the history. */
  clear (): void
}

/**
 * Commits of that time still exist, unless a clock jumps (`rollup_commit_marks`). A use of an older block would only
 * find that they are gone.
 */
const CHECKED_WITHIN_MS = 10 * 60_000

/** A past bucket that just changed is likely to change again: late events come in groups. */
const RECENTLY_CHANGED_MS = 60_000
const RECENTLY_CHANGED_MAX = 10_000

/** Approximate sizes: objects, sets and sums of a rollup; a digest key with its count. */
const BLOCK_BYTES = 800
const KEY_BYTES = 24

export function createRollupCache (maxBytes: number): RollupCache {
  if (maxBytes === 0) {
    return { find: () => undefined, keep: () => {}, confirm: () => {}, drop: () => {}, clear: () => {} }
  }
  const blocks = new LRUCache<string, KeptBlock>({ maxSize: maxBytes, sizeCalculation: sizeOf })
  /** past buckets that changed, by their own keys: until when they are not cached */
  const recentlyChanged = new LRUCache<string, number>({ max: RECENTLY_CHANGED_MAX })

  const mayChangeSoon = (selectionKey: string, { level, startMs, endMs }: CacheBlock, nowMs: number) => {
    if (endMs > nowMs - level.sizeMs) return true
    if (recentlyChanged.size === 0) return false
    for (let atMs = startMs; atMs < endMs; atMs += level.sizeMs) {
      const untilMs = recentlyChanged.get(keyOf(selectionKey, { level, startMs: atMs, power: 0 }))
      if (untilMs !== undefined && untilMs > nowMs) return true
    }
    return false
  }

  return {
    find (selectionKey, block, nowMs) {
      const kept = blocks.get(keyOf(selectionKey, block))
      return kept !== undefined && kept.checkedMs > nowMs - CHECKED_WITHIN_MS ? kept : undefined
    },
    keep (selectionKey, block, { rollup, zones, deviceTypes }, { position, historyId }, nowMs) {
      if (historyId === null || mayChangeSoon(selectionKey, block, nowMs)) return
      blocks.set(
        keyOf(selectionKey, block), { block, rollup, zones, deviceTypes, position, historyId, checkedMs: nowMs }
      )
    },
    confirm (kept, position, nowMs) {
      if (position < kept.position) return
      kept.position = position
      kept.checkedMs = nowMs
    },
    drop (selectionKey, { block }, changed, nowMs) {
      const { level } = block
      for (const { startMs, endMs } of changed) {
        const lastMs = Math.min(endMs, block.endMs)
        for (let atMs = Math.max(startMs, block.startMs); atMs < lastMs; atMs += level.sizeMs) {
          // also its halves and theirs: the next attempt would find them changed one by one
          for (const around of blocksAround(level, atMs)) blocks.delete(keyOf(selectionKey, around))
          recentlyChanged.set(keyOf(selectionKey, { level, startMs: atMs, power: 0 }), nowMs + RECENTLY_CHANGED_MS)
        }
      }
    },
    clear () {
      blocks.clear()
      recentlyChanged.clear()
    }
  }
}

function keyOf (
  selectionKey: string, { level, startMs, power }: Pick<CacheBlock, 'level' | 'startMs' | 'power'>
): string {
  return `${level.name} ${power} ${startMs} ${selectionKey}`
}

function sizeOf ({ rollup }: KeptBlock): number {
  return BLOCK_BYTES + rollup.digest.keys.length * KEY_BYTES
}
