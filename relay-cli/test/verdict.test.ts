import assert from 'node:assert/strict'
import { test } from 'node:test'

import {
  differenceOf, findBreakdown, flushP99, judge, sumOf, type Figures, type Limits, type Observed
} from '../src/deploy/verdict.ts'

const limits: Limits = { costMax: 2, flushMax: 2, deadLettersMax: 0.005, eventsMin: 1_000, costEventsMin: 10_000 }
const figures: Figures = {
  processors: 1,
  restarts: 0,
  events: 10_000,
  deadLetters: 10,
  partitionFlushes: 100,
  workSeconds: 0.1,
  cpuSeconds: 0.5,
  flushes: [[0.1, 90], [0.5, 100], [null, 100]]
}
const good: Observed = {
  canary: figures,
  active: { ...figures, events: 30_000, workSeconds: 0.3, partitionFlushes: 300 },
  claims: 1,
  unread: 3,
  verified: { rows: 500, differences: 0 }
}

const cases: ReadonlyArray<readonly [what: string, verdict: string, Partial<Observed>, reason?: RegExp]> = [
  ['as the active generation', 'good', {}],
  ['twice the work', 'good', { canary: { ...figures, workSeconds: 0.2 } }],
  ['three times the work', 'bad', { canary: { ...figures, workSeconds: 0.3 } }, /30\.0 us of work, and 10\.0 us/],
  ['too few events for their cost', 'good', { canary: { ...figures, events: 9_999, workSeconds: 9 } }],
  ['few events in each flush', 'good', { canary: { ...figures, partitionFlushes: 1_000, workSeconds: 0.3 } }],
  ['a restart', 'good', { claims: 2, canary: { ...figures, restarts: 1 } }],
  ['a crash loop', 'bad', { claims: 3 }, /claimed 3 times/],
  ['started again and again', 'bad', { canary: { ...figures, restarts: 3 } }, /started 3 times/],
  ['nobody there', 'bad', { canary: { ...figures, processors: 0 } }, /no processor/],
  ['a wrong row', 'bad', { verified: { rows: 500, differences: 1 } }, /1 of 500 rows differ/],
  ['nothing compared', 'undecided', { verified: { rows: 0, differences: 0 } }, /no rows/],
  ['nothing verified', 'undecided', { verified: undefined }, /no rows/],
  ['nothing read though there is', 'bad', { canary: { ...figures, events: 0 }, unread: 900 }, /900 unread/],
  ['nothing to read', 'undecided', { canary: { ...figures, events: 0 }, unread: 0 }, /0 events; 1000 are needed/],
  ['few events', 'undecided', { canary: { ...figures, events: 999, workSeconds: 9 } }, /999 events/],
  ['nothing to compare with', 'undecided', { active: { ...figures, events: 5 } }, /active generation counted 5/],
  ['slow flushes', 'bad', { canary: { ...figures, flushes: [[0.1, 10], [5, 100], [null, 100]] } }, /p99 of flushes is 4\.9/],
  ['many dead letters', 'bad', { canary: { ...figures, deadLetters: 100 } }, /1\.00 % of the records/],
  ['some more dead letters', 'good', { canary: { ...figures, deadLetters: 50 } }]
]

test('a canary is good, bad or undecided', () => {
  for (const [what, verdict, change, reason] of cases) {
    const judged = judge({ ...good, ...change }, limits)
    assert.equal(judged.verdict, verdict, `${what}: ${judged.reasons.join('; ')}`)
    if (reason) assert.match(judged.reasons.join('; '), reason, what)
    else assert.deepEqual(judged.reasons, [], what)
  }
})

test('an analysis ends early only for faults that more time would not excuse', () => {
  assert.deepEqual(findBreakdown(good), [])
  assert.equal(findBreakdown({ ...good, claims: 7 }).length, 1)
})

test('reports of several processes add up, each since the start of the analysis', () => {
  const before = { deadLetters: 5, partitionFlushes: 50, workSeconds: 2, cpuSeconds: 4 }
  const totals = { ...before, events: 500, flushes: [[0.1, 4], [null, 6]] as const }
  const after = { deadLetters: 6, partitionFlushes: 70, workSeconds: 3, cpuSeconds: 7 }
  const later = { ...after, events: 800, flushes: [[0.1, 5], [null, 10]] as const }
  const sum = sumOf([differenceOf(later, totals), differenceOf(totals)], 2, 1)
  assert.deepEqual(sum, {
    processors: 2,
    restarts: 1,
    events: 800,
    deadLetters: 6,
    partitionFlushes: 70,
    workSeconds: 3,
    cpuSeconds: 7,
    flushes: [[0.1, 5], [null, 10]]
  })
})

test('the p99 of flushes is interpolated, and 0 without any', () => {
  assert.ok(Math.abs(flushP99({ ...figures, flushes: [[1, 0], [2, 100], [null, 100]] }) - 1.99) < 1e-9)
  assert.equal(flushP99({ ...figures, flushes: [[1, 0], [null, 10]] }), 1, 'beyond the last limit it is that limit')
  assert.equal(flushP99({ ...figures, flushes: [] }), 0)
})
