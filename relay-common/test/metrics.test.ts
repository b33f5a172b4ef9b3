import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'

import { until } from 'relay-test-support/until.ts'
import {
  createMetrics, createProcessMetrics, createWeightedHistogram, Histogram, measureDegraded, Registry, writeMetrics
} from '../src/metrics.ts'
import { writeOpenMetrics } from '../src/open-metrics.ts'
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

test('of threads, each bucket has the newest exemplar, and counts are the sums', async () => {
  const describe = { name: 'relay_of_the_test_seconds', help: 'of the test', buckets: [1, 10] }
  const threads = ['a', 'b'].map(() => createMetrics('relay-test'))
  const [a, b] = threads.map(it => createWeightedHistogram(it, describe))
  a.observe(0.5, 2, 'older')
  const noted = Date.now()
  a.observe(5, 1, 'only one')
  await until('another millisecond', () => Date.now() > noted)
  b.observe(0.7, 3, 'newer')
  b.observe(20, 1)
  const values = structuredClone(await Promise.all(threads.map(it => it.getMetricsAsJSON())))
  const text = await writeOpenMetrics(createMetrics('relay-test'), values)
  const line = (le: string) => new RegExp(`^\\S+_bucket\\{le="${le}",program="relay-test"\\} (.*)$`, 'm').exec(text)![1]
  assert.match(line('1'), /^5 # \{trace_id="newer"\} 0\.7 [\d.]+$/)
  assert.match(line('10'), /^6 # \{trace_id="only one"\} 5 [\d.]+$/)
  assert.equal(line('\\+Inf'), '7')
  assert.match(text, /# EOF\n$/)
  assert.doesNotMatch(await writeMetrics(createMetrics('relay-test'), values), /trace_id/)
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
