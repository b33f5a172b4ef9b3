/**
 * Thousands of runs of the line on a simulated log, database and clock. `npm run simulate -- --seed N --trace` repeats
 * a failed seed.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { bugs, type Bug } from './bugs.ts'
import { runSeed } from './run.ts'

/** more in nightly runs */
const SEEDS = Number(process.env.RELAY_SIMULATION_SEEDS ?? 400)
/** by then a bug must be found; each shows in one of 100 runs or more */
const BUG_SEEDS = 800

test(`${SEEDS} runs with faults lose nothing, count nothing twice, and finish`, async t => {
  const counts: Record<string, number> = {}
  for (let seed = 1; seed <= SEEDS; seed++) {
    const result = await runSeed({ seed }).catch(error => {
      throw new Error(`seed ${seed} (npm run simulate -- --seed ${seed} --trace): ${error.message}`, { cause: error })
    })
    for (const [name, count] of Object.entries(result.counts)) counts[name] = (counts[name] ?? 0) + count
  }
  t.diagnostic(Object.entries(counts).map(([name, count]) => `${name}: ${count}`).join(', '))
  // the events of the promises have happened, often
  for (const name of [
    'kill', 'pause', 'clock set', 'rolling restart', 'database crash', 'restored database', 'read-only database',
    'brokers away',
    'write refused',
    'commit without an answer: moved', 'commit without an answer: not-moved', 'commit without an answer: fenced',
    'canary', 'promoted', 'given back', 'stood by',
    'gap: offset-out-of-range', 'gap: topic-recreated', 'partitions added', 'transaction ended by the server'
  ]) assert.ok(counts[name] >= 5, `${name}: ${counts[name]} times`)
})

test('a run is the same every time', async () => {
  for (const seed of [3, 14, 159]) {
    const [first, second] = [await runSeed({ seed, isTraced: true }), await runSeed({ seed, isTraced: true })]
    assert.ok(first.trace.length > 100)
    assert.deepEqual(first.trace, second.trace)
  }
})

describe('a bug is found:', () => {
  for (const [bug, what] of Object.entries(bugs)) {
    test(what, async t => {
      const seed = await findSeed(bug as Bug)
      assert.ok(seed !== undefined, `${BUG_SEEDS} runs have not shown it`)
      t.diagnostic(`by seed ${seed}`)
      // so the planted bug was found
      await runSeed({ seed })
    })
  }
})

/** The first run that a bug breaks. */
async function findSeed (bug: Bug): Promise<number | undefined> {
  for (let seed = 1; seed <= BUG_SEEDS; seed++) {
    const isFound = await runSeed({ seed, bug }).then(() => false, () => true)
    if (isFound) return seed
  }
  return undefined
}
