/**
 * Reads rows of rollups in one statement, so that all are of one moment: a processor writes every level of an event in
 * one transaction. The statement also returns the retention, and changes of cached blocks (`rollup-cache.ts`).
 *
 * The statement has one arm per level. Buckets of a device are rows of its own series. Those of zones and types are
 * rows of group series, except for edges, which need the readings of each device. Every arm walks the primary key of
 * one level, (series, bucket, source partition), once per series and range. Readings that are not in rows yet are in
 * the journal.
 */
import {
  DAY_MS, HOUR_MS, levels, MINUTE_MS, minuteLevel, type DecodedRow, type Level, type TimeRange
} from 'relay-rollups'

import { CURRENT_HISTORY } from '../database-history.ts'
import { nobody, type Asker } from '../sharing/asker.ts'
import type { Batches, OwnValue, BatchQuery } from './batch.ts'
import type { LevelRetentions } from './kept-since.ts'
import { lateReadingsOf, type LateReadings } from './late-readings.ts'
import type { SeriesKind } from './groups.ts'
import {
  around, blocksOfGranted, createJournalCollector, createPlaces, journalOfBlocks, journalOfEach, journalOfMany,
  type JournalCollector
} from './read-journal.ts'
import { planSize, type BucketRange, type Edge } from './plan.ts'
import {
  grantedCondition, grantsCondition, kindCondition, seriesColumn, shapeOfGrants, wholeCondition, type SeenGrants
} from '../parameters/selection.ts'
import type { Granted } from './granted-series.ts'
import type { ReadRow, Source } from './merge.ts'

/** The selected devices: those that match every given field. */
export interface SeriesFilter {
  readonly deviceId?: string
  readonly zone?: string
  readonly deviceType?: string
  /** what the caller may see of them; left out: everything */
  readonly grants?: SeenGrants
  /** its series, if found before: then no statement looks for them by name */
  readonly granted?: Granted
}

/** The data to read. */
export interface Wanted {
  readonly buckets: readonly BucketRange[]
  readonly edges: readonly Edge[]
  /** cached buckets, used if they have not changed */
  readonly kept: readonly BucketRange[]
  /** the lowest position of these */
  readonly keptPosition: bigint
  /** range of wanted late readings; left out: none */
  readonly lateOf?: TimeRange
  /** whether it is long, and waits behind others; default: no */
  readonly isLong?: boolean
}

/** The moment of a statement. */
export interface Moment {
  /** oldest transaction in progress: the data includes all earlier ones */
  readonly position: bigint
  /** history of the database, to which positions belong; null: it has no id yet */
  readonly historyId: string | null
  readonly retention: LevelRetentions
  /** cached buckets that have changed since their position, or may have */
  readonly changed: readonly BucketRange[]
  /** late readings */
  readonly late: readonly LateReadings[]
}

/**
 * Reads rows.
 * @param visit gets each row while the next ones arrive, so that a decade of a zone is not held in memory
 * @throws RelayError RELAY_DATABASE_UNREACHABLE, and errors of `visit`
 */
export async function readRows (
  batches: Batches, filter: SeriesFilter, wanted: Wanted, visit: (row: ReadRow) => void, asker: Asker = nobody
): Promise<Moment> {
  let position: bigint | undefined
  let historyId: string | null = null
  let retention: LevelRetentions = {}
  const changed: BucketRange[] = []
  const late: LateReadings[] = []
  const journal = createJournalCollector<Source>(around(rangesOf(wanted)) ?? { startMs: 0, endMs: 0 })
  for (const { zone, type: deviceType, ids } of filter.granted?.series ?? []) {
    for (const id of ids) journal.addSeries(id, { zone, deviceType })
  }
  await batches.ask(batchQueryFor(filter, wanted, Date.now()), columns => {
    const [part, zone, deviceType, bucketStartS, count, min, max, body] = columns as Columns
    if (part === MOMENT) {
      position = BigInt(zone)
      historyId = deviceType as string | null
      retention = { minute: count ?? undefined, hour: min ?? undefined, day: max ?? undefined }
    } else if (part === CHANGED) {
      const level = levels[count]
      changed.push({ level, startMs: bucketStartS * 1000, endMs: min * 1000 + level.sizeMs })
    } else if (part === LATE) {
      late.push({ hourMs: bucketStartS * 1000, minutes: BigInt(zone), throughMs: count * 1000 })
    } else if (part === JOURNAL) {
      const seriesId = bucketStartS
      if (seriesId !== null) journal.addSeries(seriesId, { zone, deviceType })
      if (body !== null) journal.addRow(body, seriesId ?? undefined)
    } else {
      const edge = part === BUCKET ? undefined : part
      visit({ edge, zone, deviceType, bucketStartMs: bucketStartS * 1000, count, min, max, body })
    }
  }, asker)
  visitJournal(filter, wanted, journal, visit)
  return { position: position!, historyId, retention, changed, late }
}

