/** Every number of every row, held to a straightforward computation over the same events. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'
import { bucketStartMs, DAY_MS, DIGEST_EXACT_VALUES_MAX, HOUR_MS, MINUTE_MS, parseTimestamp } from 'relay-common'

import {
  exactDeviation, quotientToDouble, sortedQuantile, sumUnits, toUnits, UNIT_EXPONENT
} from '../../relay-common/test/support/exact.ts'
import { anyValue } from '../../relay-common/test/support/values.ts'
import { openTestApi, type TestApi } from './support/ask.ts'
import { boundariesByLooking } from './support/intl-clock.ts'
import { recompute, resendsOnce, type ExpectedRow, type Field } from './support/recompute.ts'
import { writeEvents, type PlacedEvent } from './support/write-events.ts'

const deviceTypes = ['THERMOSTAT', 'HEART_RATE_METER']
const devices = ['d-1', 'd-2', 'd-3']
const zones = ['Zone A', 'Zone B', '북쪽 zone/1']

/** Sites around changes of clocks: in Berlin, in Lord Howe by half an hour, in Santiago at midnight. */
const baseMs = fc.constantFrom(
  Date.parse('2024-03-31T01:00:00Z'), Date.parse('2024-10-27T01:00:00Z'), Date.parse('2024-04-06T15:00:00Z'),
  Date.parse('2024-09-08T04:00:00Z'))
const placeMs = fc.constantFrom(
  -2 * DAY_MS, -DAY_MS, -5 * HOUR_MS, -HOUR_MS, -7 * MINUTE_MS, 0, 7 * MINUTE_MS, HOUR_MS, DAY_MS - MINUTE_MS, DAY_MS)
const offsetMs = fc.oneof(
  fc.constantFrom(-1, 0, 1, MINUTE_MS - 1, MINUTE_MS, HOUR_MS - 1),
  fc.integer({ min: -2 * MINUTE_MS, max: 3 * MINUTE_MS }),
  fc.integer({ min: 0, max: HOUR_MS })
)
const decimal = fc.oneof(
  fc.integer({ min: -50, max: 50 }).map(it => it / 10 + 0),
  fc.integer({ min: -1e9, max: 1e9 }).map(it => it / 1e6 + 0)
)

