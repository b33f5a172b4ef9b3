/** Readings in the journal count in every answer like those in rows. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'

import fc from 'fast-check'
import { createApiKey, type Grants } from 'relay-access'
import type { Database } from 'relay-common'
import { bucketStartMs, DAY_MS, encodeRollupBody, HOUR_MS, levels, MINUTE_MS } from 'relay-rollups'

import type { GroupBy } from '../src/query/group-by.ts'
import { View } from '../src/stream/view.ts'
import { readChangedBuckets } from '../src/stream/changed-buckets.ts'
import { isNight, runs } from 'relay-test-support/nightly.ts'
import { openTestApi } from './support/ask.ts'
import { writeEvents, type JournalPlace, type PlacedEvent, type WriteSettings } from './support/write-events.ts'

const deviceTypes = ['THERMOSTAT', 'HEART_RATE_METER']
const devices = ['d-1', 'd-2', 'd-3', 'e-4']
const zones = ['Zone A', 'Zone B', '북쪽 zone/1']

/** In the past, and in a minute that is not over, where groups answer for the end of a range. */
const baseMs = fc.constantFrom(Date.parse('2024-03-31T01:00:00Z'), Date.parse('2099-03-31T01:00:00Z'))
const timeMs = fc.tuple(
  fc.constantFrom(-2 * DAY_MS, -DAY_MS, -HOUR_MS, -7 * MINUTE_MS, 0, 7 * MINUTE_MS, HOUR_MS),
  fc.oneof(fc.constantFrom(-1, 0, 1, MINUTE_MS - 1, MINUTE_MS), fc.nat(3 * MINUTE_MS))
).map(([a, b]) => a + b)
const value = fc.oneof(
  fc.integer({ min: -50, max: 50 }).map(it => it / 10 + 0),
  fc.double({ min: -1000, max: 1000, noNaN: true }).map(it => it + 0)
)

/** A reading, and where it is stored: in rows or in the journal, for its device and its group. */
interface Spread {
  readonly event: PlacedEvent
  readonly places: ReadonlyArray<Readonly<Record<'devices' | 'groups', JournalPlace | undefined>>>
}

const place = fc.option(fc.record({ flush: fc.nat(2), isLate: fc.boolean() }), { nil: undefined })

const spread = (baseMs: number): fc.Arbitrary<Spread> => fc.record({
  event: fc.record({
    deviceId: fc.constantFrom(...devices),
    deviceType: fc.constantFrom(...deviceTypes),
    zone: fc.constantFrom(...zones),
    value,
    timestampMs: timeMs.map(it => baseMs + it),
    sourcePartition: fc.nat(2)
  }),
  places: fc.tuple(fc.record({ devices: place, groups: place }), fc.record({ devices: place, groups: place }))
})

interface Site {
  readonly baseMs: number
  readonly spreads: Spread[]
  readonly readingsPerRowMax: number
}

/** With many of one kind some minutes no longer store their readings, and digests become sketches. */
const site: fc.Arbitrary<Site> = baseMs.chain(baseMs => {
  const of = (spread: fc.Arbitrary<Spread>, minLength: number, maxLength: number) => fc.uniqueArray(spread, {
    minLength,
    maxLength,
    size: 'max',
    selector: ({
      event: {
        deviceId, deviceType, zone, timestampMs
      }
    }) => [deviceId, deviceType, zone, timestampMs].join()
  })
  const one = spread(baseMs).map(it => ({
    ...it, event: { ...it.event, deviceId: 'd-1', zone: 'Zone A', deviceType: 'THERMOSTAT' }
  }))
  return fc.record({
    baseMs: fc.constant(baseMs),
    spreads: fc.oneof(
      { weight: 2, arbitrary: of(spread(baseMs), 1, 120) }, { weight: 1, arbitrary: of(one, 150, 250) }
    ),
    readingsPerRowMax: fc.constantFrom(600, 600, 2)
  })
})

/**
 * @param which of the two places. A minute that no longer stores its readings does so in both: enough of them are in
 *   its row
 */
function journaledIn ({ spreads, readingsPerRowMax }: Site, which: number): NonNullable<WriteSettings['journaled']> {
  const minuteOf = ({ deviceId, zone, deviceType, sourcePartition, timestampMs }: PlacedEvent) =>
    [deviceId, zone, deviceType, sourcePartition, bucketStartMs(MINUTE_MS, timestampMs)].join('\n')
  const of =
    (whose: 'devices' | 'groups') => [...Map.groupBy(spreads, it => minuteOf(it.event)).values()].flatMap(minute => {
      const journaled = minute.flatMap(({ event, places }) => {
        const place = places[which][whose]
        return place ? [[event, place] as const] : []
      })
      const isLost = whose === 'devices' && minute.length > readingsPerRowMax
      return isLost ? journaled.slice(0, minute.length - readingsPerRowMax - 1) : journaled
    })
  return { devices: new Map(of('devices')), groups: new Map(of('groups')) }
}

