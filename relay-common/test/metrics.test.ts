import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'

import { createProcessMetrics, createWeightedHistogram, Histogram, measureDegraded, Registry } from '../src/metrics.ts'
import { version } from '../src/version.ts'

test('counting many observations of one value at once equals counting them one by one', async () => {
  const observation = fc.tuple(fc.integer({ min: 0, max: 120 }).map(it => it / 10), fc.integer({ min: 1, max: 20 }))
  await fc.assert(fc.asyncProperty(fc.array(observation), async observations => {
    const buckets = [0.1, 1, 5, 10]
    const described = { name: 'relay_of_the_test_seconds', help: 'of the test', buckets }
    const [plain, weighted] = [new Registry(), new Registry()]
    const one = new Histogram({ ...described, registers: [plain] })
    const many = createWeightedHistogram(weighted, described)
    for (const [value, count] of observations) {
      for (let n = 0; n < count; n++) one.observe(value)
      many.observe(value, count)
    }
    const lines = async (registry: Registry) => (await registry.metrics()).replace(
      /_sum (.*)/, (_, sum) => `_sum ${Number(sum).toFixed(6)}`
    )
    assert.equal(await lines(weighted), await lines(plain))
    assert.deepEqual(
      (await weighted.getMetricsAsJSON()).map(it => it.type), (await plain.getMetricsAsJSON()).map(it => it.type)
    )
  }), { numRuns: 50 })
})

test('a program reports its build', async () => {
  const text = await createProcessMetrics('relay-test').metrics()
  assert.ok(
    text.includes(`relay_build_info{version="${version}",node_version="${process.version}",program="relay-test"} 1`),
    text
  )
})

test('failing parts are 1, healthy parts are 0, and an unknown state is neither', async () => {
  const registry = new Registry()
  let fault: string | undefined = 'is away'
  let isSilent = false
  measureDegraded(
    registry, async () => isSilent ? await new Promise(() => {}) : { 'event log': undefined, database: fault }
  )
  const read = async () =>
    Object.fromEntries((await registry.getMetricsAsJSON())[0].values.map(it => [it.labels.part, it.value]))
  assert.deepEqual(await read(), { 'event-log': 0, database: 1 })
  fault = undefined
  assert.deepEqual(await read(), { 'event-log': 0, database: 0 })
  isSilent = true
  assert.deepEqual(await read(), { readiness: 1 })
})
