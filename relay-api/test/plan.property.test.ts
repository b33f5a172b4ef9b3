import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'
import { bucketStartMs, DAY_MS, HOUR_MS, levels, MINUTE_MS, type TimeRange } from 'relay-rollups'

import { keptForEver, planRange, type KeptSince, type Plan } from '../src/query/plan.ts'

const dayMs = Date.UTC(2024, 2, 10)

/** Times within some days, often at boundaries and a ms beside them, also before 1970. */
const time = fc.tuple(
  fc.constantFrom(dayMs, 0),
  fc.oneof(
    fc.integer({ min: -4 * DAY_MS, max: 4 * DAY_MS }),
    fc.tuple(
      fc.constantFrom(MINUTE_MS, HOUR_MS, DAY_MS), fc.integer({ min: -90, max: 90 }), fc.integer({ min: -1, max: 1 })
    ).map(([sizeMs, n, besideMs]) => sizeMs * n + besideMs)
  )
).map(([baseMs, offsetMs]) => baseMs + offsetMs)

const range: fc.Arbitrary<TimeRange> = fc.tuple(time, time)
  .filter(([a, b]) => a !== b)
  .map(([a, b]) => ({ startMs: Math.min(a, b), endMs: Math.max(a, b) }))

/** Finer levels are dropped first. */
const keptSince: fc.Arbitrary<KeptSince> = fc.tuple(
  fc.oneof(time, fc.constant(-Infinity)), fc.nat(3 * DAY_MS), fc.oneof(fc.nat(3 * DAY_MS), fc.constant(Infinity))
).map(([minute, hourLater, dayLater]) =>
  ({ minute, hour: minute - hourLater, day: minute === -Infinity ? minute : minute - hourLater - dayLater }))

function stretches ({ buckets, edges }: Plan): TimeRange[] {
  return [...buckets, ...edges].sort((a, b) => a.startMs - b.startMs)
}

/** The fewest buckets, found one by one: each time, the coarsest bucket that starts here and fits. */
function countOneByOne ({ startMs, endMs }: TimeRange): number {
  let count = 0
  for (let atMs = startMs; atMs < endMs; count++) {
    const sizes = levels.map(it => it.sizeMs).filter(it => bucketStartMs(it, atMs) === atMs && atMs + it <= endMs)
    const minuteEndMs = bucketStartMs(MINUTE_MS, atMs) + MINUTE_MS
    atMs = sizes.length > 0 ? atMs + Math.max(...sizes) : Math.min(minuteEndMs, endMs)
  }
  return count
}

test('a plan covers its range exactly: no gap, no overlap, whole buckets except for two partial minutes', () => {
  fc.assert(fc.property(range, range => {
    const plan = planRange(range)
    assert.deepEqual(plan.coverage, range)
    let atMs = range.startMs
    for (const stretch of stretches(plan)) {
      assert.equal(stretch.startMs, atMs)
      assert.ok(stretch.endMs > atMs)
      atMs = stretch.endMs
    }
    assert.equal(atMs, range.endMs)

    for (const { level, startMs, endMs } of plan.buckets) {
      for (const boundaryMs of [startMs, endMs]) assert.equal(bucketStartMs(level.sizeMs, boundaryMs), boundaryMs)
    }
    assert.ok(plan.edges.length <= 2)
    for (const { bucketMs, startMs, endMs } of plan.edges) {
      assert.equal(bucketMs, bucketStartMs(MINUTE_MS, startMs))
      assert.ok(endMs <= bucketMs + MINUTE_MS && endMs - startMs < MINUTE_MS)
    }
  }), { numRuns: 2_000 })
})

test('a plan needs no more buckets than necessary', () => {
  fc.assert(fc.property(range, range => {
    const { buckets, edges } = planRange(range)
    const planned = buckets.reduce((sum, it) => sum + (it.endMs - it.startMs) / it.level.sizeMs, 0)
    assert.equal(planned + edges.length, countOneByOne(range))
  }), { numRuns: 2_000 })
})

test('a plan needs no bucket that may have been dropped, and covers the rest with minimal widening', () => {
  fc.assert(fc.property(range, keptSince, (range, keptSince) => {
    const plan = planRange(range, keptSince)
    const { coverage } = plan
    if (coverage.startMs >= coverage.endMs) {
      assert.deepEqual([plan.buckets, plan.edges], [[], []])
      assert.ok(bucketStartMs(DAY_MS, range.startMs) < keptSince.day)
      return
    }

    assert.equal(stretches(plan).reduce((sum, it) => sum + it.endMs - it.startMs, 0), coverage.endMs - coverage.startMs)
    for (const { level, startMs } of plan.buckets) assert.ok(startMs >= keptSince[level.name])
    for (const { bucketMs } of plan.edges) assert.ok(bucketMs >= keptSince.minute)

    assert.ok(coverage.endMs >= range.endMs)
    if (coverage.startMs > range.startMs) { // days of it have been dropped: it starts with the first kept one
      assert.equal(bucketStartMs(DAY_MS, coverage.startMs), coverage.startMs)
      assert.ok(coverage.startMs - DAY_MS < keptSince.day)
    }
    if (bucketStartMs(MINUTE_MS, range.startMs) >= keptSince.minute) assert.deepEqual(coverage, range)
    const lastDayMs = bucketStartMs(DAY_MS, range.endMs)
    if (
      lastDayMs > bucketStartMs(DAY_MS, range.startMs) && lastDayMs >= keptSince.hour &&
      bucketStartMs(HOUR_MS, range.endMs) >= keptSince.minute
    ) assert.equal(coverage.endMs, range.endMs)
    // an end moves at most to the boundary of the first coarser level that is kept
    for (const { name, sizeMs } of levels.slice(1)) {
      if (bucketStartMs(sizeMs, range.startMs) < keptSince[name]) continue
      assert.ok(range.startMs - coverage.startMs < sizeMs)
      assert.ok(coverage.endMs - range.endMs < sizeMs)
    }
  }), { numRuns: 5_000 })
})

test('data without retention is answered to the ms', () => {
  const range = { startMs: dayMs + 1, endMs: dayMs + 2 }
  const edges = [{ bucketMs: dayMs, ...range }]
  assert.deepEqual(planRange(range, keptForEver), { coverage: range, buckets: [], edges })
})
