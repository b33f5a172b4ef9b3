/** Compares every number of every answer with a simple computation over the same events. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'
import { bucketStartMs, DAY_MS, DIGEST_EXACT_VALUES_MAX, HOUR_MS, MINUTE_MS } from 'relay-rollups'

import { openTestApi, type TestApi } from './support/ask.ts'
import { writeEvents, type PlacedEvent } from './support/write-events.ts'

const deviceTypes = ['THERMOSTAT', 'HEART_RATE_METER']
const zones = ['Zone A', 'Zone B', '북쪽 zone/1']
/** Contains 29 February; and the same in a time that is not over, where groups answer for the end of a range. */
const basesMs = [2024, 2096].map(it => Date.UTC(it, 1, 27))

/** Clusters of events in time, so that ranges contain many or few of them. */
const placeMs = fc.constantFrom(
  0, 7 * MINUTE_MS, HOUR_MS, 5 * HOUR_MS, DAY_MS - MINUTE_MS, DAY_MS, 2 * DAY_MS, 4 * DAY_MS, 45 * DAY_MS)
const offsetMs = fc.oneof(
  fc.constantFrom(-1, 0, 1, MINUTE_MS - 1, MINUTE_MS, HOUR_MS - 1),
  fc.integer({ min: -2 * MINUTE_MS, max: 3 * MINUTE_MS }),
  fc.integer({ min: 0, max: HOUR_MS })
)
const value = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: -50, max: 50 }).map(it => it / 10 + 0) },
  { weight: 4, arbitrary: fc.double({ min: -1000, max: 1000, noNaN: true }).map(it => it + 0) },
  { weight: 1, arbitrary: fc.double({ min: -1e300, max: 1e300, noNaN: true }).map(it => it + 0) }
)

const eventFrom = (baseMs: number): fc.Arbitrary<PlacedEvent> => fc.record({
  deviceId: fc.constantFrom('d-1', 'd-2', 'd-3'),
  deviceType: fc.constantFrom(...deviceTypes),
  zone: fc.constantFrom(...zones),
  value,
  timestampMs: fc.tuple(placeMs, offsetMs).map(([a, b]) => baseMs + a + b),
  sourcePartition: fc.nat(2)
})

interface Site {
  readonly events: PlacedEvent[]
  readonly readingsPerRowMax: number
}

/** Few events with all kinds of values, or many of one kind, so that minutes overflow and digests become sketches. */
const site: fc.Arbitrary<Site> = fc.constantFrom(...basesMs).map(eventFrom).chain(event => fc.oneof(
  fc.record({
    events: fc.array(event, { minLength: 1, maxLength: 150, size: 'max' }),
    readingsPerRowMax: fc.constantFrom(600, 1)
  }),
  fc.record({
    events: fc.array(
      event.map(it => ({ ...it, zone: 'Zone A', deviceType: 'THERMOSTAT' })),
      { minLength: 400, maxLength: 600, size: 'max' }),
    readingsPerRowMax: fc.constant(600)
  })
))

interface Question {
  readonly path: string
  readonly selects: (event: PlacedEvent) => boolean
  readonly startMs: number
  readonly endMs: number
}

const selection: fc.Arbitrary<Pick<Question, 'path' | 'selects'>> = fc.oneof(
  fc.constantFrom('d-1', 'd-2', 'd-3').map(id => ({ path: `device/${id}`, selects: byFields({ deviceId: id }) })),
  fc.constantFrom(...zones).map(zone => ({ path: `zone/${encodeURIComponent(zone)}`, selects: byFields({ zone }) })),
  fc.constantFrom(...deviceTypes).map(type => ({ path: `type/${type}`, selects: byFields({ deviceType: type }) })),
  fc.tuple(fc.constantFrom(...zones), fc.constantFrom(...deviceTypes)).map(([zone, deviceType]) =>
    ({ path: `zone/${encodeURIComponent(zone)}/type/${deviceType}`, selects: byFields({ zone, deviceType }) }))
)

function byFields (wanted: Partial<PlacedEvent>): Question['selects'] {
  return event => (Object.keys(wanted) as Array<keyof PlacedEvent>).every(it => event[it] === wanted[it])
}

const sizes = fc.constantFrom(1, MINUTE_MS, HOUR_MS, DAY_MS)

/** Ends at and next to events, and at nearby boundaries of all levels. */
const questions = ({ events }: Site): fc.Arbitrary<Question[]> => {
  const end = fc.tuple(fc.constantFrom(...events), sizes, fc.nat(1), fc.integer({ min: -1, max: 1 })).map(
    ([near, sizeMs, next, besideMs]) => bucketStartMs(sizeMs, near.timestampMs) + next * sizeMs + besideMs)
  const question = fc.tuple(selection, end, end).filter(([, a, b]) => a !== b).map(([selected, a, b]) =>
    ({ ...selected, startMs: Math.min(a, b), endMs: Math.max(a, b) }))
  return fc.array(question, { minLength: 25, maxLength: 25 })
}

