import type { RelayClient } from '@relay-telemetry/client/src/index.ts'

import { useAnswer } from '../answer.ts'
import { Bars } from '../bars.tsx'
import { dataOf } from '../failure.ts'
import { formatNumber } from '../format.ts'
import { EmptyNote, FailureNote, Skeleton } from '../notes.tsx'

const PROFILE_RANGE = '-7d'

/** The average of a device by hour of day: the same hour of each day, together. */
export function DayProfile ({ id, zone }: { readonly id: string; readonly zone: string }) {
  const { data, failure } = useAnswer(`${id} ${zone}`, (relay, signal) => readProfile(relay, id, zone, signal))
  const known = data?.filter(it => it !== null) ?? []
  const low = Math.min(...known)
  const high = Math.max(...known)
  return (
    <section class='card' aria-labelledby='profile'>
      <h2 id='profile'>Average by hour of day, last 7 days, {zone}</h2>
      {failure && <FailureNote failure={failure} />}
      {!data && !failure && <Skeleton height='chart' />}
      {data &&
        (known.length === 0
          ? (
            <EmptyNote title='No readings in the last 7 days'>The profile begins with the first one.</EmptyNote>
            )
          : (
            <>
              <Bars
                label={`Average by hour of day, from ${formatNumber(low)} to ${formatNumber(high)}`}
                bars={data.map((value, hour) => ({
                  height: value === null ? 0 : ((value - low) / (high - low || 1)) * 0.85 + 0.15,
                  text: `${String(hour).padStart(2, '0')}:00: ${value === null ? 'no readings' : formatNumber(value)}`
                }))}
                from='00:00'
                to='24:00'
              />
              <p class='hint'>
                Bars go from {formatNumber(low)} to {formatNumber(high)}; they do not begin at 0.
              </p>
            </>
            ))}
    </section>
  )
}

async function readProfile (
  relay: RelayClient,
  id: string,
  tz: string,
  signal: AbortSignal
): Promise<(number | null)[]> {
  const query = { device: [id], start: PROFILE_RANGE, interval: '1h', tz, stats: 'count,sum' }
  const { rows } = dataOf(await relay.GET('/api/v1/aggregates', { params: { query }, signal }))
  const hours = Array.from({ length: 24 }, () => ({ count: 0, sum: 0 }))
  for (const { bucketStart, count = 0, sum } of rows) {
    const hour = hours[Number(bucketStart.slice(11, 13))] // on the clock of `tz`
    hour.count += count
    hour.sum += sum ?? 0
  }
  return hours.map(({ count, sum }) => (count === 0 ? null : sum / count))
}