interface Asked {
  readonly path: string
  readonly query: ReadonlyArray<readonly [string, string]>
  readonly grants: Grants
}

const questions = ({ baseMs, spreads }: Site): fc.Arbitrary<Asked[]> => {
  const end = fc.oneof(
    fc.tuple(fc.constantFrom(...spreads), fc.constantFrom(1, MINUTE_MS, HOUR_MS, DAY_MS), fc.integer({
      min: -1, max: 1
    })).map(
      ([near, sizeMs, besideMs]) => bucketStartMs(sizeMs, near.event.timestampMs) + besideMs),
    fc.constantFrom(-DAY_MS, 0, 2 * HOUR_MS, DAY_MS).map(it => baseMs + it))
  const range = fc.tuple(end, end).filter(([a, b]) => a !== b).map(([a, b]) =>
    [a, b].sort((a, b) => a - b).map(it => new Date(it).toISOString()))
  const some = (name: string, names: readonly string[]) => fc.oneof(
    fc.constant<string[]>([]), fc.subarray([...names], { minLength: 1, maxLength: 2 })
  )
    .map(all => all.map(it => [name, it] as const))
  const selection = fc.tuple(some('device', devices), some('zone', zones), some('type', deviceTypes)).map(it =>
    it.flat())
  const groupBy = fc.constantFrom('', 'device', 'zone', 'type').map(it => it === '' ? [] : [['groupBy', it] as const])
  const ofRange = range.map(([start, end]) => [['start', start], ['end', end]] as const)
  const statsOf = (names: string) => [['stats', names], ['maxGap', '1h'], ['limit', '5000']] as const
  const withoutSteps = 'count,sum,avg,min,max,median,p90,stddev,first,last'
  const stats = fc.constantFrom(statsOf(`${withoutSteps},increase,rate,timeWeightedAvg`), statsOf(withoutSteps))

  const old = fc.tuple(range, fc.constantFrom(
    ...devices.map(it =>
      `device/${it}`), ...zones.map(it => `zone/${encodeURIComponent(it)}`), ...deviceTypes.map(it => `type/${it}`),
    `zone/${encodeURIComponent(zones[0])}/type/${deviceTypes[0]}`
  )).map(([[startTime, endTime], it]) => ({
    path: `/api/events/${it}`, query: [['startTime', startTime], ['endTime', endTime]] as const
  }))
  const rows = fc.tuple(
    selection, ofRange, groupBy, fc.constantFrom('range', '1m', '7m', '1h', '3h', '1d'),
    fc.constantFrom('UTC', 'Asia/Kolkata'), fc.constantFrom('none', 'none', 'previous', 'null'),
    fc.constantFrom('asc', 'desc'), stats
  ).filter(
    ([, [[, start], [, end]], , interval]) => interval.endsWith('m')
      ? Date.parse(end) - Date.parse(start) < 3 * HOUR_MS
      : true
  ).map(([selection, range, groupBy, interval, tz, fill, order, stats]) => ({
    path: '/api/v1/aggregates',
    query: [
      ...selection, ...range, ...groupBy, ...stats, ['interval', interval], ['tz', tz], ['fill', fill], ['order', order]
    ] as const
  }))
  const filled = fc.tuple(
    fc.constantFrom(...spreads), fc.integer({ min: -1, max: 10 * MINUTE_MS }), fc.constantFrom('device', 'zone', 'type')
  ).map(
    ([{ event }, behindMs, groupBy]) => ({
      path: '/api/v1/aggregates',
      query: [
        ['start', new Date(event.timestampMs + behindMs).toISOString()],
        ['end', new Date(event.timestampMs + behindMs + MINUTE_MS).toISOString()],
        ['groupBy', groupBy], ['fill', 'previous'], ['interval', '1m'], ['stats', 'last,count,increase']
      ] as const
    }))
  const ranking = fc.tuple(
    selection, ofRange, fc.constantFrom('device', 'zone', 'type'), fc.constantFrom('avg', 'last', 'increase')
  ).map(
    ([selection, range, groupBy, stat]) => ({
      path: '/api/v1/top', query: [...selection, ...range, ['groupBy', groupBy], ['stat', stat]] as const
    }))
  const others = fc.tuple(fc.constantFrom('/api/v1/compare', '/api/v1/distribution'), selection, ofRange).map(
    ([path, selection, range]) => ({ path, query: [...selection, ...range] }))
  const present = fc.tuple(
    fc.constantFrom(
      '/api/v1/devices', '/api/v1/zones', '/api/v1/types',
      ...devices.flatMap(it => [`/api/v1/devices/${it}`, `/api/v1/devices/${it}/latest`])
    ),
    fc.constantFrom('', ...zones)
  ).map(([path, zone]) => ({
    path, query: zone !== '' && /(?:devices|types)$/.test(path) ? [['zone', zone] as const] : []
  }))
  const grants: fc.Arbitrary<Grants> = fc.constantFrom(
    {}, {}, {}, { devicePrefixes: ['d-'] }, { zones: [zones[0], zones[2]] }
  )
  const one = fc.tuple(fc.oneof(
    { weight: 3, arbitrary: old }, { weight: 4, arbitrary: rows }, { weight: 3, arbitrary: filled },
    { weight: 1, arbitrary: ranking }, { weight: 2, arbitrary: others },
    { weight: 3, arbitrary: present }), grants).map(([it, grants]) => ({ ...it, grants }))
  return fc.array(one, { minLength: 50, maxLength: 50 })
}

