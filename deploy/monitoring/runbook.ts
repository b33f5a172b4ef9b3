/** Renders the alarms of the runbook from `alerts.ts`, `fault-alarms.ts` and `dashboards.ts`. */
import { alerts, type Alert } from './alerts.ts'
import { faultAlarms, type FaultAlarms } from './fault-alarms.ts'
import { placeOf } from './grafana.ts'
import { anchorOf, metricsOf } from './render.ts'
import { recordingRules } from './slos.ts'
import { createTime } from './time.ts'

/** The runbook with the current faults and alarms. @throws if it has no place for them */
export function withAlarms (runbook: string): string {
  return withSection(withSection(runbook, 'faults', renderFaults()), 'alarms', renderAlarms())
}

function withSection (runbook: string, name: string, text: string): string {
  const beginning = `<!-- ${name}: written by npm exec -- node deploy/monitoring/main.ts -->`
  const ending = `<!-- end of ${name} -->`
  const [begin, end] = [runbook.indexOf(beginning), runbook.indexOf(ending)]
  if (begin < 0 || end < begin) throw new Error(`the runbook must have ${beginning} and ${ending}`)
  return `${runbook.slice(0, begin)}${beginning}\n\n${text}\n${runbook.slice(end)}`
}

function renderFaults (): string {
  const rows = Object.values<FaultAlarms>(faultAlarms).map(({ what, pages, laterPages, tickets, withinMinutes }) =>
    `| ${what} | ${pages.join(', ')} | ${laterPages.join(', ')} | ${tickets.join(', ')} | ${pages.length + tickets.length > 0 ? `${withinMinutes} min` : ''} |`)
  return [
    '| fault | pages | pages if it lasts | tickets | all within |', '| --- | --- | --- | --- | --- |', ...rows, ''
  ].join('\n')
}

function renderAlarms (): string {
  const rows = alerts.map(alert =>
    `| [${alert.name}](#${anchorOf(alert)}) | ${Object.keys(alert.rules).join(', ')} | ${alert.when} |`)
  return [
    '| alarm | severity | fires when |', '| --- | --- | --- |', ...rows, '', ...alerts.map(renderAlarm)
  ].join('\n')
}

function renderAlarm (alert: Alert): string {
  const { name, meaning, impact, diagnosis, action } = alert
  const { dashboard, panel } = placeOf(name)!
  return `### ${name}

- **Meaning**: ${meaning}
- **Impact**: ${impact}
- **Diagnosis**: ${diagnosis}
- **Do**: ${action}
- **Metrics**: ${metricsIn(alert).map(it => `\`${it}\``).join(', ')}
- **Panel**: *${panel.title}* of *${dashboard.title}*
`
}

/** The metrics of an alarm, including those of its recording rules. */
function metricsIn (alert: Alert): string[] {
  const time = createTime()
  const recorded = recordingRules(time)
  const exprs = Object.values(alert.rules).map(it => it.expr(time))
  const slos = new Set(exprs.flatMap(it => [...it.matchAll(/slo="([^"]+)"/g)]).map(it => it[1]))
  exprs.push(...recorded.filter(it => slos.has(it.labels.slo)).map(it => it.expr))
  return [...new Set(exprs.flatMap(metricsOf))]
}
