/** Renders `alerts.ts` and `slos.ts` as rules for Prometheus. */
import { stringify } from 'yaml'

import { alerts, SERVICE, type Alert, type Severity } from './alerts.ts'
import { addressOf, placeOf } from './grafana.ts'
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

/**
 * @param scale divisor of all times: see `createTime`
 * @param budgetScale the same for windows of budgets, which are the longest
 */
export function ruleGroups (scale = 1, budgetScale = scale): RuleGroup[] {
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
        runbook: `docs/runbook.md#${anchorOf(alert)}`,
        dashboard: addressOf(placeOf(alert.name)!)
      }
    }
  }))
  return [
    { name: 'relay-slo', rules: recordingRules(createTime(budgetScale)) },
    { name: 'relay-alerts', rules: alerting }
  ]
}

/** A rule file, as `rule_files` of Prometheus names it. */
export function renderRules (scale?: number, budgetScale?: number): string {
  return WRITTEN + stringify({ groups: ruleGroups(scale, budgetScale) }, noLineBreaks)
}

/** The same for the Prometheus Operator on Kubernetes. */
export function renderPrometheusRule (): string {
  return WRITTEN + stringify({
    apiVersion: 'monitoring.coreos.com/v1',
    kind: 'PrometheusRule',
    metadata: { name: 'relay', labels: { 'app.kubernetes.io/name': 'relay' } },
    spec: { groups: ruleGroups() }
  }, noLineBreaks)
}

/** The anchor of an alarm in the runbook. */
export const anchorOf = ({ name }: Alert) => name.toLowerCase()

/** The metrics in an expression; those of histograms without Prometheus's suffixes. */
export function metricsOf (expr: string): string[] {
  const withoutTexts = expr.replace(/"[^"]*"/g, '""')
  const names = [...withoutTexts.matchAll(/\b(up|(?:relay|pg|kafka)_\w+)\b/g)]
    .map(it => it[1].startsWith('relay_') ? it[1].replace(/_(?:bucket|count|sum)$/, '') : it[1])
  return [...new Set(names)]
}

/** Without Markdown, which notifications do not render. */
const plain = (text: string) => text.replace(/\[([^[\]]*)\]\([^()]*\)/g, '$1').replaceAll('`', '')
