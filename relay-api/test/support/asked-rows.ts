/** Sites, queries on them, and the expected answers of `/api/v1/aggregates`: exact arithmetic on the events. */
import assert from 'node:assert/strict'

import fc from 'fast-check'
import { bucketStartMs, DAY_MS, DIGEST_EXACT_VALUES_MAX, HOUR_MS, MINUTE_MS, parseTimestamp } from 'relay-rollups'

import {
  exactDeviation, quotientToDouble, sortedQuantile, sumUnits, toUnits, UNIT_EXPONENT
} from 'relay-test-support/exact.ts'
import { anyValue } from 'relay-test-support/values.ts'
import type { TestApi } from './ask.ts'
import { boundariesByLooking } from './intl-clock.ts'
import { recompute, resendsOnce, type ExpectedRow, type Field } from './recompute.ts'
import type { PlacedEvent } from './write-events.ts'

const deviceTypes = ['THERMOSTAT', 'HEART_RATE_METER']
const devices = ['d-1', 'd-2', 'd-3']
const zones = ['Zone A', 'Zone B', '북쪽 zone/1']

/** Sites around changes of clocks: in Berlin, in Lord Howe by half an hour, in Santiago at midnight. */
const baseMs = fc.constantFrom(
  Date.parse('2024-03-31T01:00:00Z'), Date.parse('2024-10-27T01:00:00Z'), Date.parse('2024-04-06T15:00:00Z'),
  Date.parse('2024-09-08T04:00:00Z'))
export const placeMs = fc.constantFrom(
  -2 * DAY_MS, -DAY_MS, -5 * HOUR_MS, -HOUR_MS, -7 * MINUTE_MS, 0, 7 * MINUTE_MS, HOUR_MS, DAY_MS - MINUTE_MS, DAY_MS)
export const offsetMs = fc.oneof(
  fc.constantFrom(-1, 0, 1, MINUTE_MS - 1, MINUTE_MS, HOUR_MS - 1),
  fc.integer({ min: -2 * MINUTE_MS, max: 3 * MINUTE_MS }),
  fc.integer({ min: 0, max: HOUR_MS })
)
export const decimal = fc.oneof(
  fc.integer({ min: -50, max: 50 }).map(it => it / 10 + 0),
  fc.integer({ min: -1e9, max: 1e9 }).map(it => it / 1e6 + 0)
)

/** For each site: only decimals, or with an occasional value of any size, or values of any size. */
export const values = fc.constantFrom(
  decimal,
  fc.oneof({ weight: 30, arbitrary: decimal }, { weight: 1, arbitrary: anyValue }),
  anyValue
).map(value => value.map(it => it + 0))

const event = (baseMs: number, value: fc.Arbitrary<number>): fc.Arbitrary<PlacedEvent> => fc.record({
  deviceId: fc.constantFrom(...devices),
  deviceType: fc.constantFrom(...deviceTypes),
  zone: fc.constantFrom(...zones),
  value,
  timestampMs: fc.tuple(placeMs, offsetMs).map(([a, b]) => baseMs + a + b),
  sourcePartition: fc.nat(2)
})

export interface Site {
  readonly baseMs: number
  readonly events: PlacedEvent[]
}

/** Few events of all kinds, or so many of one that digests become sketches. */
export const siteOf = (values: fc.Arbitrary<fc.Arbitrary<number>>, largeWeight = 1): fc.Arbitrary<Site> =>
  fc.tuple(baseMs, values).chain(([baseMs, value]) => fc.oneof(
    { weight: 3, arbitrary: fc.array(event(baseMs, value), { minLength: 1, maxLength: 150, size: 'max' }) },
    {
      weight: largeWeight,
      arbitrary: fc.array(event(baseMs, value).map(it => ({ ...it, zone: 'Zone A', deviceType: 'THERMOSTAT' })),
        { minLength: 400, maxLength: 500, size: 'max' })
    }
  ).map(events => ({ baseMs, events })))

