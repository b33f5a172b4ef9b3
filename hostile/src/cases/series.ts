/** What stays: new series, zones, partitions, kept answers, names that collide. The last of the suite. */
import { gzipSync } from 'node:zlib'

import { DAY_MS } from 'relay-rollups'

import type { Chance } from 'relay-test-support/chance.ts'
import { OWN_PREFIX, OWN_ZONE, type Attack } from '../attack.ts'
import { eventOf, type Attacker } from '../attacker.ts'
import type { Site } from '../site.ts'

const PER_BODY = 10_000

async function sendLines (
  attacker: Attacker, bodies: number, line: (n: number) => string, restMs = 300
): Promise<void> {
  for (let body = 0; body < bodies; body++) {
    const lines = Array.from({ length: PER_BODY }, (_, n) => line(body * PER_BODY + n)).join('\n')
    const { status } = await attacker.send(lines)
    attacker.expect([202, 207, 413, 422, 429, 503].includes(status), `status ${status} for new series`)
    await attacker.pause(restMs)
  }
}

async function seriesLike (site: Site, prefix: string, max: number): Promise<string[]> {
  const [{ count }] = await site.database.query<{ count: bigint }>('select count(*) as count from series where device_id like $1 or zone like $1', [`${prefix}%`])
  return Number(count) > max ? [`one key has made ${count} series; ${max} per hour are allowed`] : []
}

const SERIES_MAX = 21_000
const unique = () => Math.floor(Math.random() * 1e9).toString(36)

/** A reading in each of many weeks: each makes a partition where nothing bounds them. */
function past (
  name: string, input: string, count: number, timeMs: (n: number) => number, deviceOf = (_: number) => 'past'
): Attack {
  return {
    name: `partitions/${name}`,
    who: 'write key',
    input,
    holds: 'few partitions, answers as before',
    spanMs: 6_000,
    async run (attacker) {
      const lines = Array.from({ length: count }, (_, n) => eventOf(`${OWN_PREFIX}${deviceOf(n)}`, OWN_ZONE, { timestamp: new Date(timeMs(n)).toISOString() }))
      for (let at = 0; at < lines.length; at += PER_BODY) {
        await attacker.send(lines.slice(at, at + PER_BODY).join('\n'))
        await attacker.pause(200)
      }
      await attacker.pause(3_000)
    }
  }
}

/**
 * Ids of one FNV-1a hash, by the way of Joux: two blocks after each other that lead from a state to the same next one,
 * so that n pairs make 2^n ids that all collide.
 */
function collidingIds (chance: Chance, prefix: string, pairs: number): string[] {
  const step = (hash: number, text: string) => {
    for (let n = 0; n < text.length; n++) hash = Math.imul(hash ^ text.charCodeAt(n), 0x01000193)
    return hash >>> 0
  }
  let state = step(0x811c9dc5, prefix)
  const blocks: [string, string][] = []
  for (let pair = 0; pair < pairs; pair++) {
    const seen = new Map<number, string>()
    for (;;) {
      // at random: blocks that count up meet far later than by the birthday paradox, after some 80,000
      const half = () => chance.below(2 ** 20).toString(36).padStart(4, '0')
      const block = half() + half()
      const next = step(state, block)
      const other = seen.get(next)
      if (other === undefined || other === block) {
        seen.set(next, block)
        continue
      }
      blocks.push([other, block])
      state = next
      break
    }
  }
  return Array.from({ length: 2 ** pairs }, (_, n) => prefix + blocks.map((pair, bit) => pair[n >> bit & 1]).join(''))
}

