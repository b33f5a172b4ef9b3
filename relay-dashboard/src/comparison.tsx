/** Comparison of a range with an earlier one: its lines for the chart, and its numbers. */
import type { AggregatesQuery, components, RelayClient } from '@relay-telemetry/client/src/index.ts'

import { readAggregates, type Aggregates } from './aggregates.ts'
import { dataOf } from './failure.ts'
import { formatNumber, formatPercent, formatTime } from './format.ts'
import { numeric, Table } from './table.tsx'

export const againsts = { '': 'nothing', previous: 'the range before', weekday: 'the same weekday before' } as const
export type Against = Exclude<keyof typeof againsts, ''>

export interface Compared {
  readonly comparison: components['schemas']['Comparison']
  readonly before: Aggregates
}

/** @param found answer for the compared range: the earlier one gets the same interval */
export async function readComparison (
  relay: RelayClient,
  asked: AggregatesQuery,
  against: Against,
  found: Aggregates,
  signal: AbortSignal
): Promise<Compared> {
  const { device, zone, type, tz, stats } = asked
  const range = { start: new Date(found.startMs).toISOString(), end: new Date(found.endMs).toISOString() }
  const query = { device, zone, type, tz, stats, ...range, against }
  const comparison = dataOf(await relay.GET('/api/v1/compare', { params: { query }, signal }))
  const { maxPoints: _, ...rest } = asked
  const before = await readAggregates(relay, { ...rest, ...comparison.against, interval: found.interval }, signal)
  return { comparison, before }
}

export function ComparisonTable ({
  comparison: { range, against, stats },
  zone
}: {
  readonly comparison: Compared['comparison']
  readonly zone: string
}) {
  return (
    <Table
      label='Comparison'
      columns={['number', ...['now', 'before', 'change', 'relative'].map(numeric)]}
      caption={
        <>
          All together: {formatTime(range.start, zone)} to {formatTime(range.end, zone)}, against{' '}
          {formatTime(against.start, zone)} to {formatTime(against.end, zone)} ({zone})
        </>
      }
    >
      {stats.map(({ stat, value, againstValue, change, relativeChange }) => (
        <tr key={stat}>
          <td>{stat}</td>
          <td class='number'>{formatNumber(value)}</td>
          <td class='number'>{formatNumber(againstValue)}</td>
          <td class='number'>{formatNumber(change)}</td>
          <td class='number'>{relativeChange === null ? '–' : formatPercent(relativeChange)}</td>
        </tr>
      ))}
    </Table>
  )
}
