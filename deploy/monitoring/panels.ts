/** The parts of a dashboard, independent of Grafana: rows of panels, panels of queries. */
import { alerts } from './alerts.ts'
import { createTime } from './time.ts'

export interface Dashboard {
  /** part of its address in Grafana, and the name of its file */
  readonly uid: string
  readonly title: string
  readonly about: string
  readonly rows: readonly Row[]
}

export interface Row {
  readonly title: string
  readonly panels: readonly Panel[]
}

export interface Panel {
  readonly title: string
  /** `number`: the current value; `graph`: values over time */
  readonly kind: 'number' | 'graph'
  /** in Grafana's names */
  readonly unit: 's' | 'short' | 'percentunit' | 'bytes' | 'reqps' | 'ops' | 'bool'
  readonly queries: readonly Query[]
  /** alarms on its metrics */
  readonly alarms: readonly string[]
  /** values at which it turns yellow or red */
  readonly limits: readonly Limit[]
}

export interface Query {
  readonly expr: string
  /** of its lines; labels in `{{ }}` */
  readonly legend: string
  /** why a healthy site has no such series; undefined: it has some */
  readonly emptyAsLong?: string
}

export interface Limit {
  readonly from: number
  readonly color: 'yellow' | 'red'
}

interface PanelOptions {
  readonly alarms?: readonly string[]
  readonly limits?: readonly Limit[]
}

type MakePanel = (title: string, unit: Panel['unit'], queries: readonly Query[], options?: PanelOptions) => Panel

const make = (kind: Panel['kind']): MakePanel => (title, unit, queries, { alarms = [], limits = [] } = {}) =>
  ({ title, kind, unit, queries, alarms, limits })

export const graph = make('graph')
export const number = make('number')

/**
 * The value at which an alarm of one comparison fires: red from there on. Flags are whole numbers: more than 0 is 1.
 */
function limitOf (name: string): Limit {
  const [rule] = Object.values(alerts.find(it => it.name === name)!.rules)
  const limit = Number(/ >=? ([\d.]+)$/.exec(rule.expr(createTime()))![1])
  return { from: limit === 0 ? 1 : limit, color: 'red' }
}

/** An alarm of one comparison, and where it fires. */
export const watched = (name: string): PanelOptions => ({ alarms: [name], limits: [limitOf(name)] })

/** All series of one site, or all series in Prometheus if metrics have no such label. */
const OF_SITE = 'namespace=~"$namespace"'

/** A selector of the site that is selected at the top of a dashboard. */
export function of (metric: string, matchers = ''): string {
  return `${metric}{${OF_SITE}${matchers === '' ? '' : `,${matchers}`}}`
}

export const query = (expr: string, legend: string, emptyAsLong?: string): Query => ({ expr, legend, emptyAsLong })

const grouped = (operator: string, by: string) => by === '' ? operator : `${operator} by (${by}) `

/** A gauge, the worst of all programs. */
export const worst = (metric: string, legend: string, by = '', matchers = ''): Query =>
  query(`${grouped('max', by)}(${of(metric, matchers)})`, legend)

/** A gauge, the sum of all programs. */
export const total = (metric: string, legend: string, by = '', matchers = ''): Query =>
  query(`${grouped('sum', by)}(${of(metric, matchers)})`, legend)

/** A counter, per second. */
export const perSecond = (metric: string, legend: string, by = '', matchers = ''): Query =>
  query(`${grouped('sum', by)}(rate(${of(metric, matchers)}[$__rate_interval]))`, legend)

/** The increase of a counter within a time. */
export const within = (metric: string, window: string, legend: string, by = '', matchers = ''): Query =>
  query(`${grouped('sum', by)}(increase(${of(metric, matchers)}[${window}]))`, legend)

/** Quantiles of a histogram: median and 99th percentile. */
export function quantiles (metric: string, legend = '', by = '', matchers = ''): Query[] {
  const labels = by === '' ? 'le' : `le, ${by}`
  return [0.5, 0.99].map(q => query(
    `histogram_quantile(${q}, sum by (${labels}) (rate(${of(`${metric}_bucket`, matchers)}[$__rate_interval])))`,
    `p${q * 100}${legend}`))
}
