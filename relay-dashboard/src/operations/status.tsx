/** The status of a site: faults first, then numbers, partitions, programs and gaps. */
import { useRef } from 'preact/hooks'

import { useAnswer } from '../answer.ts'
import { useNow } from '../clock.ts'
import { dataOf, Refused } from '../failure.ts'
import { formatAgo, formatCount, formatRate, formatSeconds, formatTime, ownZone } from '../format.ts'
import { FailureNote, Skeleton } from '../notes.tsx'
import { numeric, Table } from '../table.tsx'
import { faultsOf, type Operations, type Unready } from './faults.ts'

const REFRESH_MS = 5_000
/** Counting reads all letters of an hour. */
const LETTERS_REFRESH_MS = 30_000
const FORBIDDEN = 403

export function Status () {
  const nowMs = useNow()
  const rates = useRates()
  const { data, failure, again } = useAnswer(
    'status',
    async (relay, signal) => {
      const [query, ingest, day, operations] = await Promise.all([
        unreadyFor('query', signal),
        unreadyFor('ingest', signal),
        relay.GET(
          '/api/v1/aggregates', { params: { query: { start: '-24h', interval: 'range', stats: 'count' } }, signal }
        ),
        relay.GET('/api/v1/operations', { signal })
      ])
      const isForbidden = operations.response.status === FORBIDDEN
      return {
        query,
        ingest,
        day: dayOf(day),
        operations: isForbidden ? undefined : rates.note(dataOf(operations))
      }
    },
    REFRESH_MS
  )
  const recent = useAnswer(
    'recent letters',
    async (relay, signal) => {
      const { data: letters } = await relay.GET(
        '/api/v1/dead-letters', { params: { query: { start: '-1h', limit: 1 } }, signal }
      )
      return letters?.reasons.reduce((sum, it) => sum + it.count, 0) // undefined: this API does not know
    },
    LETTERS_REFRESH_MS
  )
  if (failure && !data) return <FailureNote failure={failure} again={again} />
  if (!data) {
    return (
      <section class='card'>
        <Skeleton height='list' />
      </section>
    )
  }
  const faults = faultsOf({ ...data, recentLetters: recent.data }, nowMs)
  const { operations, day } = data
  return (
    <>
      {failure && <FailureNote failure={failure} again={again} />}
      {faults.map(({ what, detail, runbook }) => (
        <div key={what} class='note bad' role='alert'>
          <strong>{what}</strong>
          <p>
            {detail} <a href={`/runbook#${runbook}`}>What to do</a>
          </p>
        </div>
      ))}
      {faults.length === 0 && (
        <div class='note good'>
          <strong>✓ All is well</strong>
          <p>Queries are answered, events are accepted{operations && ', and rollups are up to date'}.</p>
        </div>
      )}
      {operations
        ? (
          <>
            <Numbers {...{ operations, rates, day, nowMs }} />
            <Partitions {...{ operations, rates, nowMs }} />
            <Programs operations={operations} nowMs={nowMs} />
            {operations.gapCount > 0 && <Gaps operations={operations} />}
          </>
          )
        : (
          <p class='hint'>
            Lag, programs and gaps are about all devices: a token or key without grants shows them.
          </p>
          )}
    </>
  )
}

/** Why a function of the API does not work, by part. `/readyz` needs no token. */
async function unreadyFor (name: 'query' | 'ingest', signal: AbortSignal): Promise<Unready> {
  const answer = await fetch(`/readyz?for=${name}`, { signal })
  const { faults = {} } = (await answer.json()) as { faults?: Unready }
  return faults
}

interface Day {
  readonly readings: number
  readonly late: number
  readonly duplicates: number
}

