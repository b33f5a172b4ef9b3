/**
 * Blocks: 2^n buckets of a level that start at a multiple of 2^n buckets. Any range consists of few blocks, at most
 * twice its logarithm, and every block has two halves. So merged blocks serve many ranges.
 */
import { bucketStartMs, type Level } from 'relay-rollups'

import type { BucketRange } from './plan.ts'

export interface CacheBlock extends BucketRange {
  /** it is 2^power buckets long */
  readonly power: number
}

/** 128 days, hours or minutes: longer blocks would save little, and change with each late reading. */
const POWER_MAX = 7

/** The fewest blocks that make up a range of buckets, in the order of time. */
export function blocksOf ({ level, startMs, endMs }: BucketRange): CacheBlock[] {
  const blocks: CacheBlock[] = []
  for (let atMs = startMs; atMs < endMs;) {
    let power = 0
    while (power < POWER_MAX && isBlock(level, atMs, power + 1) && atMs + lengthMs(level, power + 1) <= endMs) power++
    blocks.push(blockAt(level, atMs, power))
    atMs += lengthMs(level, power)
  }
  return blocks
}

/** @param block longer than one bucket */
export function halvesOf ({ level, startMs, power }: CacheBlock): [CacheBlock, CacheBlock] {
  const half = power - 1
  return [blockAt(level, startMs, half), blockAt(level, startMs + lengthMs(level, half), half)]
}

/** All blocks that contain a bucket. */
export function blocksAround (level: Level, bucketMs: number): CacheBlock[] {
  return Array.from({ length: POWER_MAX + 1 }, (_, power) =>
    blockAt(level, bucketStartMs(lengthMs(level, power), bucketMs), power))
}

function blockAt (level: Level, startMs: number, power: number): CacheBlock {
  return { level, power, startMs, endMs: startMs + lengthMs(level, power) }
}

function isBlock (level: Level, startMs: number, power: number): boolean {
  return startMs % lengthMs(level, power) === 0
}

function lengthMs ({ sizeMs }: Level, power: number): number {
  return sizeMs * 2 ** power
}
