import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createMetrics } from 'relay-common'

import { createMeasure } from '../src/measured.ts'
import { createProcessorMetrics } from '../src/metrics.ts'

test('what a processor reports is of the time since its report before, and of all of its threads', async () => {
  const registries = [createMetrics('relay-processor'), createMetrics('relay-processor')]
  const [one, other] = registries.map(it => createProcessorMetrics(it))
  const measure = createMeasure(() => Promise.all(registries.map(it => it.getMetricsAsJSON())))
  one.readings.inc(1_000)
  one.writeSeconds.observe(9)
  one.freshness.observe(60, 1_000)
  assert.deepEqual(await measure(), {}, 'there is no report before the first')

  one.readings.inc(10)
  other.readings.inc(20)
  one.writeSeconds.observe(0.1)
  other.writeSeconds.observe(0.3)
  one.freshness.observe(1, 10)
  other.freshness.observe(4, 20)
  const { readingsPerSecond, flushSeconds, freshnessSeconds } = await measure()
  assert.ok(readingsPerSecond! > 0)
  assert.ok(Math.abs(flushSeconds! - 0.2) < 1e-9)
  assert.equal(freshnessSeconds, 3)

  assert.deepEqual(await measure(), { readingsPerSecond: 0, flushSeconds: undefined, freshnessSeconds: undefined })
})
