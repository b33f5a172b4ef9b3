import { corrupt, type ByteReader, type ByteWriter } from './bytes.ts'
import {
  arrayOfDoubles, arrayOfIntegers, decodeIntegers, decodeValues, emptyDoubles, encodeIntegers, encodeValues,
  integerScratch
} from './packed-values.ts'

/**
 * The distribution of values inside a rollup, as keys with counts in ascending order. (The limit of single readings per
 * minute is another one: relay-processor, `minute-readings.ts`.)
 *
 *     exact   ── more than 128 distinct values ──▶   sketch, level 0   ── more than 2,048 bins ──▶   level 1 ──▶ …
 *     a key is a value                               a key is a bin                                 bins twice as wide
 *
 * The sketch is a DDSketch (C. Masson, J. E. Rim, H. K. Lee, "DDSketch: A Fast and Fully-Mergeable Quantile Sketch with
 * Relative-Error Guarantees", 2019): bin i holds the magnitudes in (g^(i-1), g^i], g = e^0.01, so its middle is within
 * 0.5 % of all values in it. Zero and negative values have bins of their own. If values span so many magnitudes that
 * there are too many bins, all bins are joined in pairs, which squares g. That loses no values (I. Epicoco et al.,
 * "UDDSketch: Accurate Tracking of Quantiles in Data Streams", 2020), but the error grows, and answers state it
 * (`quantile.ts`).
 *
 * Both steps depend only on the set of distinct values and are never undone, and folding a known value only increments
 * a count. So any order of folding and merging gives the same digest and the same bytes.
 *
 * Hot path: each flush merges the digest of a few readings into six others. Merging 60 values takes less than a
 * microsecond and allocates nothing if their keys exist, which soon is the usual case.
 */
export interface Digest {
  /** EXACT, or how often bins were joined */
  level: number
  /** ascending: values, or bins (see `binKey`) */
  keys: number[]
  /** number of values of each key, at least 1 */
  counts: number[]
  /** bins of exact keys, computed on first use: a logarithm costs more than everything else done to a key */
  bins: number[] | undefined
}

export const DIGEST_EXACT_VALUES_MAX = 128
export const DIGEST_BINS_MAX = 2048

/** Largest relative error of a sketch until bins are joined: tanh(0.01 / 2) = 0.00499996. */
export const DIGEST_RELATIVE_ERROR = 0.005

export const EXACT = -1

/** Bins for a factor of e, at level 0. */
export const BINS_PER_E = 100

/**
 * Added to the number of a bin, so that it is above 0 for any magnitude: the natural logarithm of a double is between
 * -745 and 710. So negative values have negative keys, zero has 0, and keys ascend with values.
 */
export const BIN_OFFSET = 2 ** 17

export function emptyDigest (): Digest {
  return { level: EXACT, keys: emptyDoubles(), counts: [], bins: undefined }
}

/**
 * The bin of a value. V8 has its own `Math.log` (from fdlibm), the same on all machines. Another implementation could
 * put values within 1e-13 of the edge of a bin into the next one; the error bound allows for that.
 */
export function binKey (value: number, level: number): number {
  if (value === 0) return 0
  const bin = joinBin(Math.ceil(Math.log(Math.abs(value)) * BINS_PER_E), level)
  return value > 0 ? bin + BIN_OFFSET : -bin - BIN_OFFSET
}

/** The bin that contains a bin of level 0 after joining pairs `times` times: divided by 2^times, rounded up. */
function joinBin (bin: number, times: number): number {
  return -(-bin >> times)
}

function joinKey (key: number, times: number): number {
  if (key === 0) return 0
  return key > 0 ? joinBin(key - BIN_OFFSET, times) + BIN_OFFSET : -joinBin(-key - BIN_OFFSET, times) - BIN_OFFSET
}

/**
 * Folds one value. O(log n) if its key exists.
 * @param value finite, never -0
 */
export function foldValue (digest: Digest, value: number): void {
  const key = digest.level === EXACT ? value : binKey(value, digest.level)
  const { keys, counts } = digest
  const at = lowerBound(keys, key, 0)
  if (at < keys.length && keys[at] === key) {
    counts[at]++
    return
  }
  digest.bins = undefined
  keys.splice(at, 0, key)
  counts.splice(at, 0, 1)
  raiseLevelAsNeeded(digest)
}

/**
 * Folds sorted and counted values.
 * @param values ascending, distinct, finite, never -0
 * @param counts how often each value occurs
 * @param length how many to use
 */
export function foldRuns (digest: Digest, values: number[], counts: number[], length: number): void {
  if (digest.level === EXACT) {
    addRuns(digest, values, counts, length)
  } else {
    for (let n = 0; n < length; n++) runBins[n] = binKey(values[n], 0)
    addRuns(digest, runKeys, runCounts, joinRuns(runBins, counts, length, digest.level))
  }
  raiseLevelAsNeeded(digest)
}

/** Adds `from` to `into`; `from` is another digest, and stays unchanged. */
export function mergeDigest (into: Digest, from: Digest): void {
  raiseLevel(into, from.level)
  if (into.level === from.level) {
    addRuns(into, from.keys, from.counts, from.keys.length)
  } else {
    addRuns(into, runKeys, runCounts, joinDigest(from, into.level))
  }
  raiseLevelAsNeeded(into)
}

/** Takes the steps that the number of keys requires. */
function raiseLevelAsNeeded (digest: Digest): void {
  if (digest.level === EXACT && digest.keys.length > DIGEST_EXACT_VALUES_MAX) raiseLevel(digest, 0)
  while (digest.keys.length > DIGEST_BINS_MAX) raiseLevel(digest, digest.level + 1)
}

