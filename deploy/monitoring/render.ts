/** Rules for Prometheus and the alarms of the runbook, made of `alerts.ts` and `slos.ts`. */
import { stringify } from 'yaml'

import { alerts, SERVICE, type Alert, type Severity } from './alerts.ts'
import { recordingRules, type RecordingRule } from './slos.ts'
import { createTime } from './time.ts'

export interface AlertingRule {
  readonly alert: string
  readonly expr: string
  readonly for?: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
}

export interface RuleGroup {
  readonly name: string
  readonly rules: ReadonlyArray<RecordingRule | AlertingRule>
}

const WRITTEN = `# Written by deploy/monitoring/main.ts from alerts.ts and slos.ts: npm exec -- node deploy/monitoring/main.ts
`
const noLineBreaks = { lineWidth: 0 }

/** @param scale how many times shorter each time is: see `createTime` */
export function ruleGroups (scale = 1): RuleGroup[] {
  const time = createTime(scale)
  const alerting = alerts.flatMap(alert => (Object.keys(alert.rules) as Severity[]).map((severity): AlertingRule => {
    const { expr, forS } = alert.rules[severity]!
    return {
      alert: alert.name,
      expr: expr(time),
      ...forS > 0 ? { for: time(forS) } : {},
      labels: { severity, service: SERVICE },
      annotations: {
        summary: plain(`Relay: ${alert.when}`),
        description: plain(`${alert.meaning} Impact: ${alert.impact}`),
        runbook: `docs/runbook.md#${anchorOf(alert)}`
      }
    }
  }))
  return [
    { name: 'relay-slo', rules: recordingRules(time) },
    { name: 'relay-alerts', rules: alerting }
  ]
}

/** A rule file, as `rule_files` of Prometheus names it. */
export function renderRules (scale?: number): string {
  return WRITTEN + stringify({ groups: ruleGroups(scale) }, noLineBreaks)
}

/** The same for a Prometheus that the operator on Kubernetes runs. */
export function renderPrometheusRule (): string {
  return WRITTEN + stringify({
    apiVersion: 'monitoring.coreos.com/v1',
    kind: 'PrometheusRule',
    metadata: { name: 'relay', labels: { 'app.kubernetes.io/name': 'relay' } },
    spec: { groups: ruleGroups() }
  }, noLineBreaks)
}

const BEGIN = '<!-- alarms: written by npm exec -- node deploy/monitoring/main.ts -->'
const END = '<!-- end of alarms -->'

/** The runbook with its alarms as they are now. @throws where it has no place for them */
export function withAlarms (runbook: string): string {
  const [begin, end] = [runbook.indexOf(BEGIN), runbook.indexOf(END)]
  if (begin < 0 || end < begin) throw new Error(`the runbook must have ${BEGIN} and ${END}`)
  return `${runbook.slice(0, begin)}${BEGIN}\n\n${renderAlarms()}\n${runbook.slice(end)}`
}

function renderAlarms (): string {
  const rows = alerts.map(alert =>
    `| [${alert.name}](#${anchorOf(alert)}) | ${Object.keys(alert.rules).join(', ')} | ${alert.when} |`)
  return ['| alarm | severity | fires when |', '| --- | --- | --- |', ...rows, '', ...alerts.map(renderAlarm)].join('\n')
}

function renderAlarm (alert: Alert): string {
  const { name, meaning, impact, diagnosis, action } = alert
  return `### ${name}

- **Meaning**: ${meaning}
- **Impact**: ${impact}
- **Diagnosis**: ${diagnosis}
- **Do**: ${action}
- **Metrics**: ${metricsIn(alert).map(it => `\`${it}\``).join(', ')}
`
}

const anchorOf = ({ name }: Alert) => name.toLowerCase()

/** The metrics that an alarm is made of, those of its recording rules among them. */
export function metricsIn (alert: Alert): string[] {
  const time = createTime()
  const recorded = recordingRules(time)
  const exprs = Object.values(alert.rules).map(it => it.expr(time))
  const slos = new Set(exprs.flatMap(it => [...it.matchAll(/slo="([^"]+)"/g)]).map(it => it[1]))
  exprs.push(...recorded.filter(it => slos.has(it.labels.slo)).map(it => it.expr))
  return [...new Set(exprs.flatMap(metricsOf))]
}

/** The metrics that an expression names, those of histograms without what Prometheus adds. */
export function metricsOf (expr: string): string[] {
  const withoutTexts = expr.replace(/"[^"]*"/g, '""')
  const names = [...withoutTexts.matchAll(/\b(up|relay_\w+)\b/g)].map(it => it[1].replace(/_(?:bucket|count|sum)$/, ''))
  return [...new Set(names)]
}

/** Without the marks of Markdown, which nobody renders in a notification. */
const plain = (text: string) => text.replace(/\[([^[\]]*)\]\([^()]*\)/g, '$1').replaceAll('`', '')