async function check (
  api: TestApi, { path, selects, startMs, endMs }: Question, { events, readingsPerRowMax }: Site
): Promise<void> {
  const { status, body } = await api.ask(`/api/events/${path}`,
    { startTime: new Date(startMs).toISOString(), endTime: new Date(endMs).toISOString() })
  const selected = resendsOnce(events.filter(selects))

  const endMinuteMs = bucketStartMs(MINUTE_MS, endMs)
  const isAnsweredByGroups = endMs > Date.now() && startMs <= endMinuteMs && !path.startsWith('device/') &&
    selected.every(it => it.timestampMs < endMs || it.timestampMs >= endMinuteMs + MINUTE_MS)
  const lost = (boundaryMs: number) => boundaryMs % MINUTE_MS !== 0 && !(boundaryMs === endMs && isAnsweredByGroups) &&
    hasLostReadings(selected, bucketStartMs(MINUTE_MS, boundaryMs), readingsPerRowMax)
  const coverageStartMs = lost(startMs) ? bucketStartMs(MINUTE_MS, startMs) : startMs
  const coverageEndMs = lost(endMs) ? bucketStartMs(MINUTE_MS, endMs) + MINUTE_MS : endMs
  const oneMinute = bucketStartMs(MINUTE_MS, startMs) === bucketStartMs(MINUTE_MS, endMs - 1)
  const [fromMs, toMs] = oneMinute && (lost(startMs) || lost(endMs))
    ? [bucketStartMs(MINUTE_MS, startMs), bucketStartMs(MINUTE_MS, startMs) + MINUTE_MS]
    : [coverageStartMs, coverageEndMs]

  const expected = selected.filter(it => it.timestampMs >= fromMs && it.timestampMs < toMs)
  if (expected.length === 0) {
    assert.deepEqual([status, body.code], [404, 'RELAY_NO_DATA'])
    return
  }
  assert.equal(status, 200)
  assert.deepEqual(body.coverage, { start: new Date(fromMs).toISOString(), end: new Date(toMs).toISOString() })

  const values = expected.map(it => it.value).sort((a, b) => a - b)
  assert.equal(body.count, values.length)
  assert.equal(body.minValue, values[0])
  assert.equal(body.maxValue, values.at(-1))
  const average = values.reduce((sum, it) => sum + it) / values.length
  const rounding = Math.max(-values[0], values.at(-1)!) * 1e-12 + Number.MIN_VALUE // of this simple sum: ours is exact
  assert.ok(Math.abs(body.avgValue - average) <= rounding, `${body.avgValue}, not ${average}`)
  const half = (values.length - 1) / 2
  const middle = (values[Math.floor(half)] + values[Math.ceil(half)]) / 2 + 0 // never -0
  const said = `${body.medianValue} ± ${body.medianError}, not ${middle}`
  if (new Set(values).size <= DIGEST_EXACT_VALUES_MAX) assert.equal(body.medianError, 0)
  if (body.medianError === 0) assert.equal(body.medianValue, middle)
  else assert.ok(Math.abs(body.medianValue - middle) <= body.medianError, said)

  const common = (names: string[]) => new Set(names).size === 1 ? names[0] : null
  assert.equal(body.deviceId, path.startsWith('device/') ? expected[0].deviceId : null)
  assert.equal(body.zone, common(expected.map(it => it.zone)))
  assert.equal(body.deviceType, common(expected.map(it => it.deviceType)))
}

const seriesOf = (it: PlacedEvent) => [it.deviceId, it.zone, it.deviceType, it.sourcePartition].join()

/** The same series, time and value from one partition is one reading that was resent. */
function resendsOnce (events: PlacedEvent[]): PlacedEvent[] {
  return [...new Map(events.map(it => [[seriesOf(it), it.timestampMs, it.value].join(), it])).values()]
}

function hasLostReadings (events: PlacedEvent[], minuteMs: number, readingsPerRowMax: number): boolean {
  const counts = new Map<string, number>()
  for (const it of events) {
    if (bucketStartMs(MINUTE_MS, it.timestampMs) !== minuteMs) continue
    counts.set(seriesOf(it), (counts.get(seriesOf(it)) ?? 0) + 1)
  }
  return [...counts.values()].some(it => it > readingsPerRowMax)
}

test('every number of every answer is right, for any events from any source', { timeout: 300_000 }, async t => {
  const api = await openTestApi(t)
  let sketches = 0
  await fc.assert(fc.asyncProperty(
    site.chain(it => fc.tuple(fc.constant(it), questions(it))),
    async ([site, questions]) => {
      await api.database.query('truncate series, rollups_minute, rollups_hour, rollups_day restart identity')
      await writeEvents(api.database, site.events, site)
      for (const question of questions) await check(api, question, site)
      if (new Set(site.events.map(it => it.value)).size > DIGEST_EXACT_VALUES_MAX) sketches++
    }
  // each step of a shrink would write another database, so the seed must suffice
  ), { numRuns: 40, endOnFailure: true })
  assert.ok(sketches > 0)
})
