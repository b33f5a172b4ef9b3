import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'

import { eventTextAt } from '../src/event.ts'
import { DUPLICATE_MAX_MS, LATE_MAX_MS } from '../src/faults.ts'
import { Fleet } from '../src/fleet.ts'
import { Timeline, type Batch, type SentKind } from '../src/timeline.ts'

const startMs = Date.UTC(2024, 0, 1)
const noFaults = { late: 0, duplicates: 0, poison: 0 }
const shares = fc.record({
  late: fc.constantFrom(0, 0.01, 0.3, 1),
  duplicates: fc.constantFrom(0, 0.01, 0.3, 1),
  poison: fc.constantFrom(0, 0.05, 0.3)
})
const fleets = fc.record({
  devices: fc.integer({ min: 1, max: 12 }), zones: fc.constant(3), rate: fc.constantFrom(0.2, 1, 4), seed: fc.nat()
}).map(it => new Fleet(it))
const spans = fc.integer({ min: 1, max: 30_000 })
/** where a span is cut, as shares of it */
const cuts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 8 })

/** The events of a fleet in a span, in order of time, computed from the fleet: what must arrive. */
function eventTexts (fleet: Fleet, fromMs: number, toMs: number): string[] {
  const texts: string[] = []
  for (let tick = fleet.tickFrom(fromMs); fleet.timeAt(tick) < toMs; tick++) {
    texts.push(eventTextAt(fleet.deviceAt(tick), fleet.timeAt(tick)))
  }
  return texts
}

/** Takes everything before each time in turn, in batches, like a live stream. */
function takeBySteps (timeline: Timeline, untils: number[], recordsMax: number): Batch[] {
  return untils.flatMap(untilMs => takeAll(() => timeline.take(untilMs, recordsMax)))
}

function takeAll (take: () => Batch): Batch[] {
  const batches: Batch[] = []
  for (let batch = take(); batch.records.length > 0; batch = take()) batches.push(batch)
  return batches
}

const valuesOf = (batches: Batch[]) => batches.flatMap(it => it.records).map(it => it.value)

function countsOf (batches: Batch[]): Record<SentKind, number> {
  const sums = { live: 0, backfill: 0, late: 0, duplicate: 0, poison: 0 }
  for (const { counts } of batches) {
    for (const kind of Object.keys(sums) as SentKind[]) sums[kind] += counts[kind]
  }
  return sums
}

test('a timeline without faults has the events of the fleet, each once, in order of time', () => {
  fc.assert(fc.property(fleets, spans, (fleet, spanMs) => {
    const timeline = new Timeline({ fleet, faultShares: noFaults, kind: 'live', startMs })
    const sent = valuesOf(takeBySteps(timeline, [startMs + spanMs], 100))
    assert.deepEqual(sent, eventTexts(fleet, startMs, startMs + spanMs))
  }))
})

test('the time and size of batches do not change what is sent', () => {
  const sizes = fc.integer({ min: 1, max: 50 })
  fc.assert(fc.property(fleets, shares, spans, cuts, sizes, (fleet, faultShares, spanMs, at, recordsMax) => {
    const endMs = startMs + spanMs
    const open = () => new Timeline({ fleet, faultShares, kind: 'live', startMs })
    const steps = [...at.map(it => startMs + Math.floor(it * spanMs)).sort((a, b) => a - b), endMs]
    assert.deepEqual(valuesOf(takeBySteps(open(), steps, recordsMax)), valuesOf(takeBySteps(open(), [endMs], 100_000)))
  }))
})

test('history and live events together equal the undivided timeline', () => {
  fc.assert(fc.property(fleets, shares, spans, spans, (fleet, faultShares, beforeMs, afterMs) => {
    const cutMs = startMs + beforeMs
    const endMs = cutMs + afterMs
    const history = new Timeline({ fleet, faultShares, kind: 'backfill', startMs, endMs: cutMs })
    const live = new Timeline({ fleet, faultShares, kind: 'live', startMs: cutMs })
    const past = takeBySteps(history, [cutMs], 100)
    assert.equal(history.ticksLeft, 0)
    history.handPostponedTo(live)
    const joined = [...past, ...takeBySteps(live, [endMs], 100)]

    const whole = takeBySteps(new Timeline({ fleet, faultShares, kind: 'live', startMs }), [endMs], 100)
    assert.deepEqual(valuesOf(joined), valuesOf(whole))
    const { live: fresh, backfill, ...faults } = countsOf(joined)
    assert.deepEqual({ live: fresh + backfill, backfill: 0, ...faults }, countsOf(whole))
  }))
})

