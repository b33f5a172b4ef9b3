/**
 * Generates files for Prometheus, Grafana and people from `alerts.ts`, `slos.ts`, `fault-alarms.ts`, `dashboards.ts`:
 *
 *     node deploy/monitoring/main.ts                 relay.rules.yml, prometheus-rule.yaml, dashboards/, and the alarms in docs/runbook.md
 *     node deploy/monitoring/main.ts --scale 60      only the rules, on stdout, with all times 60 times shorter
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'

import { dashboards } from './dashboards.ts'
import { renderDashboard } from './grafana.ts'
import { renderPrometheusRule, renderRules } from './render.ts'
import { withAlarms } from './runbook.ts'

const { scale } = parseArgs({ options: { scale: { type: 'string' } } }).values
if (scale === undefined) {
  const runbook = new URL('../../docs/runbook.md', import.meta.url)
  writeFileSync(new URL('relay.rules.yml', import.meta.url), renderRules())
  writeFileSync(new URL('prometheus-rule.yaml', import.meta.url), renderPrometheusRule())
  for (const it of dashboards) writeFileSync(new URL(`dashboards/${it.uid}.json`, import.meta.url), renderDashboard(it))
  writeFileSync(runbook, withAlarms(readFileSync(runbook, 'utf8')))
} else if (Number(scale) > 0) {
  process.stdout.write(renderRules(Number(scale)))
} else {
  console.error(`--scale must be a number over 0, got "${scale}"`)
  process.exitCode = 1
}
