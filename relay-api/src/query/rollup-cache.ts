/**
 * Rollups of blocks of the past, kept in memory: decoding and merging what PostgreSQL has of them is most of the work
 * of an answer for a zone or a type.
 *
 * Late events may change any of it at any time, so a block is never taken on trust. It knows its *position*: the oldest
 * transaction that was under way in the snapshot it was read in (`pg_snapshot_xmin`). All older ones are in it; whatever
 * was committed later has written into `rollup_commits` what it changed, under its own number. A statement that uses
 * blocks asks for the commits since their positions, in its own snapshot; those that are hit go, and are read anew.
 *
 * A position is a number of one history of the database (`database-history.ts`). In another one all blocks go.
 */
import { LRUCache } from 'lru-cache'
import type { Rollup, TimeRange } from 'relay-common'

import { blocksAround, type Block } from './blocks.ts'

/** What a block holds: the readings of a selection, from all series and source partitions. Not to be changed. */
export interface BlockContent {
  readonly rollup: Rollup
  readonly zones: ReadonlySet<string>
  readonly deviceTypes: ReadonlySet<string>
}

export interface KeptBlock extends BlockContent {
  readonly block: Block
  /** every transaction before this one is in it, or has not changed it */
  position: bigint
  readonly historyId: string
  /** when that was last found out, on our clock */
  checkedMs: number
}

/** Of a snapshot: see `Moment`. */
export interface ReadMoment {
  readonly position: bigint
  readonly historyId: string | null
}

export interface RollupCache {
  /** A block that was found to be right not long ago; it may be wrong by now. */
  find (selectionKey: string, block: Block, nowMs: number): KeptBlock | undefined
  /** Keeps a block, unless it is likely to change soon. */
  keep (selectionKey: string, block: Block, content: BlockContent, moment: ReadMoment, nowMs: number): void
  /** A kept block was right at this position as well. */
  confirm (kept: KeptBlock, position: bigint, nowMs: number): void
  /** A kept block is not right any more: some of its buckets have changed. */
  drop (selectionKey: string, kept: KeptBlock, changed: readonly TimeRange[], nowMs: number): void
  /** The database is of another history than some of them. */
  clear (): void
}

/**
 * The commits of that time are still there for sure: `announce_rollups` keeps them for twice as long, and a transaction
 * is not open for the difference.
 */
const CHECKED_WITHIN_MS = 10 * 60_000

/** A bucket that has just been changed behind its time is likely to be again: late events come in crowds. */
const RESTLESS_MS = 60_000
const RESTLESS_MAX = 10_000

/** Objects, sets and the sums of a rollup, and what a key and its count take, roughly. */
const BLOCK_BYTES = 800
const KEY_BYTES = 24

export function createRollupCache (maxBytes: number): RollupCache {
  if (maxBytes === 0) return { find: () => undefined, keep: () => {}, confirm: () => {}, drop: () => {}, clear: () => {} }
  const blocks = new LRUCache<string, KeptBlock>({ maxSize: maxBytes, sizeCalculation: sizeOf })
  /** buckets that were changed behind their time, by their own keys: until when they are not kept */
  const restless = new LRUCache<string, number>({ max: RESTLESS_MAX })

  const isRestless = (selectionKey: string, { level, startMs, endMs }: Block, nowMs: number) => {
    if (endMs > nowMs - level.sizeMs) return true
    if (restless.size === 0) return false
    for (let atMs = startMs; atMs < endMs; atMs += level.sizeMs) {
      const untilMs = restless.get(keyOf(selectionKey, { level, startMs: atMs, power: 0 }))
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
      if (historyId === null || isRestless(selectionKey, block, nowMs)) return
      blocks.set(keyOf(selectionKey, block), { block, rollup, zones, deviceTypes, position, historyId, checkedMs: nowMs })
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
          // also its halves and theirs: the next attempt would find them changed, one after the other
          for (const around of blocksAround(level, atMs)) blocks.delete(keyOf(selectionKey, around))
          restless.set(keyOf(selectionKey, { level, startMs: atMs, power: 0 }), nowMs + RESTLESS_MS)
        }
      }
    },
    clear () {
      blocks.clear()
      restless.clear()
    }
  }
}

function keyOf (selectionKey: string, { level, startMs, power }: Pick<Block, 'level' | 'startMs' | 'power'>): string {
  return `${level.name} ${power} ${startMs} ${selectionKey}`
}

function sizeOf ({ rollup }: KeptBlock): number {
  return BLOCK_BYTES + rollup.digest.keys.length * KEY_BYTES
}
