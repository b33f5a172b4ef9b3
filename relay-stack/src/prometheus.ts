/** Settings for a Prometheus that scrapes the stack. None is started here. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** A target to scrape. */
export interface MetricsTarget {
  /** name of the program in alerts: `relay-api` */
  readonly program: string
  /** host and port */
  readonly at: string
}

const rulesFile = fileURLToPath(new URL('../../deploy/monitoring/relay.rules.yml', import.meta.url))

/** @returns a line for people: where metrics are, and how Prometheus can scrape them */
export function describeMetrics (targets: readonly MetricsTarget[], configFile: string): string {
  const where = targets.map(({ program, at }) => `http://${at}/metrics (${program.replace('relay-', '')})`)
  return `Metrics: ${where.join(', ')};\n  prometheus --config.file=${configFile} scrapes them, with the alerts of docs/runbook.md`
}

/**
 * Writes `prometheus.yml` into a data folder.
 * @returns its path
 */
export async function writePrometheusConfig (dataDir: string, targets: readonly MetricsTarget[]): Promise<string> {
  const file = join(dataDir, 'prometheus.yml')
  const text = (it: string) => JSON.stringify(it) // YAML accepts JSON strings
  await writeFile(file, `# Written by npm start each time that it starts: a Prometheus that runs reads it again after a SIGHUP.
global:
  scrape_interval: 5s
  evaluation_interval: 5s
rule_files:
  - ${text(rulesFile)}
scrape_configs:
${targets.map(({ program, at }) => `  - job_name: ${text(program)}
    static_configs:
      - targets: [${text(at)}]`).join('\n')}
`, { mode: 0o600 })
  return file
}
