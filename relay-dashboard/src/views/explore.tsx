/** Numbers of any selection over any range, as a chart and a table, with export. */
import type { AggregatesQuery } from '@relay-telemetry/client/src/index.ts'
import { useMemo, useRef, useState } from 'preact/hooks'

import { readAggregates, type Aggregates } from '../aggregates.ts'
import { useAnswer } from '../answer.ts'
import { Chart } from '../chart.tsx'
import { againsts, ComparisonTable, readComparison, type Against, type Compared } from '../comparison.tsx'
import { countOf, formatTime, isZone, ownZone } from '../format.ts'
import { addressOf, changed, go, usePlace, type Change } from '../location.ts'
import { EmptyNote, FailureNote, Skeleton } from '../notes.tsx'
import { customChange, questionOf, parseRange } from '../range.ts'
import { RangePicker } from '../range-picker.tsx'
import { RowsTable } from '../rows-table.tsx'
import { parseSelection, selectionQuery } from '../selection.ts'
import { SelectionPicker } from '../selection-picker.tsx'
import { LINES_MAX, linesBefore, linesOf, type GroupBy } from '../series.ts'
import { useSession } from '../session.ts'
import { clientCodeOf, curlOf } from '../snippets.ts'
import { columnsOf, parseStatistic, statistics, type Statistic } from '../statistics.ts'
import { TakeAway } from '../take-away.tsx'

const PATH = '/explore'
const intervals = ['auto', '1m', '5m', '15m', '1h', '6h', '1d', '1w', '1mo']
const fills = {
  null: 'shown as gaps',
  previous: 'filled with the value before',
  linear: 'filled with a straight line'
} as const
type Fill = keyof typeof fills

/** Pixels per row: more rows would not be visible. */
const PIXELS_PER_ROW = 3
const ROWS_MIN = 60
const REFRESH_MS = 15_000

export function Explore () {
  const { query } = usePlace()
  const { session } = useSession()
  const [maxPoints, setMaxPoints] = useState(() => pointsOf(innerWidth))
  const range = parseRange(query)
  const selection = parseSelection(query)
  const statistic = parseStatistic(query)
  const groupBy = parseGroupBy(query)
  const zone = isZone(query.get('tz') ?? '') ? query.get('tz')! : ownZone
  const interval = query.get('interval') ?? 'auto'
  const fill = parseFill(query)
  const asked: AggregatesQuery = {
    ...selectionQuery(selection),
    ...questionOf(range),
    interval,
    ...(interval === 'auto' ? { maxPoints } : {}),
    tz: zone,
    stats: columnsOf(statistic).join(','),
    fill,
    ...(groupBy ? { groupBy } : {})
  }
  const answer = useAnswer(
    JSON.stringify(asked),
    (relay, signal) => readAggregates(relay, asked, signal),
    range.kind === 'preset' ? REFRESH_MS : undefined
  )
  const against = parseAgainst(query)
  const found = answer.data
  const compared = useAnswer(
    found && against && JSON.stringify([asked, against, found.startMs, found.endMs]),
    (relay, signal) => readComparison(relay, asked, against!, found!, signal)
  )
  const change = (it: Change) => go(addressOf(PATH, changed(query, it)))

  return (
    <>
      <h1>Explore</h1>
      <section class='card controls' aria-label='What is shown'>
        <SelectionPicker selection={selection} onChange={(kind, names) => change({ [kind]: names })} />
        <RangePicker range={range} zone={zone} onChange={change} />
        <fieldset class='how'>
          <legend>How</legend>
          <Choice
            label='Statistic'
            value={statistic.name}
            onChange={stat => change({ stat })}
            options={statistics.map(it => [it.name, it.label])}
          />
          <Choice
            label='A line for'
            value={groupBy ?? ''}
            onChange={by => change({ by: by || undefined })}
            options={[
              ['', 'all together'],
              ['device', 'each device'],
              ['zone', 'each zone'],
              ['type', 'each type']
            ]}
          />
          <Choice
            label='Interval'
            value={interval}
            onChange={it => change({ interval: it === 'auto' ? undefined : it })}
            options={intervals.map(it => [it, it])}
          />
          <Choice
            label='Missing rows'
            value={fill}
            onChange={it => change({ fill: it === 'null' ? undefined : it })}
            options={Object.entries(fills)}
          />
          <Choice
            label='Compare with'
            value={against ?? ''}
            onChange={it => change({ against: it || undefined })}
            options={Object.entries(againsts)}
          />
        </fieldset>
      </section>
      <section class='card' aria-label='Result' aria-busy={answer.isLoading}>
        {answer.failure && <FailureNote failure={answer.failure} again={answer.again} />}
        {compared.failure && <FailureNote failure={compared.failure} again={compared.again} />}
        {!answer.data && !answer.failure && (
          <>
            <Skeleton height='chart' />
            <Skeleton height='table' />
          </>
        )}
        {answer.data && (
          <Result
            {...{ statistic, groupBy, zone }}
            found={answer.data}
            compared={against && compared.data}
            isLoading={answer.isLoading || compared.isLoading}
            onRange={(startMs, endMs) => change(customChange(startMs, endMs))}
            onWidth={width => setMaxPoints(pointsOf(width))}
          />
        )}
        {answer.data && session && (
          <TakeAway
            query={asked}
            curl={() => curlOf('/api/v1/aggregates', asked, session.isLocal ? session.token : '')}
            code={() => clientCodeOf(asked)}
          />
        )}
      </section>
    </>
  )
}