type Columns = [
  part: number, zone: string, deviceType: string, bucketStartS: number, count: number, min: number, max: number,
  body: Buffer
]

/** Adds the journal to the buckets and edges: readings of devices, or minutes of groups. */
function visitJournal (
  filter: SeriesFilter, { buckets, edges }: Wanted, journal: JournalCollector<Source>, visit: (row: ReadRow) => void
): void {
  const places = createPlaces(buckets, edges.map(it => it.bucketMs))
  const place = (source: Source, isOfGroups: boolean, bucketStartMs: number, isEdge: boolean, content: DecodedRow) => {
    if (!isEdge && filterReadsDeviceSeries(filter) !== isOfGroups) {
      visit({ ...source, edge: undefined, bucketStartMs, content })
    }
    if (!isEdge) return
    for (const [edge, it] of edges.entries()) {
      if (it.bucketMs === bucketStartMs && (it.isOfGroups ?? false) === isOfGroups) {
        visit({ ...source, edge, bucketStartMs, content })
      }
    }
  }
  journal.finish({
    readings: (source, readings) => places.readings(readings, (...it) => place(source, false, ...it)),
    rollup: (source, minuteMs, rollup) =>
      places.minute(minuteMs, (...it) => place(source, true, ...it, { rollup, readings: undefined }))
  })
}

/** Whether whole buckets come from devices: group series include devices that the caller may not see. */
export function filterReadsDeviceSeries ({ deviceId, grants }: SeriesFilter): boolean {
  return deviceId !== undefined || grants?.devicePrefixes !== undefined
}

/** Ranges to read of devices, of groups or of both. */
function rangesOf ({ buckets, edges }: Pick<Wanted, 'buckets' | 'edges'>): TimeRange[] {
  return [...buckets, ...edges.map(({ bucketMs }) => ({ startMs: bucketMs, endMs: bucketMs + MINUTE_MS }))]
}

/** Kind of a row that is not of an edge (whose kind is its index). */
const BUCKET = -1
/** of the moment: position and history in the columns of zone and type, retentions in those of numbers */
const MOMENT = -2
/** of a commit: its first bucket, its level and its last bucket in the columns of numbers */
const CHANGED = -3
/** of an hour's late readings: minutes in the column of the zone, the time read through in that of the count */
const LATE = -4
/** of the journal: a row of it, or a series that may be in following rows, with its id in the column of the bucket */
const JOURNAL = -5

const columnOf: Readonly<Record<Exclude<keyof SeriesFilter, 'grants' | 'granted'>,
Parameters<typeof seriesColumn>[0]>> = {
  deviceId: 'device_id',
  zone: 'zone',
  deviceType: 'device_type'
}

const retentionOf = (level: Level) =>
  `max(date_part('epoch', retention)) filter (where name = '${level.name}')`

const momentArm = `
    select ${MOMENT}, pg_snapshot_xmin(pg_current_snapshot())::text, ${CURRENT_HISTORY}, null::float8,
      ${levels.map(retentionOf).join(', ')}, null::bytea
    from rollup_levels`

const ARMS_MAX = 2

/** Rows of a series that take less time than the round trip. */
const SHORT_BUCKETS_MAX = 100

