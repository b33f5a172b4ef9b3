/** One device: newest readings, values over time, profile of the day, distribution, its zones, and its dead letters. */
import type { components } from '@relay-telemetry/client/src/index.ts'

import { useAnswer } from '../answer.ts'
import { Bars } from '../bars.tsx'
import { Chart } from '../chart.tsx'
import { useNow } from '../clock.ts'
import { dataOf } from '../failure.ts'
import { countOf, formatAgo, formatCount, formatNumber, formatTime, isZone, ownZone } from '../format.ts'
import { addressOf, changed, follow, go, usePlace, type Change } from '../location.ts'
import { EmptyNote, FailureNote, Skeleton } from '../notes.tsx'
import { DeadLetters } from '../operations/dead-letters.tsx'
import { customChange, questionOf, parseRange, type Range } from '../range.ts'
import { RangePicker } from '../range-picker.tsx'
import { linesOf, type Row } from '../series.ts'
import { statistics } from '../statistics.ts'
import { numeric, Table } from '../table.tsx'
import { DayProfile } from './day-profile.tsx'
import { NewestMinutes } from './newest-minutes.tsx'

const PATH = '/device'
const REFRESH_MS = 15_000
const POINTS_MAX = 420
const BINS = 40
const numbers = ['count', 'avg', 'stddev', 'min', 'p5', 'p25', 'median', 'p75', 'p95', 'p99', 'max'] as const

export function DeviceView () {
  const { query } = usePlace()
  const id = query.get('id') ?? ''
  const zone = isZone(query.get('tz') ?? '') ? query.get('tz')! : ownZone
  const range = parseRange(query)
  const change = (it: Change) => go(addressOf(PATH, changed(query, it)))
  const nowMs = useNow()
  const device = useAnswer(
    id === '' ? undefined : `device ${id}`,
    async (relay, signal) =>
      dataOf(await relay.GET('/api/v1/devices/{device}', { params: { path: { device: id } }, signal })),
    REFRESH_MS
  )

  if (id === '') {
    return (
      <>
        <h1>Device</h1>
        <EmptyNote title='No device is chosen'>
          Choose one in{' '}
          <a href='/' onClick={follow}>
            the fleet
          </a>
          .
        </EmptyNote>
      </>
    )
  }
  return (
    <>
      <h1>{id}</h1>
      {device.failure && <FailureNote failure={device.failure} again={device.again} />}
      <section class='card' aria-label='Newest reading'>
        {device.data
          ? (
            <Newest device={device.data} zone={zone} nowMs={nowMs} />
            )
          : (
              !device.failure && <Skeleton height='list' />
            )}
      </section>
      <section class='card controls' aria-label='Range'>
        <RangePicker range={range} zone={zone} onChange={change} />
      </section>
      <OverTime {...{ id, range, zone }} onRange={(startMs, endMs) => change(customChange(startMs, endMs))} />
      <div class='columns'>
        <DistributionCard {...{ id, range }} />
        <DayProfile {...{ id, zone }} />
      </div>
      {device.data && <NewestMinutes device={device.data} zone={zone} />}
      {device.data && <Places device={device.data} zone={zone} />}
      <LettersOf id={id} />
    </>
  )
}

type Details = components['schemas']['DeviceDetails']

function Newest ({
  device,
  zone,
  nowMs
}: {
  readonly device: Details
  readonly zone: string
  readonly nowMs: number
}) {
  const explore = addressOf('/explore', new URLSearchParams({ device: device.device }))
  const live = addressOf('/live', new URLSearchParams({ device: device.device }))
  return (
    <dl class='facts'>
      <div>
        <dt>Last value</dt>
        <dd class='large'>{formatNumber(device.lastValue)}</dd>
      </div>
      <div>
        <dt>Last seen</dt>
        <dd>
          {formatTime(device.lastSeen, zone, 'zone')}
          <br />
          {formatAgo(Date.parse(device.lastSeen), nowMs)}
        </dd>
      </div>
      <div>
        <dt>First seen</dt>
        <dd>{formatTime(device.firstSeen, zone, 'zone')}</dd>
      </div>
      <div>
        <dt>Zone</dt>
        <dd>{device.zone}</dd>
      </div>
      <div>
        <dt>Type</dt>
        <dd>{device.type}</dd>
      </div>
      <div>
        <dt>More</dt>
        <dd>
          <a href={explore} onClick={follow}>
            Explore
          </a>
          ,{' '}
          <a href={live} onClick={follow}>
            live
          </a>
        </dd>
      </div>
    </dl>
  )
}

interface OverTimeProps {
  readonly id: string
  readonly range: Range
  readonly zone: string
  readonly onRange: (startMs: number, endMs: number) => void
}

