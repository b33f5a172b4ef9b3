/** What alarms rely on of metrics. */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import getPort from 'get-port'
import { Counter, Registry } from 'relay-common'

import { openTestApi } from '../../relay-api/test/support/ask.ts'
import { createProbeMetrics } from '../../relay-cli/src/probe-metrics.ts'
import { createProcessorMetrics } from '../../relay-processor/src/metrics.ts'
import { createSimulatorMetrics } from '../../relay-simulator/src/metrics.ts'
import { ROOT } from './support/dockerfile.ts'

test('every counter is there before anything is counted, with each of its labels', async t => {
  const [processor, simulator, probe] = [new Registry(), new Registry(), new Registry()]
  createProcessorMetrics(processor)
  createSimulatorMetrics(simulator, () => 0)
  createProbeMetrics(probe)
  const { app } = await openTestApi(
    t, { EVENT_LOG: 'postgres', EVENTS_TOPIC: 'iot-events', MQTT_PORT: String(await getPort({ host: '127.0.0.1' })) }
  )
  await app.ready()

  const seen = new Set<string>()
  for (const registry of [processor, simulator, probe, app.metrics]) {
    for (const metric of registry.getMetricsAsArray().filter(it => it instanceof Counter)) {
      const { name, values } = await metric.get()
      seen.add(name)
      assert.ok(values.length > 0, `${name} has none of its labels: increase() would not see the first of them`)
    }
  }
  // all of them were looked at: each has its name in the source
  const sources = globSync('relay-*/src/**/*.ts', { cwd: ROOT }).map(
    it => readFileSync(join(ROOT, it), 'utf8')
  ).join('\n')
  const counters = new Set([...sources.matchAll(/name: '(relay_\w+_total)'/g)].map(it => it[1]))
  assert.deepEqual([...counters].filter(it => !seen.has(it)), [])
})