/** @returns undefined: the key has only the scope of administrators */
function dayOf (answer: Parameters<typeof dataOf>[0]): Day | undefined {
  try {
    const { rows, lateReadings, duplicateReadings } = dataOf(answer) as {
      rows: { count?: number }[], lateReadings: number, duplicateReadings: number
    }
    return { readings: rows.at(0)?.count ?? 0, late: lateReadings, duplicates: duplicateReadings }
  } catch (error) {
    if (error instanceof Refused && error.status === FORBIDDEN) return undefined
    throw error
  }
}

interface Rate {
  /** records per second */
  readonly appended: number | undefined
  readonly read: number | undefined
}

interface Rates {
  note (operations: Operations): Operations
  of (partition: number): Rate
}

/** Rates from the offsets of two answers. */
function useRates (): Rates {
  const kept = useRef<{ before?: Operations, now?: Operations }>({})
  return {
    note (operations) {
      kept.current = { before: kept.current.now, now: operations }
      return operations
    },
    of (partition) {
      const { before, now } = kept.current
      const seconds = before && now ? (Date.parse(now.asOf) - Date.parse(before.asOf)) / 1_000 : 0
      const [from, to] = [before, now].map(it => it?.partitions.find(it => it.partition === partition))
      const perSecond = (first: number | null | undefined, last: number | null | undefined) =>
        seconds > 0 && typeof first === 'number' && typeof last === 'number'
          ? Math.max(0, last - first) / seconds
          : undefined
      return { appended: perSecond(from?.endOffset, to?.endOffset), read: perSecond(from?.nextOffset, to?.nextOffset) }
    }
  }
}

interface NumbersProps {
  readonly operations: Operations
  readonly rates: Rates
  readonly day: Day | undefined
  readonly nowMs: number
}

function Numbers ({ operations, rates, day, nowMs }: NumbersProps) {
  const { partitions, programs, completeThrough, hasReplica, replicaLagSeconds } = operations
  const all = partitions.map(it => rates.of(it.partition))
  const up = programs.filter(it => it.isUp)
  const lags = partitions.map(it => it.lagRecords)
  const facts: [name: string, value: string][] = [
    ['Events sent', formatRate(total(all.map(it => it.appended)))],
    ['Events processed', formatRate(total(all.map(it => it.read)))],
    ['Lag', lags.includes(null)
      ? 'unknown'
      : `${formatCount(total(lags) ?? 0)} records, ${formatSeconds(Math.max(0, ...partitions.map(it => it.lagSeconds ?? 0)))}`],
    ['Answers complete through', completeThrough === null ? 'unknown' : formatAgo(Date.parse(completeThrough), nowMs)],
    ['Freshness', formatSeconds(greatest(up.map(it => it.freshnessSeconds)))],
    ['Flush time', formatSeconds(greatest(up.map(it => it.flushSeconds)))],
    ['Replica', !hasReplica ? 'none' : replicaLagSeconds === null ? 'unreachable' : `${formatSeconds(replicaLagSeconds)} behind`],
    ['Gaps', formatCount(operations.gapCount)],
    ...(day
      ? [
          ['Readings, 24 h', formatCount(day.readings)],
          ['Late readings, 24 h', formatCount(day.late)],
          ['Resends, 24 h', formatCount(day.duplicates)]
        ] as [string, string][]
      : [])
  ]
  return (
    <section class='card' aria-label='Numbers'>
      <dl class='facts'>
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <p class='hint'>
        Freshness is the time from the append of a reading to its rollup,
        flush time that of one write; both are averages of the slowest
        processor. <a href='/runbook'>Runbook</a>
      </p>
    </section>
  )
}

/** @returns undefined: one of them is not known */
function total (numbers: readonly (number | null | undefined)[]): number | undefined {
  return numbers.reduce<number | undefined>(
    (sum, it) => sum === undefined || typeof it !== 'number' ? undefined : sum + it, 0
  )
}

function greatest (numbers: readonly (number | null)[]): number | undefined {
  const known = numbers.filter(it => it !== null)
  return known.length === 0 ? undefined : Math.max(...known)
}