function OverTime ({ id, range, zone, onRange }: OverTimeProps) {
  const asked = {
    device: [id],
    ...questionOf(range),
    interval: 'auto',
    maxPoints: POINTS_MAX,
    tz: zone,
    stats: 'count,avg,min,max',
    fill: 'null' as const
  }
  const { data, failure, again } = useAnswer(
    JSON.stringify(asked),
    async (relay, signal) => dataOf(await relay.GET('/api/v1/aggregates', { params: { query: asked }, signal })),
    REFRESH_MS
  )
  const { times, lines: found, revised } = linesOf(data?.rows ?? [], undefined, statistics[0])
  const lines = found.map(it => ({ ...it, name: id }))
  return (
    <section class='card' aria-labelledby='over-time'>
      <h2 id='over-time'>Average, minimum to maximum</h2>
      {failure && <FailureNote failure={failure} again={again} />}
      {!data && !failure && <Skeleton height='chart' />}
      {data &&
        (times.length === 0
          ? (
            <EmptyNote title='No readings in this range'>Choose a longer one.</EmptyNote>
            )
          : (
            <>
              <Chart
                label={`Values of ${id}`}
                {...{ times, lines, zone, revised, onRange }}
                start={Date.parse(data.start) / 1_000}
                end={Date.parse(data.end) / 1_000}
                completeThrough={data.completeThrough === null ? null : Date.parse(data.completeThrough) / 1_000}
              />
              <p class='summary'>
                <span>
                  in rows of {data.interval}, times in {zone}
                </span>
                <span>
                  {countOf(data.lateReadings, 'late reading')}, {countOf(data.duplicateReadings, 'resend')}
                </span>
                {revised.size > 0 && (
                  <span>
                    <i class='mark revised' /> revised by late readings
                  </span>
                )}
              </p>
            </>
            ))}
    </section>
  )
}

function DistributionCard ({ id, range }: { readonly id: string; readonly range: Range }) {
  const asked = { device: [id], ...questionOf(range) }
  const { data, failure } = useAnswer(JSON.stringify(asked), async (relay, signal) => {
    const [bins, row] = await Promise.all([
      relay.GET('/api/v1/distribution', { params: { query: { ...asked, bins: BINS } }, signal }),
      relay.GET('/api/v1/aggregates', {
        params: { query: { ...asked, interval: 'range', stats: numbers.join(',') } },
        signal
      })
    ])
    return { distribution: dataOf(bins), row: dataOf(row).rows.at(0) }
  })
  return (
    <section class='card' aria-labelledby='distribution'>
      <h2 id='distribution'>Distribution in this range</h2>
      {failure && <FailureNote failure={failure} />}
      {!data && !failure && <Skeleton height='chart' />}
      {data && data.distribution.count === 0 && (
        <EmptyNote title='No readings in this range'>Choose a longer one.</EmptyNote>
      )}
      {data && data.distribution.count > 0 && (
        <>
          <Bars
            label={`${formatCount(data.distribution.count)} readings by value`}
            bars={data.distribution.bins.map(it => ({
              height: it.count,
              text: `${formatNumber(it.from)} to ${formatNumber(it.to)}: ${countOf(it.count, 'reading')}`
            }))}
            from={formatNumber(data.distribution.min)}
            to={formatNumber(data.distribution.max)}
          />
          {data.row && <Numbers row={data.row} />}
        </>
      )}
    </section>
  )
}

function Numbers ({ row }: { readonly row: Row }) {
  return (
    <dl class='facts small'>
      {numbers.map(name => {
        const error = row[`${name}Error`] as number | null | undefined
        return (
          <div key={name}>
            <dt>{name}</dt>
            <dd>
              {formatNumber(row[name] as number | null)}
              {error ? <small> ± {formatNumber(error)}</small> : ''}
            </dd>
          </div>
        )
      })}
    </dl>
  )
}

function Places ({ device, zone }: { readonly device: Details; readonly zone: string }) {
  return (
    <section class='card' aria-labelledby='places'>
      <h2 id='places'>
        {device.series.length === 1
          ? 'It has sent from one place, as one type'
          : 'Where it has sent from, and as what'}
      </h2>
      <Table
        label='Places'
        columns={['zone', 'type', `first seen (${zone})`, `last seen (${zone})`, numeric('last value')]}
      >
        {device.series.map(it => (
          <tr key={`${it.zone} ${it.type}`}>
            <td>{it.zone}</td>
            <td>{it.type}</td>
            <td>{formatTime(it.firstSeen, zone, 'zone')}</td>
            <td>{formatTime(it.lastSeen, zone, 'zone')}</td>
            <td class='number'>{formatNumber(it.lastValue)}</td>
          </tr>
        ))}
      </Table>
    </section>
  )
}

/** They are read from the log, and only administrators may see them, so nothing is asked until somebody wants them. */
function LettersOf ({ id }: { readonly id: string }) {
  const { query } = usePlace()
  const isOpen = query.get('show') === 'letters'
  const toggle = () => go(addressOf(PATH, changed(query, { show: isOpen ? undefined : 'letters' })))
  return (
    <>
      <p class='chosen'>
        <button type='button' aria-expanded={isOpen} onClick={toggle}>
          {isOpen ? 'Hide its dead letters' : 'Show its dead letters'}
        </button>{' '}
        <span class='hint'>Its invalid events, and why they were refused; for administrators.</span>
      </p>
      {isOpen && <DeadLetters path={PATH} device={id} />}
    </>
  )
}
