/**
 * Generates the files of the chart that come from other sources:
 *
 *     node deploy/kubernetes/main.ts
 *
 * values.schema.json from the programs' declarations of their settings, rules and dashboards from `deploy/monitoring`.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'

import { dashboards } from '../monitoring/dashboards.ts'
import { renderDashboard } from '../monitoring/grafana.ts'
import { renderRules } from '../monitoring/render.ts'
import { valuesSchema } from './values-schema.ts'

export const WRITE_COMMAND = 'npm exec -- node deploy/kubernetes/main.ts'

/** By path in deploy/chart. A chart can read no file outside of its folder. */
export function writtenFiles (): Map<string, string> {
  return new Map([
    ['values.schema.json', JSON.stringify(valuesSchema(), null, 2) + '\n'],
    ['files/relay.rules.yml', renderRules()],
    ...dashboards.map((it): [string, string] => [`files/dashboards/${it.uid}.json`, renderDashboard(it)])
  ])
}

if (import.meta.main) {
  for (const [path, text] of writtenFiles()) {
    const url = new URL(`../chart/${path}`, import.meta.url)
    mkdirSync(dirname(url.pathname), { recursive: true })
    writeFileSync(url, text)
  }
}
