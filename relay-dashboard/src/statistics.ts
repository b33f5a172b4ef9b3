/** The statistics that a chart can show: a line, and for some a band around it. */

export interface Statistic {
  readonly name: string
  readonly label: string
  readonly line: string
  readonly band?: readonly [low: string, high: string]
  /** its unit, if it is not the unit of the devices' values */
  readonly unit?: string
}

export const statistics: readonly Statistic[] = [
  { name: 'avg', label: 'Average, minimum to maximum', line: 'avg', band: ['min', 'max'] },
  { name: 'median', label: 'Median, p5 to p95', line: 'median', band: ['p5', 'p95'] },
  { name: 'p99', label: 'p99', line: 'p99' },
  { name: 'stddev', label: 'Standard deviation', line: 'stddev' },
  { name: 'last', label: 'Last value', line: 'last' },
  { name: 'sum', label: 'Sum', line: 'sum' },
  { name: 'count', label: 'Count', line: 'count', unit: 'readings' },
  { name: 'increase', label: 'Increase of a counter', line: 'increase' },
  { name: 'rate', label: 'Rate of a counter', line: 'rate', unit: 'per second' },
  { name: 'timeWeightedAvg', label: 'Time-weighted average', line: 'timeWeightedAvg' }
]

export function parseStatistic (query: URLSearchParams): Statistic {
  return statistics.find(it => it.name === query.get('stat')) ?? statistics[0]
}

/** The columns of the table, and of the query. Every row has its number of readings. */
export function columnsOf ({ line, band }: Statistic): string[] {
  return [...new Set(['count', line, ...band ?? []])]
}
