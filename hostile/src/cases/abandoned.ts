/** Questions that cost much, whose askers go away, read nothing, or ask for more at once than anybody can use. */
import { OWN_ZONE, partialRead, readEverything, type Attack } from '../attack.ts'
import type { Attacker } from '../attacker.ts'

/** all but the last day without a reading */
const YEARS = 'start=2024-02-22T00:00:00Z&end=2026-01-15T00:00:00Z'
const MILLION = `zone=${OWN_ZONE}&${YEARS}&interval=1m&fill=null&limit=1000000`

/** Asks many at once; each client goes after a second. */
function gone (
  name: string, what: string, count: number, paths: readonly string[], more: Partial<Attack> = {}
): Attack {
  return {
    name: `abandoned/${name}`,
    who: 'read key',
    input: `${count} x ${what} at once, clients gone after 1 s`,
    holds: 'their work ends with them',
    ...more,
    async run (attacker) {
      await Promise.all(Array.from({ length: count }, async (_, n) => {
        await attacker.pause(n * 5)
        await attacker.ask({ path: paths[n % paths.length], leaveAfterMs: 1_000 })
      }))
      await attacker.pause(500)
    }
  }
}

/**
 * The deadline of a whole answer, and then some: one that waits behind others has nothing yet that its client could
 * take.
 */
const ANSWER_MS = 310_000