function raiseLevel (digest: Digest, level: number): void {
  if (digest.level >= level) return
  const length = joinDigest(digest, level)
  const { keys, counts } = digest
  digest.level = level
  digest.bins = undefined
  keys.length = 0
  counts.length = 0
  for (let n = 0; n < length; n++) {
    keys.push(runKeys[n])
    counts.push(runCounts[n])
  }
}

/** Bins of values on their way into a digest. */
const runBins = emptyDoubles()

/** Keys and counts on their way between two digests. */
const runKeys = emptyDoubles()
const runCounts: number[] = []

/** Writes the content of a digest at a level above its own to `runKeys` and `runCounts`. Returns the number of keys. */
function joinDigest (digest: Digest, level: number): number {
  if (digest.level !== EXACT) return joinRuns(digest.keys, digest.counts, digest.keys.length, level - digest.level)
  digest.bins ??= digest.keys.map(value => binKey(value, 0))
  return joinRuns(digest.bins, digest.counts, digest.keys.length, level)
}

function joinRuns (bins: number[], counts: number[], length: number, times: number): number {
  let joined = 0
  for (let n = 0; n < length; n++) joined = appendRun(joined, joinKey(bins[n], times), counts[n])
  return joined
}

function appendRun (length: number, key: number, count: number): number {
  if (length > 0 && runKeys[length - 1] === key) {
    runCounts[length - 1] += count
    return length
  }
  runKeys[length] = key
  runCounts[length] = count
  return length + 1
}

/** New keys, and their places in the digest. */
const newPlaces: number[] = []
const newKeys = emptyDoubles()
const newCounts: number[] = []

/** Adds counted keys, ascending, of the digest's own level. Known keys are counted, new ones are inserted. */
function addRuns (digest: Digest, runs: number[], runsCounts: number[], length: number): void {
  if (digest.keys.length === 0) {
    digest.keys = runs.slice(0, length)
    digest.counts = runsCounts.slice(0, length)
    return
  }
  const { keys, counts } = digest
  let added = 0
  let at = 0
  for (let n = 0; n < length; n++) {
    const key = runs[n]
    at = lowerBound(keys, key, at)
    if (at < keys.length && keys[at] === key) {
      counts[at] += runsCounts[n]
      continue
    }
    newPlaces[added] = at
    newKeys[added] = key
    newCounts[added] = runsCounts[n]
    added++
  }
  if (added === 0) return
  digest.bins = undefined

  let from = keys.length
  for (let n = 0; n < added; n++) { // makes room at the end; the content is overwritten
    keys.push(newKeys[n])
    counts.push(newCounts[n])
  }
  for (let n = added - 1; n >= 0; n--) {
    const place = newPlaces[n]
    while (from > place) {
      from--
      keys[from + n + 1] = keys[from]
      counts[from + n + 1] = counts[from]
    }
    keys[place + n] = newKeys[n]
    counts[place + n] = newCounts[n]
  }
}

/** Place of the first key at or above `key`, from `start`. Steps double, because it is usually near. */
function lowerBound (keys: number[], key: number, start: number): number {
  const end = keys.length
  if (start >= end || keys[start] >= key) return start
  let below = start
  let step = 1
  while (below + step < end && keys[below + step] < key) {
    below += step
    step *= 2
  }
  let notBelow = Math.min(below + step, end)
  while (notBelow - below > 1) {
    const middle = (below + notBelow) >>> 1
    if (keys[middle] < key) below = middle
    else notBelow = middle
  }
  return notBelow
}

/**
 * Writes a digest: 0 for exact or 1 + its level, the number of keys, the keys (values packed, bins as differences), and
 * the counts minus 1. Equal digests have equal bytes.
 */
export function encodeDigest (writer: ByteWriter, digest: Digest): void {
  const { level, keys, counts } = digest
  const length = keys.length
  writer.byte(level + 1)
  writer.varint(length)
  if (level === EXACT) {
    encodeValues(writer, keys)
  } else {
    const differences = integerScratch(length)
    for (let n = 0; n < length; n++) differences[n] = keys[n] - (n === 0 ? 0 : keys[n - 1])
    encodeIntegers(writer, differences, length)
  }
  const more = integerScratch(length)
  for (let n = 0; n < length; n++) more[n] = counts[n] - 1
  encodeIntegers(writer, more, length)
}

/** After so many joins any set of doubles has at most three bins. */
const LEVEL_MAX = 17

/** @throws RelayError RELAY_ROLLUP_CORRUPT, also if keys are not ascending */
export function decodeDigest (reader: ByteReader): Digest {
  const level = reader.byte() - 1
  const length = reader.varint()
  if (level > LEVEL_MAX) throw corrupt('unknown kind of distribution')
  if (length > (level === EXACT ? DIGEST_EXACT_VALUES_MAX : DIGEST_BINS_MAX)) {
    throw corrupt(`impossible number of distribution keys: ${length}`)
  }

  const keys = level === EXACT ? decodeValues(reader, length) : decodeBins(reader, length)
  for (let n = 1; n < length; n++) {
    if (!(keys[n - 1] < keys[n])) throw corrupt('the keys of the distribution are not in order')
  }
  if (level !== EXACT && Math.max(keys[length - 1], -keys[0]) > 2 * BIN_OFFSET) throw corrupt('a bin is out of range')

  const more = decodeIntegers(reader, length)
  const counts = arrayOfIntegers(length)
  for (let n = 0; n < length; n++) {
    if (more[n] < 0) throw corrupt('a count is negative')
    counts[n] = more[n] + 1
  }
  return { level, keys, counts, bins: undefined }
}

function decodeBins (reader: ByteReader, length: number): number[] {
  const differences = decodeIntegers(reader, length)
  const bins = arrayOfDoubles(length)
  for (let n = 0, bin = 0; n < length; n++) bins[n] = bin += differences[n]
  return bins
}