test('with any faults every event arrives, duplicates are the same bytes, and poison is additional', () => {
  fc.assert(fc.property(fleets, shares, spans, (fleet, faultShares, spanMs) => {
    const endMs = startMs + spanMs
    const timeline = new Timeline({ fleet, faultShares, kind: 'backfill', startMs, endMs })
    const batches = [...takeBySteps(timeline, [endMs], 100), ...takeAll(() => timeline.takeEarly(100))]

    const counts = countsOf(batches)
    const wanted = new Set<unknown>(eventTexts(fleet, startMs, endMs))
    const arrived = valuesOf(batches)
    const events = arrived.filter(it => wanted.has(it))
    assert.equal(new Set(events).size, wanted.size)
    assert.equal(events.length, wanted.size + counts.duplicate)
    assert.equal(arrived.length, events.length + counts.poison)
    assert.equal(counts.backfill + counts.late, wanted.size)
  }))
})

test('one seed sends identical bytes, another seed different ones', () => {
  fc.assert(fc.property(fc.nat(), fc.nat(), (seed, other) => {
    fc.pre(seed !== other)
    const sentWith = (seed: number) => valuesOf(takeBySteps(new Timeline({
      fleet: new Fleet({ devices: 6, zones: 2, rate: 1, seed }),
      faultShares: { late: 0.1, duplicates: 0.1, poison: 0.1 },
      kind: 'live',
      startMs
    }), [startMs + 60_000], 1_000))
    assert.deepEqual(sentWith(seed), sentWith(seed))
    assert.notDeepEqual(sentWith(seed), sentWith(other))
  }), { numRuns: 20 })
})

test('a late event is sent after its time, by hours at most, and its duplicate within an hour after it', () => {
  const fleet = new Fleet({ devices: 3, zones: 3, rate: 1, seed: 5 })
  const endMs = startMs + 600_000
  const faultShares = { late: 1, duplicates: 1, poison: 0 }
  const timeline = new Timeline({ fleet, faultShares, kind: 'backfill', startMs, endMs })
  const firstSentMs = new Map<unknown, number>()
  const lateMs: number[] = []
  const againMs: number[] = []
  while (timeline.nextMs < Infinity) {
    const nowMs = timeline.nextMs
    for (const value of valuesOf([timeline.take(nowMs + 1, 1_000)])) {
      const first = firstSentMs.get(value)
      if (first === undefined) lateMs.push(nowMs - Date.parse(JSON.parse(String(value)).timestamp))
      else againMs.push(nowMs - first)
      firstSentMs.set(value, nowMs)
    }
  }
  assert.deepEqual([lateMs.length, againMs.length], [1_800, 1_800])
  assert.ok(Math.min(...lateMs) >= 1_000 && Math.min(...lateMs) < 5_000)
  assert.ok(Math.max(...lateMs) <= LATE_MAX_MS && Math.max(...lateMs) > LATE_MAX_MS / 2)
  assert.ok(Math.min(...againMs) > 0 && Math.max(...againMs) <= DUPLICATE_MAX_MS)
})

test('faults are about as frequent as configured', () => {
  const fleet = new Fleet({ devices: 100, zones: 3, rate: 1, seed: 9 })
  const endMs = startMs + 1_000_000
  for (const share of [0.001, 0.01, 0.25]) {
    const faultShares = { late: share, duplicates: share, poison: share }
    const timeline = new Timeline({ fleet, faultShares, kind: 'backfill', startMs, endMs })
    const counts = countsOf([...takeBySteps(timeline, [endMs], 10_000), ...takeAll(() => timeline.takeEarly(10_000))])
    assert.equal(counts.backfill + counts.late, 100_000)
    const slack = 5 * Math.sqrt(share * (1 - share) / 100_000) // five standard deviations of a binomial share
    for (const kind of ['late', 'duplicate', 'poison'] as const) {
      const found = counts[kind] / 100_000
      assert.ok(Math.abs(found - share) <= slack, `${found} of the events are ${kind}, asked for ${share}`)
    }
  }
})

test('the number of postponed events is bounded; excess events are sent early instead of dropped', () => {
  const fleet = new Fleet({ devices: 50, zones: 3, rate: 1, seed: 3 })
  const endMs = startMs + 60_000
  const timeline = new Timeline({
    fleet, faultShares: { late: 1, duplicates: 0, poison: 0 }, kind: 'backfill', startMs, endMs, postponedMax: 100
  })
  const inTime = takeBySteps(timeline, [endMs], 10)
  assert.ok(timeline.postponed.size <= 100)
  const sent = valuesOf([...inTime, ...takeAll(() => timeline.takeEarly(30))])
  assert.deepEqual(sent.sort(), eventTexts(fleet, startMs, endMs).sort())
})

test('skipping drops exactly the events before the time, and returns their number', () => {
  fc.assert(fc.property(fleets, spans, spans, (fleet, skipMs, spanMs) => {
    const timeline = new Timeline({ fleet, faultShares: noFaults, kind: 'live', startMs })
    assert.equal(timeline.skipTo(startMs + skipMs), eventTexts(fleet, startMs, startMs + skipMs).length)
    assert.equal(timeline.skipTo(startMs), 0)
    const sent = valuesOf(takeBySteps(timeline, [startMs + skipMs + spanMs], 1_000))
    assert.deepEqual(sent, eventTexts(fleet, startMs + skipMs, startMs + skipMs + spanMs))
  }))
})
