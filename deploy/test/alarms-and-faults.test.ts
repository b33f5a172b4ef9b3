/** A real Prometheus beside real faults: which alarms fire, that no other page does, and that all of them end. */
import { test } from 'node:test'

import { faultAlarms, type FaultName } from '../monitoring/fault-alarms.ts'
import { withPrometheus } from './support/prometheus.ts'
import { tryFaults } from './support/try-faults.ts'

test('each fault fires its alerts and no others, and all of them resolve', { ...withPrometheus, timeout: 400_000 }, async t => {
  await tryFaults(t, (Object.keys(faultAlarms) as FaultName[]).filter(it => faultAlarms[it].isTriedAlways))
})