/** An API with its answers, in a comparable form. */
async function openSite (t: TestContext) {
  const limits = { RATE_LIMIT_PRINCIPAL_MAX: '10000000', RATE_LIMIT_ADDRESS_MAX: '10000000' }
  const { app, database } = await openTestApi(t, limits)
  await database.query('alter sequence series_series_id_seq increment by 150') // some blocks have several series
  const keys = new Map<string, string>()
  const keyOf = async (grants: Grants) => {
    const name = JSON.stringify(grants)
    const key = keys.get(name) ?? (await createApiKey(database,
      { environment: 'local', name, scopes: ['events:read'], grants, expiresAtMs: undefined }, {
        principal: 'test'
      })).key
    keys.set(name, key)
    return key
  }
  return {
    database,
    ask: async ({ path, query, grants }: Asked) => {
      const url = `${path}?${new URLSearchParams(query.map(([name, it]): [string, string] => [name, it]))}`
      const { statusCode, body } = await app.inject({
        url, headers: { authorization: `Bearer ${await keyOf(grants)}` }
      })
      assert.ok(statusCode < 500, `${url}: ${statusCode} ${body}`)
      const { completeThrough, asOf, requestId, instance, ...rest } = JSON.parse(body)
      return { status: statusCode, ...rest }
    }
  }
}

const TABLES = 'rollups_minute, rollups_hour, rollups_day, journal'

/** A stream's content of all buckets with events. */
async function windowsOf (
  database: Database, events: readonly PlacedEvent[], groupBy: GroupBy | undefined, levelIndex: number
) {
  const view = new View({ selection: { devices: [], zones: [], types: [], grants: {} }, levelIndex, groupBy })
  const rows = await database.query<{ series_id: number, device_id: string | null, zone: string, device_type: string }>(
    'select * from series')
  for (const it of rows) {
    view.take({ seriesId: it.series_id, deviceId: it.device_id, zone: it.zone, deviceType: it.device_type })
  }
  const starts = new Set(events.map(it => bucketStartMs(levels[levelIndex].sizeMs, it.timestampMs)))
  const buckets = [...view.groups.keys()].flatMap(group => [...starts].map(bucketMs => ({ group, bucketMs })))
  const contents = await readChangedBuckets(database, new Map([[view, { buckets, stretch: undefined }]]))
  return new Map(buckets.map(it => {
    const rollup = contents(view, it) // equal rollups have equal bytes
    return [
      `${it.group} ${it.bucketMs}`, rollup && `${rollup.count} ${encodeRollupBody(rollup, it.bucketMs).toString('hex')}`
    ]
  }))
}

test('whatever part of the readings is in the journal, every answer equals that of rows alone', { timeout: 600_000 }, async t => {
  const ofRows = await openSite(t)
  const split = await openSite(t)
  let answers = 0
  await fc.assert(fc.asyncProperty(site.chain(it =>
    fc.tuple(fc.constant(it), questions(it))), async ([site, questions]) => {
    const events = site.spreads.map(it => it.event)
    const { readingsPerRowMax } = site
    for (const { database } of [ofRows, split]) await database.query(`truncate series, ${TABLES} restart identity`)
    await writeEvents(ofRows.database, events, { readingsPerRowMax })
    for (const which of [0, 1]) { // compaction, and other moves: none of them is announced
      await split.database.query(`truncate ${TABLES}`)
      await writeEvents(
        split.database, events, { readingsPerRowMax, journaled: journaledIn(site, which), announces: which === 0 }
      )
      for (const asked of questions) {
        const [found, expected] = [await split.ask(asked), await ofRows.ask(asked)]
        assert.deepEqual(found, expected, JSON.stringify(asked))
        if (expected.status === 200) answers++
      }
      for (const groupBy of ['device', 'zone', undefined] as const) {
        for (const levelIndex of levels.keys()) {
          assert.deepEqual(await windowsOf(split.database, events, groupBy, levelIndex),
            await windowsOf(ofRows.database, events, groupBy, levelIndex))
        }
      }
    }
  // each step of a shrink would write two other databases, so the seed must suffice
  }), { ...runs(8), endOnFailure: true })
  assert.ok(answers > (isNight ? 150 : 10), `${answers}`)
})
