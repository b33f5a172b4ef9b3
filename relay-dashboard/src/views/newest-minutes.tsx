/** The newest readings of a device: the minutes with readings up to its last one, each with its last reading. */
import type { components } from '@relay-telemetry/client/src/index.ts'

import { useAnswer } from '../answer.ts'
import { dataOf } from '../failure.ts'
import { formatCount, formatNumber, formatTime } from '../format.ts'
import { FailureNote, Skeleton } from '../notes.tsx'
import { numeric, Table } from '../table.tsx'

/** Within this time before its last reading. */
const BEFORE_MS = 24 * 3_600_000
const MINUTES_MAX = 20

interface NewestMinutesProps {
  readonly device: components['schemas']['DeviceDetails']
  readonly zone: string
}

export function NewestMinutes ({ device: { device, lastSeen }, zone }: NewestMinutesProps) {
  const lastMs = Date.parse(lastSeen)
  const query = {
    device: [device],
    start: new Date(lastMs - BEFORE_MS).toISOString(),
    end: new Date(lastMs + 1).toISOString(),
    interval: '1m',
    order: 'desc' as const,
    limit: MINUTES_MAX,
    stats: 'count,last,min,max'
  }
  const { data, failure, again } = useAnswer(
    JSON.stringify(query),
    async (relay, signal) => dataOf(await relay.GET('/api/v1/aggregates', { params: { query }, signal }))
  )
  return (
    <section class='card' aria-labelledby='newest-readings'>
      <h2 id='newest-readings'>Newest readings</h2>
      {failure && <FailureNote failure={failure} again={again} />}
      {!data && !failure && <Skeleton height='list' />}
      {data && (
        <Table
          label='Minutes'
          columns={[`time (${zone})`, numeric('value'), numeric('readings in this minute'), numeric('min'), numeric('max')]}
          isShort
        >
          {data.rows.map(({ bucketStart, lastTime, last, count, min, max }) => (
            <tr key={bucketStart}>
              <td>{formatTime(lastTime ?? bucketStart, zone, 'second')}</td>
              <td class='number'>{formatNumber(last)}</td>
              <td class='number'>{formatCount(count ?? 0)}</td>
              <td class='number'>{formatNumber(min)}</td>
              <td class='number'>{formatNumber(max)}</td>
            </tr>
          ))}
        </Table>
      )}
    </section>
  )
}
