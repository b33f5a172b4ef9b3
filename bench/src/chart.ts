/**
 * Charts as SVG, drawn by Vega without a browser. Text and axes use the text colour of the page, in light and dark
 * mode: the image reads the system's preference.
 */
import { parse, View } from 'vega'
import { compile, type TopLevelSpec } from 'vega-lite'

/** Distinguishable for all viewers, on white and on black (Okabe and Ito 2008). */
export const colours = ['#0072B2', '#E69F00', '#009E73', '#CC79A7', '#D55E00']

const TEXT = 'currentColor'
const FAINT = '#8886'
const style = '<style>svg{color:#1f2328}@media(prefers-color-scheme:dark){svg{color:#e6edf3}}</style>'

const config: TopLevelSpec['config'] = {
  background: 'transparent',
  font: 'system-ui, sans-serif',
  view: { stroke: null },
  range: { category: colours },
  title: { color: TEXT, fontSize: 15, subtitleColor: TEXT, subtitleFontSize: 12, anchor: 'start', offset: 12 },
  axis: {
    labelColor: TEXT,
    titleColor: TEXT,
    tickColor: FAINT,
    domainColor: FAINT,
    gridColor: FAINT,
    labelFontSize: 12,
    titleFontSize: 12,
    titleFontWeight: 'normal',
    labelLimit: 0 // without a canvas widths are estimates, and far too large
  },
  legend: { labelLimit: 0, labelColor: TEXT, titleColor: TEXT, labelFontSize: 12 },
  header: { labelColor: TEXT, titleColor: TEXT, labelFontSize: 13 },
  text: { color: TEXT, fontSize: 12 },
  rule: { color: TEXT }
}

/** @param spec what to draw, including data */
export async function drawChart (spec: TopLevelSpec): Promise<string> {
  const compiled = compile({ ...spec, config: { ...config, ...spec.config } } as TopLevelSpec).spec
  const svg = await new View(parse(compiled), { renderer: 'none' }).toSVG()
  return svg.replace(/(<svg[^>]*>)/, `$1${style}`) + '\n'
}

export interface Bar {
  readonly label: string
  readonly value: number
  /** range of single runs, drawn as a line through the end of the bar */
  readonly min?: number
  readonly max?: number
  readonly group?: string
}

/** Horizontal bars with labels and figures. */
export function drawBars (
  title: string, subtitle: string, axisTitle: string, bars: readonly Bar[], numberFormat: string
): Promise<string> {
  const isGrouped = bars.some(it => it.group !== undefined)
  const labels = [...new Set(bars.map(it => it.label))]
  const y = { field: 'label', type: 'nominal', sort: labels, title: null } as const
  const groups = [...new Set(bars.map(it => it.group))]
  const yOffset = isGrouped ? { yOffset: { field: 'group', sort: groups } } : {}
  const spread = { data: { values: bars.filter(it => it.min !== undefined) } }
  return drawChart({
    title: { text: title, subtitle },
    width: 520,
    height: { step: isGrouped ? 22 : 36 },
    data: { values: bars.map(it => ({ ...it, end: Math.max(it.value, it.max ?? 0) })) },
    encoding: { y, ...yOffset },
    layer: [
      {
        mark: { type: 'bar', cornerRadiusEnd: 2 },
        encoding: {
          x: { field: 'value', type: 'quantitative', title: axisTitle, axis: { format: '~s', tickCount: 6 } },
          color: isGrouped
            ? { field: 'group', type: 'nominal', scale: { domain: groups }, legend: { title: null, orient: 'bottom' } }
            : { value: colours[0] }
        }
      },
      { ...spread, mark: 'rule', encoding: { x: { field: 'min', type: 'quantitative' }, x2: { field: 'max' } } },
      {
        mark: { type: 'text', align: 'left', dx: 6 },
        encoding: {
          x: { field: 'end', type: 'quantitative' },
          text: { field: 'value', type: 'quantitative', format: numberFormat }
        }
      }
    ]
  } as TopLevelSpec)
}
