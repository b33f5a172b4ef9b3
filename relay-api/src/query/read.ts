/**
 * Read: the rows of a plan, in one statement, so that all of them are of one moment: a processor writes every level of
 * an event in one transaction.
 *
 * The statement has one arm for each stretch of the plan. A device's buckets are rows of its own series; those of zones
 * and types are rows of group series, but for edges, which need the readings of each device. Every arm walks the
 * primary key of one level, (series, bucket, source partition), once a series.
 */
import { minuteLevel, type Database, type LevelName } from 'relay-common'

import { keptForEver, type BucketRange, type Edge, type KeptSince, type Plan } from './plan.ts'
import type { ReadRow } from './merge.ts'

/** Which devices are asked for: all to which each field that is there applies. At least one field is there. */
export interface Selection {
  readonly deviceId?: string
  readonly zone?: string
  readonly deviceType?: string
}

/**
 * Reads the rows of a plan.
 * @param visit gets each row while the next ones are on their way: a zone's decade is not held in memory
 * @throws RelayError RELAY_DATABASE_UNREACHABLE, and what `visit` throws
 */
export async function readRows (
  database: Database, selection: Selection, plan: Plan, visit: (row: ReadRow) => void
): Promise<void> {
  const { name, sql, values } = statementFor(selection, plan)
  await database.streamPrepared(name, sql, values, columns => {
    const [edge, zone, deviceType, bucketStartS, count, min, max, body] = columns as Columns
    visit({ edge: edge ?? undefined, zone, deviceType, bucketStartMs: bucketStartS * 1000, count, min, max, body })
  })
}

type Columns = [
  edge: number | null, zone: string, deviceType: string, bucketStartS: number, count: number, min: number, max: number,
  body: Buffer
]

const columnOf: Readonly<Record<keyof Selection, string>> = {
  deviceId: 'device_id',
  zone: 'zone',
  deviceType: 'device_type'
}

interface Statement {
  readonly name: string
  readonly sql: string
  readonly values: unknown[]
}

/** Plans of one shape have one statement, so it is parsed once a connection; the shapes are few. */
function statementFor (selection: Selection, { buckets, edges }: Plan): Statement {
  const fields = (Object.keys(columnOf) as Array<keyof Selection>).filter(it => selection[it] !== undefined)
  const values: unknown[] = fields.map(it => selection[it])
  const selected = fields.map((it, n) => `s.${columnOf[it]} = $${n + 1}`).join(' and ')
  const parameter = (value: number) => `$${values.push(value)}`
  /** buckets begin at whole seconds, which a double holds exactly, and every year that a client may ask for */
  const time = (timeMs: number) => `to_timestamp(${parameter(timeMs / 1000)}::double precision)`

  // `offset 0` keeps the planner from joining in any other way than by the primary key: where it misjudges a site it
  // reads a whole week of minutes instead
  const arm = (table: string, edge: string, series: string, when: string) => `
    select ${edge} as edge, s.zone, s.device_type, date_part('epoch', r.bucket_start), r.count::double precision,
      r.min, r.max, r.body
    from series s cross join lateral (
      select * from ${table} r where r.series_id = s.series_id and ${when} offset 0) r
    where ${selected} and ${series}`
  const bucketArm = ({ level, startMs, endMs }: BucketRange) => arm(level.table, 'null::integer',
    `s.device_id is ${selection.deviceId === undefined ? '' : 'not '}null`,
    `r.bucket_start >= ${time(startMs)} and r.bucket_start < ${time(endMs)}`)
  const edgeArm = ({ bucketMs }: Edge, n: number) => arm(minuteLevel.table, String(n),
    's.device_id is not null', `r.bucket_start = ${time(bucketMs)}`)

  return {
    name: ['events', ...fields, ...buckets.map(it => it.level.name), edges.length].join(' '),
    sql: [...buckets.map(bucketArm), ...edges.map(edgeArm)].join('\n    union all'),
    values
  }
}

/** The clocks of the programs that drop rollups and of the database may differ by this much. */
const CLOCK_DIFFERENCE_MAX_MS = 5 * 60_000

/** From when on the buckets of each level are there for sure, by the retention that is set now. */
export async function readKeptSince (database: Database): Promise<KeptSince> {
  const rows = await database.queryPrepared<{ name: LevelName, kept_since_s: number }>('kept since', `
    select name, date_part('epoch', now() - retention) as kept_since_s from rollup_levels where retention is not null`)
  const given = rows.map(it => [it.name, it.kept_since_s * 1000 + CLOCK_DIFFERENCE_MAX_MS])
  return { ...keptForEver, ...Object.fromEntries(given) as Partial<KeptSince> }
}
