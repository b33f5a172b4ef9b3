/**
 * The statement that reads rows of rollups: one arm per level. Buckets of a device are rows of its own series. Those of
 * zones and types are rows of group series, except for edges, which need the readings of each device. Every arm walks
 * the primary key of one level, (series, bucket, source partition), once per series and range. Readings that are not in
 * rows yet are in the journal.
 */
import { DAY_MS, HOUR_MS, levels, MINUTE_MS, minuteLevel, type Level, type TimeRange } from 'relay-rollups'

import { CURRENT_HISTORY } from '../database-history.ts'
import {
  grantedCondition, grantsCondition, kindCondition, seriesColumn, shapeOfGrants, wholeCondition, type SeenGrants
} from '../parameters/selection.ts'
import type { BatchQuery, OwnValue } from './batch.ts'
import type { Granted } from './granted-series.ts'
import type { SeriesKind } from './groups.ts'
import { arrivalTotalsOf, lateReadingsOf } from './late-readings.ts'
import { mayPack, packedColumns, packRows, plainColumns } from './packed-rows.ts'
import { planSize, type BucketRange, type Edge } from './plan.ts'
import { around, blocksOfGranted, journalOfBlocks, journalOfEach, journalOfMany } from './read-journal.ts'

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
  /** range of wanted arrivals; left out: none */
  readonly arrivalsOf?: TimeRange
  /** whether it is long, and waits behind others; default: no */
  readonly isLong?: boolean
}

/** Whether whole buckets come from devices: group series include devices that the caller may not see. */
export function filterReadsDeviceSeries ({ deviceId, grants }: SeriesFilter): boolean {
  return deviceId !== undefined || grants?.devicePrefixes !== undefined
}

/** Ranges to read of devices, of groups or of both. */
export function rangesOf ({ buckets, edges }: Pick<Wanted, 'buckets' | 'edges'>): TimeRange[] {
  return [...buckets, ...edges.map(({ bucketMs }) => ({ startMs: bucketMs, endMs: bucketMs + MINUTE_MS }))]
}

/** Meaning of the columns of a row, in the first one; an edge is its index. */
export const part = {
  bucket: -1,
  /** position and history in the columns of zone and type, retentions in those of numbers */
  moment: -2,
  /** of a commit: its first bucket, its level and its last bucket in the columns of numbers */
  changed: -3,
  /** late readings of an hour: minutes in the column of the zone, the time read through in that of the count */
  late: -4,
  /** of the journal: a row of it, or a series that may be in following rows, with its id in the column of the bucket */
  journal: -5,
  /** counts of late readings and of duplicates in the columns of count and minimum */
  arrivals: -6
} as const

/** Of buckets and edges, the body is packed rows if the bucket is null. */
export type Columns = [
  part: number, zone: string, deviceType: string, bucketStartS: number, count: number, min: number, max: number,
  body: Buffer
]

const columnOf: Readonly<Record<Exclude<keyof SeriesFilter, 'grants' | 'granted'>,
Parameters<typeof seriesColumn>[0]>> = {
  deviceId: 'device_id',
  zone: 'zone',
  deviceType: 'device_type'
}

const retentionOf = (level: Level) =>
  `max(date_part('epoch', retention)) filter (where name = '${level.name}')`

const momentArm = `
    select ${part.moment}, pg_snapshot_xmin(pg_current_snapshot())::text, ${CURRENT_HISTORY}, null::float8,
      ${levels.map(retentionOf).join(', ')}, null::bytea
    from rollup_levels`

const ARMS_MAX = 2

/** Rows of a series that take less time than the round trip. */
const SHORT_BUCKETS_MAX = 100

