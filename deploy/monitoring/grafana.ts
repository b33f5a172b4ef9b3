/** Renders `dashboards.ts` as JSON for Grafana. */
import * as common from '@grafana/grafana-foundation-sdk/common'
import * as grafana from '@grafana/grafana-foundation-sdk/dashboard'
import * as prometheus from '@grafana/grafana-foundation-sdk/prometheus'
import * as stat from '@grafana/grafana-foundation-sdk/stat'
import * as timeseries from '@grafana/grafana-foundation-sdk/timeseries'

import { dashboards } from './dashboards.ts'
import type { Dashboard, Panel } from './panels.ts'

/** a page has 24 columns */
const sizes = { number: { w: 4, h: 4 }, graph: { w: 8, h: 8 } } as const
/** the data source that is selected at the top */
const DATASOURCE = { type: 'prometheus', uid: '${datasource}' } // eslint-disable-line no-template-curly-in-string

/** The place of a panel: its number is the same in the JSON, in alarms and in the runbook. */
export interface Place {
  readonly dashboard: Dashboard
  readonly panel: Panel
  readonly id: number
}

/** All panels; rows have numbers too. */
export const places: readonly Place[] = dashboards.flatMap(dashboard => {
  let id = 0
  return dashboard.rows.flatMap(row => {
    id++
    return row.panels.map(panel => ({ dashboard, panel, id: ++id }))
  })
})

/** The panel for an alarm: the first in the dashboards of programs and servers, else that of the overview. */
export function placeOf (alarm: string): Place | undefined {
  const found = places.filter(it => it.panel.alarms.includes(alarm))
  return found.find(it => it.dashboard !== dashboards[0]) ?? found[0]
}

/** The address of a panel, within Grafana. */
export const addressOf = ({ dashboard, id }: Place) => `/d/${dashboard.uid}?viewPanel=panel-${id}`

/** A dashboard as the text of its file. */
export function renderDashboard (dashboard: Dashboard): string {
  return JSON.stringify(build(dashboard), null, 2) + '\n'
}

function build (dashboard: Dashboard): grafana.Dashboard {
  const { uid, title, about, rows } = dashboard
  const builder = new grafana.DashboardBuilder(title)
    .uid(uid)
    .description(about)
    .tags(['relay'])
    .timezone('utc')
    .time({ from: 'now-3h', to: 'now' })
    .refresh('30s')
    .editable()
    .tooltip(grafana.DashboardCursorSync.Crosshair)
    .withVariable(new grafana.DatasourceVariableBuilder('datasource').label('Prometheus').type('prometheus'))
    .withVariable(new grafana.QueryVariableBuilder('namespace')
      .label('Site')
      .datasource(DATASOURCE)
      .query('label_values(relay_build_info, namespace)')
      .refresh(grafana.VariableRefresh.OnTimeRangeChanged)
      .includeAll(true)
      .allValue('.*') // includes metrics without such a label
      .current({ selected: true, text: 'All', value: '$__all' }))
    .link(new grafana.DashboardLinkBuilder('Relay').type(grafana.DashboardLinkType.Dashboards).tags(['relay'])
      .keepTime(true).includeVars(true))

  for (const row of rows) {
    const own = places.filter(it => it.dashboard === dashboard && row.panels.includes(it.panel))
    builder.withRow(new grafana.RowBuilder(row.title).id(own[0].id - 1))
    for (const { panel, id } of own) {
      builder.withPanel(buildPanel(panel).id(id).span(sizes[panel.kind].w).height(sizes[panel.kind].h))
    }
  }
  return builder.build()
}

function buildPanel (panel: Panel): stat.PanelBuilder | timeseries.PanelBuilder {
  const builder = panel.kind === 'number'
    ? new stat.PanelBuilder()
      .reduceOptions(new common.ReduceDataOptionsBuilder().calcs(['lastNotNull']))
      .colorMode(panel.limits.length > 0 ? common.BigValueColorMode.Background : common.BigValueColorMode.None)
      .graphMode(common.BigValueGraphMode.None)
    : new timeseries.PanelBuilder()
      .lineWidth(1)
      .fillOpacity(0)
      .showPoints(common.VisibilityMode.Never)
      .tooltip(
        new common.VizTooltipOptionsBuilder().mode(common.TooltipDisplayMode.Multi).sort(common.SortOrder.Descending)
      )
      .thresholdsStyle(new common.GraphThresholdsStyleConfigBuilder()
        .mode(panel.limits.length > 0 ? common.GraphThresholdsStyleMode.Dashed : common.GraphThresholdsStyleMode.Off))
  builder
    .title(panel.title)
    .datasource(DATASOURCE)
    .unit(panel.unit)
    .min(0)
    .thresholds(new grafana.ThresholdsConfigBuilder().mode(grafana.ThresholdsMode.Absolute).steps([
      { value: null, color: 'green' }, ...panel.limits.map(({ from, color }) => ({ value: from, color }))
    ]))
  if (panel.alarms.length > 0) {
    builder.description(`Alarms: ${panel.alarms.map(it => `${it} (docs/runbook.md#${it.toLowerCase()})`).join(', ')}`)
  }
  for (const [n, { expr, legend }] of panel.queries.entries()) {
    builder.withTarget(
      new prometheus.DataqueryBuilder().expr(expr).legendFormat(legend).refId(String.fromCharCode(65 + n))
    )
  }
  return builder
}