/** Queries of one shape have one text, parsed and planned once per connection; there are few shapes. */
function batchQueryFor (
  filter: SeriesFilter, { buckets, edges, kept, keptPosition, lateOf, isLong = false }: Wanted, nowMs: number
): BatchQuery {
  const own: OwnValue[] = []
  const shared: unknown[] = []
  const parameter = (value: unknown, type: string) => `q.p${own.push({ value, type })}`
  const fields = (Object.keys(columnOf) as Array<keyof typeof columnOf>).filter(it => filter[it] !== undefined)
  const { grants = {}, granted } = filter
  const namesDevice = filter.deviceId !== undefined || granted !== undefined
  const whole = wholeCondition(grants, shared)
  const conditions = granted
    ? [grantedCondition(granted, shared)]
    : [
        ...whole,
        ...fields.map(it => `${seriesColumn(columnOf[it], namesDevice)} = ${parameter(filter[it], 'text')}`),
        ...grantsCondition(grants, shared, namesDevice)
      ]
  const selected = conditions.length === 0 ? 'true' : conditions.join(' and ')
  const seriesOf = (kind: SeriesKind) => `${kindCondition(kind, namesDevice)} and ${selected}`
  const kind = filterReadsDeviceSeries(filter) ? 'devices' : 'groups'
  const series = seriesOf(kind)
  /** buckets start at whole seconds, which a double holds exactly, in all allowed years */
  const time = (timeMs: number) => `to_timestamp(${parameter(timeMs / 1000, 'float8')})`
  const times = (timesMs: readonly number[]) => `$${shared.push(timesMs.map(it => it / 1000))}::float8[]`

  // `offset 0` forces the planner to join by the primary key: if it misjudges a site, it would read a whole week of
  // minutes instead
  const arm = (table: string, part: number, where: string, from: string, when: string) => `
    select ${part}, s.zone, s.device_type, date_part('epoch', r.bucket_start), r.count::float8, r.min, r.max, r.body
    from series s ${from} cross join lateral (
      select * from ${table} r where r.series_id = s.series_id and ${when} offset 0) r
    where ${where}`
  const typeOf = (value: unknown) => granted ? 'integer[]' : Array.isArray(value) ? 'text[]' : 'text'
  // if everything is cached, no arm uses series, and PostgreSQL can't infer the type of an unused parameter
  const ofMoment = [...whole, ...shared.map((it, n) => `$${n + 1}::${typeOf(it)} is not null`)]
  const arms = [ofMoment.length === 0 ? momentArm : `${momentArm} where ${ofMoment.join(' and ')}`]
  const shape: string[] = granted ? ['ids'] : [...fields, shapeOfGrants(grants)]
  /** Lets the planner exclude partitions, because the times of a query are columns, which it does not know. */
  const within = (column: string, ranges: readonly TimeRange[]) => {
    const stretch = stretchOf(ranges, nowMs)
    if (stretch.kind === 'recent') {
      shape.push(`since ${stretch.since}`)
      return ` and ${column} >= '${stretch.since}'`
    }
    shape.push('old')
    const [start, end] = [stretch.startMs, stretch.endMs].map(it => `to_timestamp($${shared.push(it / 1000)}::float8)`)
    return ` and ${column} >= ${start} and ${column} < ${end}`
  }
  // `&&` compares every pair: if a selection may have very many series, any commit may have changed some of them
  const seriesAreFew = filter.deviceId !== undefined || (filter.zone !== undefined && kind === 'groups')
  const isTouched = seriesAreFew
    ? `(c.series_ids is null or c.series_ids && array(select s.series_id from series s where ${series}))`
    : 'true'
  for (const level of levels) {
    const ranges = buckets.filter(it => it.level === level)
    if (ranges.length === 0) continue
    const bounds = within('r.bucket_start', ranges)
    // usually one or two; their number is part of the shape, because PostgreSQL assumes long arrays in a generic plan,
    // and planning each time takes longer than the read
    if (ranges.length <= ARMS_MAX) {
      for (const { startMs, endMs } of ranges) {
        arms.push(arm(
          level.table, BUCKET, series, '',
          `r.bucket_start >= ${time(startMs)} and r.bucket_start < ${time(endMs)}${bounds}`
        ))
      }
    } else {
      const [starts, ends] = [times(ranges.map(it => it.startMs)), times(ranges.map(it => it.endMs))]
      arms.push(arm(level.table, BUCKET, series, `cross join unnest(${starts}, ${ends}) w (start_s, end_s)`,
        `r.bucket_start >= to_timestamp(w.start_s) and r.bucket_start < to_timestamp(w.end_s)${bounds}`))
    }
    shape.push(`${level.name}${Math.min(ranges.length, ARMS_MAX + 1)}`)
  }
  for (const [n, { bucketMs, isOfGroups }] of edges.entries()) {
    const bounds = within('r.bucket_start', [{ startMs: bucketMs, endMs: bucketMs + MINUTE_MS }])
    arms.push(arm(
      minuteLevel.table, n, seriesOf(isOfGroups ? 'groups' : 'devices'), '',
      `r.bucket_start = ${time(bucketMs)}${bounds}`
    ))
  }
  const journals: string[] = []
  for (const whose of ['devices', 'groups'] as const) {
    const range = around(rangesOf({
      buckets: kind === whose ? buckets : [],
      edges: edges.filter(
        it => (it.isOfGroups ? 'groups' : 'devices') === whose
      )
    }))
    if (!range) continue
    const query = {
      kind: whose,
      series: `series s where ${seriesOf(whose)}`,
      startTime: time(range.startMs),
      endTime: time(range.endMs)
    }
    const ofSeries = `${JOURNAL}, s.zone, s.device_type, s.series_id::float8, null::float8, null::float8, null::float8`
    if (filter.deviceId !== undefined) { // few series at most
      arms.push(journalOfEach(query, `${ofSeries}, j.body`))
      continue
    }
    const rowColumns = `${JOURNAL}, null, null, null::float8, null::float8, null::float8, null::float8, j.body`
    if (granted) { // their ids are known
      arms.push(journalOfBlocks(`$${shared.push(blocksOfGranted(granted))}::integer[]`, query, rowColumns))
      continue
    }
    const it = journalOfMany(query, `journal_of_${whose}`, `${ofSeries}, null::bytea`, rowColumns)
    journals.push(it.blocks)
    arms.push(...it.arms)
  }
  for (const level of levels) {
    const ranges = kept.filter(it => it.level === level)
    if (ranges.length === 0) continue
    const start = time(Math.min(...ranges.map(it => it.startMs)))
    const end = time(Math.max(...ranges.map(it => it.endMs)))
    const index = levels.indexOf(level)
    const position = parameter(String(keptPosition), 'xid8')
    arms.push(`
    select ${CHANGED}, null, null, date_part('epoch', c.first_bucket), ${index}, date_part('epoch', c.last_bucket), null, null
    from rollup_commits c
    where c.xact_id >= ${position} and c.level = ${index}
      and c.last_bucket >= ${start} and c.first_bucket < ${end}
      and ${isTouched}`)
    // commits since then may be gone: anything may have changed
    arms.push(`
    select ${CHANGED}, null, null, date_part('epoch', ${start}), ${index}, date_part('epoch', ${end}), null, null
    from rollup_commit_marks m where m.oldest > ${position}`)
    shape.push(`kept ${level.name}`)
  }
  if (lateOf) {
    arms.push(`
    select ${LATE}, a.late_minutes::text, null, date_part('epoch', a.bucket_start), date_part('epoch', a.late_through), null, null, null
    from series s cross join lateral (${lateReadingsOf(lateOf, time, within('a.bucket_start', [{ ...lateOf, startMs: lateOf.startMs - HOUR_MS }]))}) a
    where ${series}`)
    shape.push('late')
  }
  shape.push(`edges${edges.map(it => it.isOfGroups ? 'g' : 'd').join('')}`)
  return {
    name: `total ${shape.join()}`,
    sql: `${journals.length === 0 ? '' : `with ${journals.join(', ')}`}${arms.join('\n    union all')}`,
    own,
    shared,
    isLong,
    isShort: granted === undefined && (filter.deviceId !== undefined || edges.length === 0) &&
      planSize({ buckets, edges }) <= SHORT_BUCKETS_MAX
  }
}

/**
 * Statements for the newest event time start this long before a time, which moves in steps of the same size: eight
 * weeks.
 */
const RECENT_MS = 56 * DAY_MS
/** size of a partition of old minutes (rollup_levels) */
const UNIT_MS = 364 * DAY_MS

/**
 * A range around the queried ranges, one of few: a separate text for the newest time, whose plan has only the newest
 * partitions; and whole units otherwise, passed as values, so that attackers can't create many texts.
 */
function stretchOf (
  ranges: readonly TimeRange[], nowMs: number
): { readonly kind: 'recent', readonly since: string } | { readonly kind: 'old' } & TimeRange {
  const startMs = Math.min(...ranges.map(it => it.startMs))
  const endMs = Math.max(...ranges.map(it => it.endMs))
  const sinceMs = Math.floor(nowMs / RECENT_MS) * RECENT_MS - RECENT_MS
  if (startMs >= sinceMs) return { kind: 'recent', since: new Date(sinceMs).toISOString() }
  return { kind: 'old', startMs: Math.floor(startMs / UNIT_MS) * UNIT_MS, endMs: Math.ceil(endMs / UNIT_MS) * UNIT_MS }
}
