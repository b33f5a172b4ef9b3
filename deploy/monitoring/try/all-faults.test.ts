/**
 * `npm run test:alarms`: all faults of `fault-alarms.ts` beside a real Prometheus. Some minutes. RELAY_FAULTS names the
 * faults to try, separated by commas.
 */
import { test } from 'node:test'

import { withPrometheus } from '../../test/support/prometheus.ts'
import { tryFaults } from '../../test/support/try-faults.ts'
import { faultAlarms, type FaultName } from '../fault-alarms.ts'

const { RELAY_FAULTS = '' } = process.env
const names = (RELAY_FAULTS === '' ? Object.keys(faultAlarms) : RELAY_FAULTS.split(',')) as FaultName[]

for (const eventLog of ['postgres', 'kafka'] as const) {
  const ofIt = names.filter(it => faultAlarms[it].eventLog === eventLog)
  if (ofIt.length === 0) continue
  test(`faults of a site with its event log in ${eventLog}`, { ...withPrometheus, timeout: 1_500_000 }, async t => {
    await tryFaults(t, ofIt)
  })
}