/** Queries of one shape have one text, parsed and planned once per connection; there are few shapes. */
export function rowsStatement (
  filter: SeriesFilter, { buckets, edges, kept, keptPosition, arrivalsOf, isLong = false }: Wanted, nowMs: number
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
  const rowsOfSeries = (table: string, when: string) =>
    `select * from ${table} r where r.series_id = s.series_id and ${when} offset 0`
  /** @param packs whether the rows of a series are packed */
  const arm = (table: string, kind: number, where: string, from: string, when: string, packs = false) => {
    const rows = rowsOfSeries(table, when)
    const [numbers, found] = packs ? [packedColumns, packRows(rows)] : [plainColumns, rows]
    return `
    select ${kind}, s.zone, s.device_type, ${numbers}
    from series s ${from} cross join lateral (${found}) r
    where ${where}`
  }
  /** the rows of all series of a zone and type */
  const groupedArm = (table: string, kind: number, where: string, when: string) => `
    select ${kind}, r.zone, r.device_type, ${packedColumns}
    from (${packRows(`
      select s.zone, s.device_type, r.* from series s cross join lateral (${rowsOfSeries(table, when)}) r
      where ${where}`, ['zone', 'device_type'])}) r`
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
        const when = `r.bucket_start >= ${time(startMs)} and r.bucket_start < ${time(endMs)}${bounds}`
        const packs = mayPack((endMs - startMs) / level.sizeMs, kind)
        arms.push(arm(level.table, part.bucket, series, '', when, packs))
        shape.push(packs ? 'packed' : 'plain')
      }
    } else {
      const [starts, ends] = [times(ranges.map(it => it.startMs)), times(ranges.map(it => it.endMs))]
      arms.push(arm(level.table, part.bucket, series, `cross join unnest(${starts}, ${ends}) w (start_s, end_s)`,
        `r.bucket_start >= to_timestamp(w.start_s) and r.bucket_start < to_timestamp(w.end_s)${bounds}`))
    }
    shape.push(`${level.name}${Math.min(ranges.length, ARMS_MAX + 1)}`)
  }
  // very many devices are read at the pace of their caller
  const packsEdges = filter.deviceId === undefined && !isLong
  if (packsEdges && edges.length > 0) shape.push('packed edges')
  for (const [n, { bucketMs, isOfGroups }] of edges.entries()) {
    const bounds = within('r.bucket_start', [{ startMs: bucketMs, endMs: bucketMs + MINUTE_MS }])
    const [of, when] = [seriesOf(isOfGroups ? 'groups' : 'devices'), `r.bucket_start = ${time(bucketMs)}${bounds}`]
    arms.push(packsEdges ? groupedArm(minuteLevel.table, n, of, when) : arm(minuteLevel.table, n, of, '', when))
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
    const ofSeries = `${part.journal}, s.zone, s.device_type, s.series_id::float8, null::float8, null::float8, null::float8`
    if (filter.deviceId !== undefined) { // few series at most
      arms.push(journalOfEach(query, `${ofSeries}, j.body`))
      continue
    }
    const rowColumns = `${part.journal}, null, null, null::float8, null::float8, null::float8, null::float8, j.body`
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
    select ${part.changed}, null, null, date_part('epoch', c.first_bucket), ${index}, date_part('epoch', c.last_bucket), null, null
    from rollup_commits c
    where c.xact_id >= ${position} and c.level = ${index}
      and c.last_bucket >= ${start} and c.first_bucket < ${end}
      and ${isTouched}`)
    // commits since then may be gone: anything may have changed
    arms.push(`
    select ${part.changed}, null, null, date_part('epoch', ${start}), ${index}, date_part('epoch', ${end}), null, null
    from rollup_commit_marks m where m.oldest > ${position}`)
    shape.push(`kept ${level.name}`)
  }
  if (arrivalsOf) {
    const hours = within('a.bucket_start', [{ ...arrivalsOf, startMs: arrivalsOf.startMs - HOUR_MS }])
    arms.push(`
    select ${part.late}, a.late_minutes::text, null, date_part('epoch', a.bucket_start), date_part('epoch', a.late_through), null, null, null
    from series s cross join lateral (${lateReadingsOf(arrivalsOf, time, hours)}) a
    where ${series}`, `
    select ${part.arrivals}, null, null, null, coalesce(sum(a.late), 0)::float8, coalesce(sum(a.duplicates), 0)::float8, null, null
    from series s cross join lateral (
      ${arrivalTotalsOf(time(arrivalsOf.startMs - HOUR_MS), time(arrivalsOf.endMs), hours)}) a
    where ${series}`)
    shape.push('arrivals')
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