export const fields: Readonly<Record<string, Field>> = { device: 'deviceId', zone: 'zone', type: 'deviceType' }

export interface Asked {
  readonly device: string[]
  readonly zone: string[]
  readonly type: string[]
  readonly groupBy: string | undefined
  readonly startMs: number
  readonly endMs: number
  readonly interval: string
  readonly tz: string
  readonly order: string
  readonly maxGapMinutes: number
  /** rows of a page */
  readonly limit: number
}

export const questions = ({ baseMs, events }: Site): fc.Arbitrary<Asked[]> => {
  const end = fc.oneof(
    fc.tuple(
      fc.constantFrom(...events), fc.constantFrom(1, MINUTE_MS, HOUR_MS, DAY_MS), fc.integer({ min: -1, max: 1 })
    ).map(([near, sizeMs, besideMs]) => bucketStartMs(sizeMs, near.timestampMs) + besideMs),
    fc.integer({ min: -60, max: 60 }).map(it => baseMs + it * HOUR_MS)
  )
  const some = (names: string[]) => fc.oneof(fc.constant<string[]>([]), fc.subarray(names, { minLength: 1 }))
  const question = fc.record({
    device: fc.oneof(fc.constant<string[]>([]), some(devices)),
    zone: some(zones),
    type: some(deviceTypes),
    groupBy: fc.constantFrom<Array<string | undefined>>(undefined, 'device', 'zone', 'type'),
    startMs: end,
    endMs: end,
    interval: fc.constantFrom('range', '5m', '15m', '30m', '1h', '3h', '6h', '12h', '1d', '1w', '1mo'),
    tz: fc.constantFrom('UTC', 'Europe/Berlin', 'Asia/Kolkata', 'Australia/Lord_Howe', 'America/Santiago'),
    order: fc.constantFrom('asc', 'desc'),
    maxGapMinutes: fc.constantFrom(1, 60, 1440),
    limit: fc.constantFrom(1, 3, 10_000)
  }).filter(it => it.startMs !== it.endMs)
    .map(it => ({ ...it, startMs: Math.min(it.startMs, it.endMs), endMs: Math.max(it.startMs, it.endMs) }))
  return fc.array(question, { minLength: 15, maxLength: 15 })
}

const stats = 'count,sum,avg,min,max,median,p0,p90,p99.9,stddev,first,last,increase,rate,timeWeightedAvg'

/** All pages of an answer, as one. */
export async function askAll (
  api: Pick<TestApi, 'ask'>, asked: Asked, more: Record<string, string> = {}
): Promise<Array<Record<string, any>>> {
  const query = new URLSearchParams([
    ...asked.device.map(it => ['device', it]), ...asked.zone.map(it => ['zone', it]),
    ...asked.type.map(it => ['type', it]), ...asked.groupBy ? [['groupBy', asked.groupBy]] : [],
    ['start', new Date(asked.startMs).toISOString()], ['end', new Date(asked.endMs).toISOString()],
    ['interval', asked.interval], ['tz', asked.tz], ['order', asked.order], ['maxGap', `${asked.maxGapMinutes}m`],
    ['stats', stats], ['limit', String(asked.limit)]
  ] as Array<[string, string]>)
  for (const [name, value] of Object.entries(more)) query.set(name, value)
  const rows: Array<Record<string, any>> = []
  for (;;) {
    const { status, body } = await api.ask(`/api/v1/aggregates?${query}`)
    assert.equal(status, 200, JSON.stringify(body))
    assert.ok(body.rows.length <= asked.limit)
    rows.push(...body.rows)
    if (body.next === null) return rows
    assert.equal(body.rows.length, asked.limit)
    query.set('cursor', body.next)
  }
}

/** An exact number as shown in an answer: the nearest double, if there is one. */
export function shown (units: bigint, divisor = 1n): number | null {
  const value = quotientToDouble(units, divisor, UNIT_EXPONENT)
  return Number.isFinite(value) ? value + 0 : null
}