interface PartitionsProps {
  readonly operations: Operations
  readonly rates: Rates
  readonly nowMs: number
}

function Partitions ({ operations: { partitions, programs, topic }, rates, nowMs }: PartitionsProps) {
  const isUp = new Map(programs.map(it => [it.instance, it.isUp]))
  const known = (value: number | null) => (value === null ? '–' : formatCount(value))
  return (
    <section class='card' aria-labelledby='partitions'>
      <h2 id='partitions'>Partitions of {topic}</h2>
      <Table
        label='Partitions'
        columns={[
          'partition', 'owner', numeric('lag, records'), numeric('lag, time'), numeric('sent'), numeric('processed'),
          numeric('next offset'),
          numeric('log end'), 'newest event', 'last flush'
        ]}
      >
        {partitions.map(it => (
          <tr key={it.partition}>
            <td>{it.partition}</td>
            <td>
              {it.owner ?? 'nobody'}
              {it.owner !== null && isUp.get(it.owner) === false && <span class='silent'> ⚠ silent</span>}
            </td>
            <td class='number'>{known(it.lagRecords)}</td>
            <td class='number'>{formatSeconds(it.lagSeconds ?? undefined)}</td>
            <td class='number'>{formatRate(rates.of(it.partition).appended)}</td>
            <td class='number'>{formatRate(rates.of(it.partition).read)}</td>
            <td class='number'>{known(it.nextOffset)}</td>
            <td class='number'>{known(it.endOffset)}</td>
            <td>{it.newestEventTime === null ? '–' : formatAgo(Date.parse(it.newestEventTime), nowMs)}</td>
            <td>{it.flushedAt === null ? '–' : formatAgo(Date.parse(it.flushedAt), nowMs)}</td>
          </tr>
        ))}
      </Table>
    </section>
  )
}

function Programs ({ operations: { programs }, nowMs }: { readonly operations: Operations; readonly nowMs: number }) {
  return (
    <section class='card' aria-labelledby='programs'>
      <h2 id='programs'>Programs of the last hour</h2>
      <Table
        label='Programs'
        columns={[
          'program', 'instance', 'version', 'state', 'started', numeric('readings'), numeric('flush'),
          numeric('freshness')
        ]}
      >
        {programs.map(it => (
          <tr key={`${it.program} ${it.instance}`} class={it.isUp ? undefined : 'filled'}>
            <td>{it.program}</td>
            <td>{it.instance}</td>
            <td>{it.version}</td>
            <td>{it.isUp ? 'runs' : `last seen ${formatAgo(Date.parse(it.seenAt), nowMs)}`}</td>
            <td>{formatAgo(Date.parse(it.startedAt), nowMs)}</td>
            <td class='number'>{formatRate(it.readingsPerSecond ?? undefined)}</td>
            <td class='number'>{formatSeconds(it.flushSeconds ?? undefined)}</td>
            <td class='number'>{formatSeconds(it.freshnessSeconds ?? undefined)}</td>
          </tr>
        ))}
      </Table>
    </section>
  )
}

function Gaps ({ operations: { gaps } }: { readonly operations: Operations }) {
  return (
    <section class='card' aria-labelledby='gaps'>
      <h2 id='gaps'>Gaps: records that were gone before they were read</h2>
      <Table
        label='Gaps' columns={[
          'found', 'topic', 'partition', 'kind', numeric('expected offset'), numeric('available offset')
        ]}
      >
        {gaps.map(it => (
          <tr key={`${it.topic} ${it.partition} ${it.kind} ${it.expectedOffset} ${it.foundAt}`}>
            <td>{formatTime(it.foundAt, ownZone, 'zone')}</td>
            <td>{it.topic}</td>
            <td>{it.partition}</td>
            <td>{it.kind}</td>
            <td class='number'>{formatCount(it.expectedOffset)}</td>
            <td class='number'>{formatCount(it.availableOffset)}</td>
          </tr>
        ))}
      </Table>
    </section>
  )
}