interface ResultProps {
  readonly found: Aggregates
  readonly compared: Compared | undefined
  readonly statistic: Statistic
  readonly groupBy: GroupBy | undefined
  readonly zone: string
  readonly isLoading: boolean
  readonly onRange: (startMs: number, endMs: number) => void
  readonly onWidth: (width: number) => void
}

function Result ({ found, compared, statistic, groupBy, zone, isLoading, onRange, onWidth }: ResultProps) {
  // an answer is of the question before until the next is there: the columns that it has decide
  const shape = useRef({ found, statistic, groupBy })
  if (shape.current.found !== found) shape.current = { found, statistic, groupBy }
  const { statistic: shown, groupBy: grouped } = shape.current
  const now = useMemo(() => linesOf(found.rows, grouped, shown), [found])
  const lines = useMemo(
    () =>
      compared === undefined
        ? now.lines
        : [
            ...now.lines,
            ...linesBefore(
              now,
              linesOf(compared.before.rows, grouped, shown),
              found.startMs - compared.before.startMs
            )
          ],
    [now, compared]
  )
  const { times, left, revised } = now
  if (!found.rows.some(it => it.count === undefined || it.count > 0)) {
    return (
      <EmptyNote title='No readings'>
        Nothing of this selection was sent in this range. Choose a longer range, or take something out of the
        selection. A device that never sent anything is not in the list of devices.
      </EmptyNote>
    )
  }
  return (
    <>
      <Chart
        label={`${shown.label} from ${formatTime(found.startMs, zone)} to ${formatTime(found.endMs, zone)}, ` +
          `${countOf(lines.length, 'line')}; the table below has its numbers`}
        times={times}
        lines={lines}
        zone={zone}
        start={found.startMs / 1_000}
        end={found.endMs / 1_000}
        completeThrough={found.completeThrough === null ? null : Date.parse(found.completeThrough) / 1_000}
        revised={revised}
        onRange={onRange}
        onWidth={onWidth}
      />
      <p class='summary'>
        <span>
          {shown.label}
          {shown.unit && `, ${shown.unit}`}, in rows of {found.interval}
        </span>
        <span>times in {zone}</span>
        <span>
          {found.completeThrough === null
            ? 'completeness is not known'
            : `complete through ${formatTime(found.completeThrough, zone, 'second')}`}{' '}
          <i class='mark hatch' /> not complete
        </span>
        {revised.size > 0 && (
          <span>
            <i class='mark revised' /> revised by late readings
          </span>
        )}
        <span>
          {countOf(found.lateReadings, 'late reading')}, {countOf(found.duplicateReadings, 'resend')}
        </span>
        {left > 0 && (
          <span>
            the first {LINES_MAX} of {LINES_MAX + left} lines; the table has all
          </span>
        )}
        <span class='busy' aria-hidden={!isLoading}>
          {isLoading ? 'loading …' : ''}
        </span>
      </p>
      <p class='hint'>
        Drag on the chart to zoom in; Ctrl and the wheel zoom around the pointer; the back button undoes it.
      </p>
      {compared && <ComparisonTable comparison={compared.comparison} zone={zone} />}
      <RowsTable rows={found.rows} columns={columnsOf(shown)} groupBy={grouped} zone={zone} />
    </>
  )
}

interface ChoiceProps {
  readonly label: string
  readonly value: string
  readonly options: readonly (readonly [value: string, text: string])[]
  readonly onChange: (value: string) => void
}

function Choice ({ label, value, options, onChange }: ChoiceProps) {
  return (
    <label class='field'>
      <span>{label}</span>
      <select value={value} onChange={event => onChange(event.currentTarget.value)}>
        {options.map(([name, text]) => (
          <option key={name} value={name}>
            {text}
          </option>
        ))}
      </select>
    </label>
  )
}

/** In steps, so that resizing a window does not send a request for every pixel. */
const pointsOf = (width: number) => Math.max(ROWS_MIN, Math.round(width / PIXELS_PER_ROW / 60) * 60)

function parseGroupBy (query: URLSearchParams): GroupBy | undefined {
  const by = query.get('by')
  return by === 'device' || by === 'zone' || by === 'type' ? by : undefined
}

function parseAgainst (query: URLSearchParams): Against | undefined {
  const against = query.get('against')
  return against === 'previous' || against === 'weekday' ? against : undefined
}

function parseFill (query: URLSearchParams): Fill {
  const fill = query.get('fill') ?? 'null'
  return fill in fills ? (fill as Fill) : 'null'
}