/** Asks, and reads nothing of the answer. */
function unread (name: string, what: string, count: number, path: string, more: Partial<Attack> = {}): Attack {
  return {
    name: `abandoned/${name}`,
    who: 'read key',
    input: `${count} x ${what} whose answers nobody reads`,
    holds: 'memory is bounded, and the connections are closed',
    closedWithinMs: ANSWER_MS,
    ...more,
    async run (attacker) {
      for (let n = 0; n < count; n++) {
        const raw = await attacker.connect(attacker.target.apiPort)
        raw.socket.pause()
        raw.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${attacker.target.token}\r\n\r\n`)
        attacker.last(raw)
        attacker.count('asked')
        await attacker.pause(20)
      }
      await attacker.pause(2_000)
    }
  }
}

async function ownDevice (attacker: Attacker, paths: readonly string[], count: number, restMs: number): Promise<void> {
  for (let n = 0; n < count && !attacker.isOver; n++) {
    await attacker.ask({ path: paths[n % paths.length] })
    await attacker.pause(restMs)
  }
}

export const abandoned: readonly Attack[] = [
  gone('million-minutes', 'aggregates of 1 M one-minute rows', 40, [`/api/v1/aggregates?${MILLION}`]),
  gone('million-minutes-ndjson', 'the same as NDJSON and with all statistics', 40, [`/api/v1/aggregates?${MILLION}&format=ndjson&stats=count,avg,min,max,median,p99,stddev`]),
  gone('csv', 'the same as CSV', 30, [`/api/v1/aggregates?${MILLION.replace('&limit=1000000', '')}&format=csv`]),
  gone('by-device', 'aggregates of each of 300,000 devices', 20, [`/api/v1/aggregates?zone=${OWN_ZONE}&start=2026-01-14T00:00:00Z&end=2026-01-15T00:00:00Z&interval=1h&groupBy=device&limit=1000000`]),
  gone(
    'by-zone', 'aggregates of each of 26,000 zones by the minute', 20,
    ['/api/v1/aggregates?start=2026-01-14T00:00:00Z&end=2026-01-15T00:00:00Z&interval=1m&groupBy=zone&limit=1000000'],
    { key: readEverything }
  ),
  gone('steps', 'increase and timeWeightedAvg of a large zone', 20, [`/api/v1/aggregates?zone=${OWN_ZONE}&start=2026-01-14T00:00:00Z&end=2026-01-14T01:00:00Z&interval=1m&stats=increase,rate,timeWeightedAvg`]),
  gone('top', 'top of 300,000 devices by a percentile', 20, [`/api/v1/top?zone=${OWN_ZONE}&start=2026-01-01T00:00:00Z&end=2026-02-01T00:00:00Z&stat=p99.9&limit=1000`]),
  gone('distribution', 'distributions and comparisons of a large zone over ten years', 40, [
    `/api/v1/distribution?zone=${OWN_ZONE}&start=2017-01-01T00:00:00Z&end=2026-12-01T00:00:00Z&bins=1000`,
    `/api/v1/compare?zone=${OWN_ZONE}&start=2022-01-01T00:00:00Z&end=2026-12-01T00:00:00Z`
  ]),
  gone('v0', 'GET /api/events of a zone over ten years, all different', 60, Array.from({ length: 60 }, (_, n) =>
    `/api/events/zone/${OWN_ZONE}?startTime=2017-01-01T00:00:${String(n).padStart(2, '0')}Z&endTime=2026-12-01T00:00:00Z`)),
  gone('long-ago', 'aggregates of a device over ten years by the week, any decade', 40, Array.from(
    { length: 5 }, (_, n) =>
      `/api/v1/aggregates?device=large-1&start=${1971 + n * 10}-01-01T00:00:00Z&end=${1981 + n * 10}-01-01T00:00:00Z&interval=1w`
  )),
  gone('part-of-zone', 'aggregates, distributions, comparisons and tops of eight of nine devices of a zone', 40, [
    `/api/v1/aggregates?${MILLION}`,
    `/api/v1/aggregates?zone=${OWN_ZONE}&start=2026-01-14T00:00:00Z&end=2026-01-15T00:00:00Z&interval=1m&groupBy=type`,
    `/api/v1/distribution?zone=${OWN_ZONE}&start=2017-01-01T00:00:00Z&end=2026-12-01T00:00:00Z`,
    `/api/v1/compare?zone=${OWN_ZONE}&start=2022-01-01T00:00:00Z&end=2026-12-01T00:00:00Z`,
    `/api/v1/top?zone=${OWN_ZONE}&start=2026-01-01T00:00:00Z&end=2026-02-01T00:00:00Z&stat=p99&groupBy=type`
  ], { key: partialRead }),
  unread('unread-json', 'aggregates of 1 M rows', 20, `/api/v1/aggregates?${MILLION}`),
  unread('unread-part-of-zone', 'aggregates of 1 M rows of eight of nine devices of a zone', 20, `/api/v1/aggregates?${MILLION}`, { key: partialRead }),
  unread(
    'unread-openapi', 'GET /openapi.json 40 times in one connection', 20, '/openapi.json',
    { who: 'stranger', key: undefined }
  )
]

/** Answers that grow with the site and not with the question. */
export const largeAnswers: readonly Attack[] = [
  {
    name: 'large-answers/zones',
    who: 'read key',
    key: readEverything,
    input: 'GET /zones of 26,000 zones, 10 a second',
    run: it => ownDevice(it, ['/api/v1/zones', '/api/v1/types'], 40, 50)
  },
  {
    name: 'large-answers/minutes-of-zones',
    who: 'read key',
    key: readEverything,
    input: 'interval=1m over 26,000 zones, one after the other',
    run: it => ownDevice(
      it,
      ['/api/v1/aggregates?start=2026-01-14T00:00:00Z&end=2026-01-15T00:00:00Z&interval=1m&groupBy=zone&limit=1000000'],
      20, 100
    ),
    spanMs: 5_000
  },
  { name: 'large-answers/devices', who: 'read key', input: 'pages of 1,000 of 300,000 devices, 10 a second', run: it => ownDevice(it, ['/api/v1/devices?limit=1000', `/api/v1/devices?limit=1000&zone=${OWN_ZONE}&prefix=large-2`], 40, 50) },
  { name: 'large-answers/large-pages', who: 'read key', input: 'pages of 100,000 rows of 300,000 devices, one after the other', spanMs: 5_000, run: it => ownDevice(it, [`/api/v1/aggregates?zone=${OWN_ZONE}&start=2026-01-14T00:00:00Z&end=2026-01-15T00:00:00Z&interval=1d&groupBy=device&limit=100000`], 20, 100) },
  { name: 'large-answers/many-names', who: 'read key', input: '300 device parameters in each question, 20 a second', run: it => ownDevice(it, [`/api/v1/aggregates?${Array.from({ length: 300 }, (_, n) => `device=large-${n * 7}`).join('&')}&start=2026-01-14T00:00:00Z&end=2026-01-15T00:00:00Z&interval=1h&groupBy=device`], 60, 30) },
  { name: 'large-answers/top', who: 'read key', input: 'top of 300,000 devices, one after the other', spanMs: 5_000, run: it => ownDevice(it, [`/api/v1/top?zone=${OWN_ZONE}&start=2026-01-14T00:00:00Z&end=2026-01-15T00:00:00Z&stat=median`, `/api/v1/top?zone=${OWN_ZONE}&start=2026-01-14T00:00:00Z&end=2026-01-15T00:00:00Z&stat=max&order=asc`], 20, 100) },
  {
    name: 'large-answers/pipelined',
    who: 'read key',
    input: '200 questions behind each other in one write, on 4 connections',
    async run (attacker) {
      const one = `GET /api/v1/zones HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${attacker.target.token}\r\n\r\n`
      await Promise.all(Array.from({ length: 4 }, async () => {
        const raw = await attacker.connect(attacker.target.apiPort)
        raw.write(one.repeat(200))
        attacker.count('asked', 200)
        await raw.isClosedWithin(3_000)
        raw.end()
      }))
    }
  }
]