export function checkRow (row: Record<string, any>, expected: ExpectedRow, { groupBy }: Pick<Asked, 'groupBy'>): void {
  assert.equal(parseTimestamp(row.bucketStart), expected.startMs)
  assert.equal(parseTimestamp(row.bucketEnd), expected.endMs)
  if (groupBy) assert.equal(row[groupBy], expected.key)
  const values = expected.events.map(it => it.value).sort((a, b) => a - b)
  const count = values.length
  assert.deepEqual([row.count, row.min, row.max], [count, values[0], values.at(-1)])
  const sum = sumUnits(values)
  const reasons: Record<string, string> = {}
  const checkNumber = (name: string, expected: number | null) => {
    assert.equal(row[name], expected, name)
    if (expected === null) reasons[name] = 'out-of-range'
  }
  checkNumber('sum', shown(sum))
  checkNumber('avg', shown(sum, BigInt(count)))
  checkNumber('stddev', exactDeviation(values))
  for (const [name, part, whole] of [['median', 1, 2], ['p0', 0, 1], ['p90', 9, 10], ['p99.9', 999, 1000]] as const) {
    const error = row[`${name}Error`]
    const truth = sortedQuantile(values, part, whole)
    if (new Set(values).size <= DIGEST_EXACT_VALUES_MAX) assert.equal(error, 0)
    if (error === 0) assert.equal(row[name], truth + 0, name)
    else if (error === null) reasons[`${name}Error`] = 'out-of-range'
    else assert.ok(isWithin(row[name], truth, error), `${name}: ${row[name]} ± ${error}, not ${truth}`)
  }
  const times = expected.events.map(it => it.timestampMs)
  assert.equal(parseTimestamp(row.firstTime), Math.min(...times))
  assert.equal(parseTimestamp(row.lastTime), Math.max(...times))
  const at = (timeMs: number) => expected.events.filter(it => it.timestampMs === timeMs).map(it => it.value)
  assert.equal(row.first, Math.min(...at(Math.min(...times))))
  assert.equal(row.last, Math.max(...at(Math.max(...times))))

  const { increase, held } = expected
  if (increase === undefined) {
    assert.deepEqual([row.increase, row.rate], [null, null])
    Object.assign(reasons, { increase: 'too-few-readings', rate: 'too-few-readings' })
  } else {
    checkNumber('increase', shown(increase))
    checkNumber('rate', shown(increase * 1000n, BigInt(expected.endMs - expected.startMs)))
  }
  if (held === undefined) reasons.timeWeightedAvg = 'too-few-readings'
  else checkNumber('timeWeightedAvg', shown(held.weighted, held.ms))
  assert.deepEqual(row.unavailable ?? {}, reasons)
}

function isWithin (value: number, truth: number, error: number): boolean {
  const distance = toUnits(value) - toUnits(truth)
  return (distance < 0n ? -distance : distance) <= toUnits(error)
}

/** The expected rows of an answer, in its order. @param events of the site, including duplicates */
export function expectedRows (events: readonly PlacedEvent[], asked: Asked): ExpectedRow[] {
  const isOf = (names: string[], name: string) => names.length === 0 || names.includes(name)
  const selected = resendsOnce(events).filter(it => isOf(asked.device, it.deviceId) &&
    isOf(asked.zone, it.zone) && isOf(asked.type, it.deviceType))
  const boundaries = boundariesByLooking(asked.startMs, asked.endMs, asked.interval, asked.tz)
  const field = asked.groupBy && fields[asked.groupBy]
  const expected = recompute(selected, boundaries, field || undefined, asked.maxGapMinutes * MINUTE_MS)
  return asked.order === 'asc'
    ? expected
    : [...Map.groupBy(expected, it => it.key).values()].flatMap(it => it.toReversed())
}
