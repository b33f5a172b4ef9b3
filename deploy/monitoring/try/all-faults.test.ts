/** `npm run test:alarms`: all faults of `fault-alarms.ts` beside a real Prometheus. Some minutes. */
import { test } from 'node:test'

import { withPrometheus } from '../../test/support/prometheus.ts'
import { tryFaults } from '../../test/support/try-faults.ts'
import { faultAlarms, type FaultName } from '../fault-alarms.ts'

for (const eventLog of ['postgres', 'kafka'] as const) {
  test(`faults of a site with its event log in ${eventLog}`, { ...withPrometheus, timeout: 1_500_000 }, async t => {
    await tryFaults(t, (Object.keys(faultAlarms) as FaultName[]).filter(it => faultAlarms[it].eventLog === eventLog))
  })
}