/** Of each site: decimals alone, or among them a value of any size now and then, or values of any size. */
const values = fc.constantFrom(
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

interface Site {
  readonly baseMs: number
  readonly events: PlacedEvent[]
}

/** Few events of all sorts, or so many of one that digests become sketches. */
const siteOf = (values: fc.Arbitrary<fc.Arbitrary<number>>): fc.Arbitrary<Site> => fc.tuple(baseMs, values).chain(([baseMs, value]) => fc.oneof(
  { weight: 3, arbitrary: fc.array(event(baseMs, value), { minLength: 1, maxLength: 150, size: 'max' }) },
  {
    weight: 1,
    arbitrary: fc.array(event(baseMs, value).map(it => ({ ...it, zone: 'Zone A', deviceType: 'THERMOSTAT' })),
      { minLength: 400, maxLength: 500, size: 'max' })
  }
).map(events => ({ baseMs, events })))

const fields: Readonly<Record<string, Field>> = { device: 'deviceId', zone: 'zone', type: 'deviceType' }

interface Asked {
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

const questions = ({ baseMs, events }: Site): fc.Arbitrary<Asked[]> => {
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
async function askAll (api: TestApi, asked: Asked, more: Record<string, string> = {}): Promise<Array<Record<string, any>>> {
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

function near (found: number | null, expected: number, scale: number, what: string): void {
  const isNear = found !== null && Math.abs(found - expected) <= scale * 1e-11 + Number.MIN_VALUE
  assert.ok(isNear, `${what}: ${found}, not ${expected}`)
}

/** What an answer shows of an exact number: the double nearest to it, if there is one. */
function shown (units: bigint, divisor = 1n): number | null {
  const value = quotientToDouble(units, divisor, UNIT_EXPONENT)
  return Number.isFinite(value) ? value + 0 : null
}

function checkRow (row: Record<string, any>, expected: ExpectedRow, { groupBy }: Asked): void {
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

test('whatever was sent, every number of every row of every page is the double nearest to the exact one', { timeout: 600_000 }, async t => {
  const api = await openTestApi(t, { RATE_LIMIT_PRINCIPAL_MAX: '10000000', RATE_LIMIT_ADDRESS_MAX: '10000000' })
  let rowCount = 0
  await fc.assert(fc.asyncProperty(
    siteOf(values).chain(it => fc.tuple(fc.constant(it), questions(it))),
    async ([{ events }, questions]) => {
      await api.database.query('truncate series, rollups_minute, rollups_hour, rollups_day restart identity')
      await writeEvents(api.database, events)
      for (const asked of questions) {
        const isOf = (names: string[], name: string) => names.length === 0 || names.includes(name)
        const selected = resendsOnce(events).filter(it => isOf(asked.device, it.deviceId) &&
          isOf(asked.zone, it.zone) && isOf(asked.type, it.deviceType))
        const boundaries = boundariesByLooking(asked.startMs, asked.endMs, asked.interval, asked.tz)
        const field = asked.groupBy && fields[asked.groupBy]
        const expected = recompute(selected, boundaries, field || undefined, asked.maxGapMinutes * MINUTE_MS)
        const inOrder = asked.order === 'asc'
          ? expected
          : [...Map.groupBy(expected, it => it.key).values()].flatMap(it => it.toReversed())
        const rows = await askAll(api, asked)
        assert.equal(rows.length, inOrder.length, JSON.stringify(asked))
        for (const [n, row] of rows.entries()) checkRow(row, inOrder[n], asked)
        rowCount += rows.length
        // minutes of steps are read whatever is in them; of all other rows those alone that can have readings
        for (const fill of ['none', 'null', 'previous', 'linear']) {
          if (asked.interval !== '5m' || asked.limit === 1) continue
          const withSteps = await askAll(api, { ...asked, limit: 10_000 }, { fill, stats: 'count,avg,last,increase' })
          const without = await askAll(api, { ...asked, limit: 10_000 }, { fill, stats: 'count,avg,last' })
          const shared = withSteps.map(({ increase, unavailable: { increase: _, ...others } = {}, ...it }) =>
            ({ ...it, ...Object.keys(others).length > 0 ? { unavailable: others } : {} }))
          assert.deepEqual(without, shared)
        }
      }
    }
  ), { numRuns: 12, endOnFailure: true }) // each step of a shrink would write a database anew: the seed must do
  assert.ok(rowCount > 100)
})

test('a range is what all parts of it make together, however it is cut', { timeout: 300_000 }, async t => {
  const api = await openTestApi(t, { RATE_LIMIT_PRINCIPAL_MAX: '10000000', RATE_LIMIT_ADDRESS_MAX: '10000000' })
  await fc.assert(fc.asyncProperty(siteOf(fc.constant(decimal)), fc.array(offsetMs.chain(a => placeMs.map(b => a + b)), {
    minLength: 2, maxLength: 6
  }), async ({ baseMs, events }, cuts) => {
    await api.database.query('truncate series, rollups_minute, rollups_hour, rollups_day restart identity')
    await writeEvents(api.database, events)
    const times = [...new Set(cuts)].sort((a, b) => a - b).map(it => new Date(baseMs + it).toISOString())
    const ask = async (start: string, end: string) => {
      const { body } = await api.ask('/api/v1/aggregates',
        { start, end, interval: 'range', stats: 'count,sum,min,max,increase', maxGap: '1d' })
      return body.rows as Array<Record<string, any>>
    }
    fc.pre(times.length > 1)
    const [whole] = await ask(times[0], times.at(-1)!)
    const parts: Array<Record<string, any>> = []
    for (const [n, end] of times.slice(1).entries()) parts.push(...await ask(times[n], end))
    const add = (name: string) => parts.reduce((sum, it) => sum + it[name], 0)
    assert.equal(whole?.count ?? 0, add('count'))
    if (!whole) return
    near(whole.sum, add('sum'), 1_000 * whole.count, 'sum')
    near(whole.increase ?? 0, add('increase'), 2_000 * whole.count, 'increase')
    assert.equal(whole.min, Math.min(...parts.map(it => it.min)))
    assert.equal(whole.max, Math.max(...parts.map(it => it.max)))
  }), { numRuns: 25, endOnFailure: true })
})

test('rows that are filled from before them are filled from before the range too', { timeout: 300_000 }, async t => {
  const api = await openTestApi(t, { RATE_LIMIT_PRINCIPAL_MAX: '10000000', RATE_LIMIT_ADDRESS_MAX: '10000000' })
  let filledFromBefore = 0
  const question = fc.record({
    startMs: offsetMs.chain(a => placeMs.map(b => a + b)),
    minutes: fc.integer({ min: 1, max: 3000 }),
    interval: fc.constantFrom('5m', '30m', '1h', '6h', '1d', '1w', '1mo'),
    tz: fc.constantFrom('UTC', 'Europe/Berlin', 'Australia/Lord_Howe', 'America/Santiago'),
    groupBy: fc.constantFrom<keyof typeof fields>('device', 'zone', 'type'),
    order: fc.constantFrom('asc', 'desc'),
    limit: fc.constantFrom(1, 5, 10_000)
  }).filter(it => it.limit > 1 || it.interval !== '5m')
  await fc.assert(fc.asyncProperty(siteOf(fc.constant(decimal)), fc.array(question, { minLength: 8, maxLength: 8 }),
    async ({ baseMs, events }, questions) => {
      await api.database.query('truncate series, rollups_minute, rollups_hour, rollups_day restart identity')
      await writeEvents(api.database, events)
      for (const { minutes, interval, tz, groupBy, order, limit, ...asked } of questions) {
        const startMs = baseMs + asked.startMs
        const endMs = startMs + minutes * MINUTE_MS
        const columns = 'sum,min,last,increase'
        const query = new URLSearchParams({
          start: new Date(startMs).toISOString(),
          end: new Date(endMs).toISOString(),
          interval,
          tz,
          groupBy,
          order,
          limit: String(limit),
          fill: 'previous',
          maxGap: '1d',
          stats: columns
        })
        const rows: Array<Record<string, any>> = []
        for (;;) {
          const { status, body } = await api.ask(`/api/v1/aggregates?${query}`)
          assert.equal(status, 200, JSON.stringify(body))
          rows.push(...body.rows)
          if (body.next === null) break
          query.set('cursor', body.next)
        }

        const selected = resendsOnce(events)
        const earlier = boundariesByLooking(startMs - 70 * DAY_MS, startMs, interval, tz)
        const boundaries = boundariesByLooking(startMs, endMs, interval, tz)
        const shownOf = (it: ExpectedRow) => {
          const values = it.events.map(it => it.value)
          const lastMs = Math.max(...it.events.map(it => it.timestampMs))
          const last = Math.max(...it.events.filter(it => it.timestampMs === lastMs).map(it => it.value))
          return [shown(sumUnits(values)), Math.min(...values), last, it.increase === undefined ? null : shown(it.increase)]
        }
        const ofGroup = (all: ExpectedRow[], key: string) => all.filter(it => it.key === key)
        const [before, inside] = [earlier, boundaries].map(it => recompute(selected, it, fields[groupBy], DAY_MS))
        const keys = [...new Set([...before, ...inside].map(it => it.key))]
          .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
        const expected = keys.flatMap(key => {
          let previous = ofGroup(before, key).at(-1)
          const ofKey = boundaries.slice(1).map((endMs, n) => {
            const row = ofGroup(inside, key).find(it => it.endMs === endMs)
            if (!row && previous && previous.endMs <= startMs) filledFromBefore++
            previous = row ?? previous
            return [key, boundaries[n], !row, ...previous ? shownOf(previous) : [null, null, null, null]]
          })
          return order === 'asc' ? ofKey : ofKey.toReversed()
        })
        assert.deepEqual(rows.map(it => [it[groupBy], parseTimestamp(it.bucketStart), it.filled === true,
          it.sum, it.min, it.last, it.increase]), expected)
      }
    }), { numRuns: 12, endOnFailure: true })
  assert.ok(filledFromBefore > 100, `${filledFromBefore}`)
})