export const series: readonly Attack[] = [
  {
    name: 'series/new-names-in-a-large-zone',
    who: 'write key',
    input: '5,000 new devices in a zone of 300,000: 60 KB gzipped, three times',
    holds: 'rows for all others go on',
    async run (attacker) {
      const mark = unique()
      for (let body = 0; body < 3; body++) {
        await attacker.send(Array.from({ length: 5_000 }, (_, n) => eventOf(`${OWN_PREFIX}new-${mark}-${body}-${n}`, OWN_ZONE)).join('\n'))
        await attacker.pause(700)
      }
    }
  },
  {
    name: 'series/known-names-of-a-large-zone',
    who: 'write key',
    input: '20,000 devices of a zone of 300,000 that nobody has heard of for long, in two bodies',
    holds: 'rows for all others go on',
    run: attacker => sendLines(attacker, 2, n => eventOf(`${OWN_PREFIX}${n * 13 % 290_000}`, OWN_ZONE))
  },
  {
    name: 'series/devices',
    who: 'write key',
    input: '60,000 new devices in six bodies, 300 ms apart',
    holds: 'a quota, told with Retry-After or as a dead letter',
    spanMs: 8_000,
    run: attacker => sendLines(attacker, 6, n => eventOf(`${OWN_PREFIX}flood-${attacker.number}-${n}`, OWN_ZONE)),
    verify: (site, number) => seriesLike(site, `${OWN_PREFIX}flood-${number}-`, SERIES_MAX)
  },
  {
    name: 'series/zones',
    who: 'write key',
    key: { scopes: ['events:write'], devicePrefixes: [OWN_PREFIX] },
    input: '60,000 new zones of one device in six bodies',
    holds: 'a quota',
    spanMs: 8_000,
    run: attacker => sendLines(attacker, 6, n => eventOf(`${OWN_PREFIX}z`, `flooded-${attacker.number}-${n}`)),
    verify: (site, number) => seriesLike(site, `flooded-${number}-`, SERIES_MAX)
  },
  {
    name: 'series/devices-by-mqtt',
    who: 'write key',
    input: '9,000 new devices by MQTT at QoS 0, 3,000 a second',
    holds: 'a quota',
    async run (attacker) {
      const mqtt = await attacker.mqtt()
      for (let n = 0; n < 9_000 && mqtt?.raw.isOpen && !attacker.isOver; n += 30) {
        for (let m = 0; m < 30; m++) mqtt.publish(eventOf(`${OWN_PREFIX}mqtt-${attacker.number}-${n + m}`, OWN_ZONE), { qos: 0 })
        attacker.count('published', 30)
        await attacker.pause(10)
      }
    },
    verify: (site, number) => seriesLike(site, `${OWN_PREFIX}mqtt-${number}-`, SERIES_MAX)
  },
  {
    name: 'series/long-names',
    who: 'write key',
    input: '10,000 new devices whose names have 128 characters of 3 bytes',
    holds: 'rows for all others go on',
    run: attacker => sendLines(attacker, 1, n => eventOf(`${OWN_PREFIX}${'漢'.repeat(110)}${n}`, OWN_ZONE))
  },
  {
    name: 'collisions/device-ids',
    who: 'write key',
    input: '16,384 device ids of one FNV-1a hash (1 MB gzipped to 90 KB), then 40,000 readings of them',
    holds: 'a look-up costs what it always costs',
    spanMs: 8_000,
    async run (attacker) {
      const ids = collidingIds(attacker.chance, `${OWN_PREFIX}c`, 14)
      for (let round = 0; round < 3; round++) {
        for (let at = 0; at < ids.length; at += PER_BODY) {
          await attacker.send(ids.slice(at, at + PER_BODY).map(it => eventOf(it, OWN_ZONE)).join('\n'))
          await attacker.pause(200)
        }
      }
    }
  },
  {
    name: 'collisions/zones',
    who: 'write key',
    key: { scopes: ['events:write'], devicePrefixes: [OWN_PREFIX] },
    input: '8,192 zones of one hash, then 20,000 readings of them',
    holds: 'a look-up costs what it always costs',
    spanMs: 8_000,
    async run (attacker) {
      const zones = collidingIds(attacker.chance, 'c-', 13)
      for (let round = 0; round < 3; round++) {
        await attacker.send(zones.map(it => eventOf(`${OWN_PREFIX}zc`, it)).join('\n'))
        await attacker.pause(300)
      }
    }
  },
  {
    name: 'kept-answers/keys',
    who: 'write key',
    input: '300 Idempotency-Keys, each with 200 refused events, 100 a second',
    holds: 'what is kept is bounded',
    async run (attacker) {
      const lines = Array.from({ length: 200 }, (_, n) => `{"deviceId":"${OWN_PREFIX}${n}","zone":"${'x'.repeat(100)}"}`).join('\n')
      const body = gzipSync(lines)
      for (let n = 0; n < 300 && !attacker.isOver; n++) {
        await attacker.ask({ method: 'POST', path: '/api/v1/events', body, headers: { 'content-type': 'application/x-ndjson', 'content-encoding': 'gzip', 'idempotency-key': `key-${n}-${unique()}` } })
      }
    }
  },
  {
    name: 'kept-answers/large',
    who: 'write key',
    input: '20 Idempotency-Keys with 10,000 refused events each: over 1 MB of answer for 40 KB',
    holds: 'what is kept is bounded',
    spanMs: 5_000,
    async run (attacker) {
      const lines = Array.from({ length: PER_BODY }, () => '{"deviceId":1}').join('\n')
      for (let n = 0; n < 20 && !attacker.isOver; n++) await attacker.send(lines, { 'idempotency-key': `large-${n}-${unique()}` })
    },
    async verify (site) {
      const [{ bytes }] = await site.database.query<{ bytes: bigint }>(
        "select pg_total_relation_size('ingest_answers') as bytes"
      )
      return Number(bytes) > 64 * 1024 * 1024 ? [`${Math.round(Number(bytes) / 1e6)} MB of answers are kept`] : []
    }
  },
  past(
    'minutes-of-years', '10,000 readings at random minutes of 20 years, one device', 10_000,
    n => Date.UTC(2005, 0, 1) + n * 2_654_435 % 7_300 * DAY_MS + n * 1_000
  ),
  past('many-devices', '3,000 readings of as many devices, each in another week of 57 years', 2_900, n => n * 7 * DAY_MS, n => `p${n}`),
  past(
    'every-week', 'one reading in each week since 1970: 2,900 events, about 10 KB gzipped', 2_900,
    n => n * 7 * DAY_MS + 3_600_000
  ),
  past(
    'every-day', 'one reading on each day since 1970: 20,000 events in two bodies', 20_000, n => n * DAY_MS + 7_200_000
  ),
  past(
    'backwards', 'the same weeks from the newest to the oldest, so that each is late', 2_900,
    n => (2_899 - n) * 7 * DAY_MS + 10_800_000
  )
]
