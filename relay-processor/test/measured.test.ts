import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createMetrics } from 'relay-common'

import { createMeasure } from '../src/measured.ts'
import { createProcessorMetrics } from '../src/metrics.ts'

test('what a processor reports is of the time since its report before, and of all of its threads', async () => {
  const registries = [createMetrics('relay-processor'), createMetrics('relay-processor')]
  const [one, other] = registries.map(it => createProcessorMetrics(it))
  const measureAll = createMeasure(() => Promise.all(registries.map(it => it.getMetricsAsJSON())), 'green')
  const measure = async () => {
    const { generation, totals, ...sinceBefore } = await measureAll()
    assert.equal(generation, 'green')
    return { sinceBefore, totals: totals! }
  }
  one.readings.inc(1_000)
  one.writeSeconds.observe(9)
  one.freshness.observe(60, 1_000)
  assert.deepEqual((await measure()).sinceBefore, {}, 'there is no report before the first')

  one.readings.inc(10)
  other.readings.inc(20)
  one.writeSeconds.observe(0.1)
  other.writeSeconds.observe(0.3)
  one.freshness.observe(1, 10)
  other.freshness.observe(4, 20)
  one.duplicates.inc(3)
  other.deadLetters.inc({ reason: 'not-json' }, 2)
  one.foldSeconds.inc(0.5)
  other.settleSeconds.observe(0.25)
  one.partitionFlushes.inc(4)
  const { sinceBefore: { readingsPerSecond, flushSeconds, freshnessSeconds }, totals } = await measure()
  assert.ok(readingsPerSecond! > 0)
  assert.ok(Math.abs(flushSeconds! - 0.2) < 1e-9)
  assert.equal(freshnessSeconds, 3)

  const { events, deadLetters, workSeconds, partitionFlushes } = totals
  assert.deepEqual([events, deadLetters, workSeconds, partitionFlushes], [1_035, 2, 0.75, 4], 'since its start')
  assert.deepEqual(totals.flushes.filter(([limit]) => limit === 0.1 || limit === 0.5 || limit === null),
    [[0.1, 1], [0.5, 2], [null, 3]])

  assert.deepEqual((await measure()).sinceBefore,
    { readingsPerSecond: 0, flushSeconds: undefined, freshnessSeconds: undefined })
})
