/** A read key that asks for what it may not see, and with parameters that mean nothing. */
import { OWN_ZONE, readEverything, type Attack } from '../attack.ts'
import { eventOf, type Attacker } from '../attacker.ts'

const DAY = 'start=2026-01-14T00:00:00Z&end=2026-01-15T00:00:00Z'
const V0_DAY = 'startTime=2026-01-14T00:00:00Z&endTime=2026-01-15T00:00:00Z'
const routes = ['aggregates', 'top', 'compare', 'distribution', 'devices', 'zones', 'types', 'stream']

/** Every half second: whether what was sent is in the answers. */
const CSV_LOOKS_MAX = 30

/** Some of what is generated is a question about 300,000 devices: nobody waits for all of those. */
const PATIENCE_MS = 500

/** Whether an answer shows anything of what is not granted. What was asked for is not shown by being told again. */
function showsForeign (text: string): boolean {
  return /"(?:device|deviceId)":"(?:honest|old|zoned|live)-|"zone":"(?:Honest|zone-)/.test(text)
}

async function ask (attacker: Attacker, path: string): Promise<void> {
  const { status, body } = await attacker.ask({
    path, timeoutMs: PATIENCE_MS, leaveAfterMs: path.includes('/stream') ? 150 : undefined
  })
  if (path.includes('/stream')) return
  attacker.expect(status < 500 || status === 503, `status ${status} for ${path.slice(0, 100)}`)
  if (status === 200) attacker.expect(!showsForeign(body.toString()), `something foreign in the answer to ${path.slice(0, 100)}`)
}

export const parameters: readonly Attack[] = [
  {
    name: 'read-grants/every-route',
    who: 'read key',
    input: 'each route for a foreign zone and device, v0 and v1',
    holds: '403, or an answer without them',
    async run (attacker) {
      for (const path of [
        `/api/events/device/honest-1?${V0_DAY}`, `/api/events/zone/Honest?${V0_DAY}`, `/api/events/zone/Honest/type/THERMOSTAT?${V0_DAY}`,
        `/api/v1/aggregates?zone=Honest&${DAY}`, `/api/v1/aggregates?device=honest-1&${DAY}`, `/api/v1/aggregates?zone=${OWN_ZONE}&zone=Honest&${DAY}&groupBy=zone`,
        `/api/v1/top?zone=Honest&${DAY}`, `/api/v1/compare?device=honest-1&${DAY}`, `/api/v1/distribution?zone=Honest&${DAY}`,
        '/api/v1/devices/honest-1', '/api/v1/devices/honest-1/latest', '/api/v1/devices?zone=Honest',
        '/api/v1/devices?device=honest-1'
      ]) {
        const { status, body } = await attacker.ask({ path })
        attacker.expect(status === 403, `status ${status} for ${path}`)
        attacker.expect(!/"count":[1-9]/.test(body.toString()), `numbers of ${path}`)
      }
      for (const path of ['/api/v1/devices?prefix=honest', '/api/v1/devices?prefix=', '/api/v1/zones', '/api/v1/types', `/api/v1/aggregates?${DAY}&groupBy=zone`, `/api/v1/top?${DAY}&groupBy=zone`, `/api/v1/aggregates?${DAY}&groupBy=device&type=THERMOSTAT&limit=100`]) {
        await ask(attacker, path)
      }
    }
  },
  {
    name: 'read-grants/generated',
    who: 'read key',
    input: 'generated questions that name foreign zones and devices in every spelling, one after the other',
    holds: 'nothing foreign is shown',
    spanMs: 30_000,
    async run (attacker) {
      const { chance } = attacker
      const names = [
        'Honest', 'honest-1', 'zone-5', 'zoned-5', 'old-1', OWN_ZONE, 'large-5', 'Large\'', '%', '_', 'L%', '',
        ' Large', 'large', 'LARGE', '*', 'null', '{}', '\\', '"', '\'; drop table series; --', 'Large\u0000', '\ud800',
        'é'.repeat(128)
      ]
      const name = () => encodeURIComponent(chance.pick(names).toWellFormed())
      for (let n = 0; n < attacker.generated; n++) {
        const route = chance.pick(routes)
        const some = Array.from({ length: chance.below(4) }, () => `${chance.pick(['device', 'zone', 'type', 'prefix', 'groupBy', 'limit', 'Zone', 'zone[]', 'zone[0]'])}=${name()}`)
        const path = chance.happens(0.2)
          ? `/api/events/${chance.pick(['device', 'zone', 'type'])}/${name()}?${V0_DAY}`
          : chance.happens(0.2) ? `/api/v1/devices/${name()}${chance.pick(['', '/latest'])}` : `/api/v1/${route}?${[...some, ...chance.happens(0.7) ? [DAY] : [], 'limit=50'].join('&')}`
        await ask(attacker, path)
        await attacker.pause(1)
      }
    }
  },
  {
    name: 'parameters/generated',
    who: 'read key',
    input: 'generated parameters: times, intervals, zones of time, statistics, limits, cursors; one after the other',
    holds: '4xx or an answer',
    spanMs: 20_000,
    async run (attacker) {
      const { chance } = attacker
      const values: Readonly<Record<string, readonly string[]>> = {
        start: ['2026-01-14T00:00:00Z', '-24h', 'now', '0000-01-01T00:00:00Z', '9999-12-31T23:59:59Z', '-999999999w', '1970-01-01T00:00:00+24:00', '', '٠', '2026-02-30T00:00:00Z', `2026-01-01T00:00:00.${'9'.repeat(40)}Z`],
        end: ['2026-01-15T00:00:00Z', 'now', 'now+999999999w', '2026-01-14T00:00:00.001Z', '1e9', 'NaN'],
        interval: [
          '1m', '7m', '1h', '1d', '1w', '1mo', '1y', 'range', 'auto', '0m', '-1m', '99999999999m', '1M', ' 1m', '1m,1h'
        ],
        tz: [
          'Europe/Berlin', 'UTC', 'Etc/GMT+12', '../../etc/passwd', 'europe/berlin', 'Europe/Berlin\u0000',
          'A'.repeat(64), '+25:00'
        ],
        stats: ['count', 'p50,p50,p50', Array(60).fill('p1').map((_, n) => `p${n}.5`).join(','), 'p1e1', 'p-1', 'p100.1', 'p0.00000000000001', ',', 'increase,rate', '__proto__', 'a'.repeat(1_000)],
        fill: ['none', 'null', 'previous', 'linear', 'x'],
        limit: ['1', '0', '-1', '1e6', '1000001', '99999999999999999999', '1.5', 'x'],
        maxPoints: ['1', '100000', '1e5', '0'],
        cursor: [
          'a', '', 'e30', 'bnVsbA', Buffer.from('{"a":1}').toString('base64url'), 'A'.repeat(8_000), '%00', '[]'
        ],
        groupBy: ['device', 'zone', 'type', 'x', '', '__proto__'],
        order: ['asc', 'desc', 'x'],
        format: ['json', 'ndjson', 'csv', 'xml', '../x'],
        bins: ['1', '1000', '1001', '-1', '1e3'],
        maxGap: ['1h', '1d', '0s', '99d'],
        against: ['previous', 'weekday', 'x']
      }
      for (let n = 0; n < attacker.generated; n++) {
        const some = Array.from({ length: chance.between(1, 7) }, () => {
          const name = chance.pick(Object.keys(values))
          return `${name}=${encodeURIComponent(chance.pick(values[name]))}`
        })
        await ask(attacker, `/api/v1/${chance.pick(routes)}?device=large-7&${some.join('&')}`)
        await attacker.pause(1)
      }
    }
  },
  {
    name: 'parameters/cursors',
    who: 'read key',
    input: 'generated cursors: a real one with bytes changed, cut, of another question; one after the other',
    holds: '400, or rows of the question',
    spanMs: 14_000,
    async run (attacker) {
      const { chance } = attacker
      const path = `/api/v1/aggregates?zone=${OWN_ZONE}&${DAY}&interval=1h&groupBy=type&limit=1`
      const first = await attacker.ask({ path: `/api/v1/devices?limit=2&zone=${OWN_ZONE}` })
      const second = await attacker.ask({ path })
      const real = [first, second].map(
        it => (JSON.parse(it.body.toString() || '{}') as { next?: string }).next ?? 'e30'
      )
      for (let n = 0; n < attacker.generated; n++) {
        const bytes = Buffer.from(chance.pick(real), 'base64url')
        for (let m = chance.below(3); m >= 0; m--) bytes[chance.below(bytes.length)] = chance.below(256)
        const cursor = chance.happens(0.2) ? chance.pick(real).slice(0, chance.below(30)) : bytes.toString('base64url')
        await ask(attacker, `${chance.happens(0.5) ? path : `/api/v1/devices?limit=2&zone=${OWN_ZONE}`}&cursor=${encodeURIComponent(cursor)}`)
        await attacker.pause(1)
      }
    }
  },
  {
    name: 'parameters/many',
    who: 'read key',
    input: 'addresses of 15 KB: 3,000 parameters of one name, of many names; 20 a second',
    holds: '4xx or an answer',
    async run (attacker) {
      const some = [
        `/api/v1/devices?${'device=a&'.repeat(1_600)}`, `/api/v1/devices?${Array.from({ length: 1_200 }, (_, n) => `k${n}=1`).join('&')}`,
        `/api/v1/aggregates?${'zone=Large&'.repeat(1_300)}${DAY}`, `/api/v1/devices?prefix=${'a'.repeat(15_000)}`, `/api/v1/devices/${'%61'.repeat(5_000)}`,
        `/api/v1/aggregatez?${'x'.repeat(15_000)}`, `/api/v1/aggregates?${'intervall'.repeat(1_600)}=1m`
      ]
      for (let n = 0; !attacker.isOver; n++) {
        await ask(attacker, some[n % some.length])
        await attacker.pause(40)
      }
    }
  },
  {
    name: 'spreadsheets/csv-cells',
    who: 'write key',
    key: { scopes: ['events:read', 'events:write'], zones: [OWN_ZONE] },
    input: '24 device ids that a spreadsheet would run, also behind a separator of another country',
    holds: 'no cell of the CSV begins with a formula, whatever separates cells',
    async run (attacker) {
      const formulas = ['=1+1', '+1', '-1', '@SUM(A1)', '=cmd|\' /C calc\'!A0', '\uff1d1+1']
      const ids = ['', 'a;', 'a, ', 'a"; '].flatMap(before => formulas.map(it => `${before}${it}`))
      await attacker.send(ids.map(it => eventOf(it, OWN_ZONE)).join('\n'))
      const path = `/api/v1/aggregates?zone=${OWN_ZONE}&start=-1h&end=now&interval=range&groupBy=device&format=csv&${ids.map(it => `device=${encodeURIComponent(it)}`).join('&')}`
      let rows: string[] = []
      for (let looks = 0; looks < CSV_LOOKS_MAX && rows.length < ids.length; looks++) {
        await attacker.pause(500)
        const { body, status } = await attacker.ask({ path })
        attacker.expect(status === 200, `status ${status} for the CSV`)
        rows = body.toString().split('\r\n').slice(1).filter(Boolean)
      }
      attacker.expect(rows.length >= ids.length, `${rows.length} rows of ${ids.length} devices`)
      for (const row of rows) {
        for (const cell of row.split(/[;,\t]/).map(it => it.replace(/^"+/, ''))) {
          if (/^-?[\d.]+$/.test(cell)) continue
          attacker.expect(!/^[=+\-@\uff1d\uff0b\uff0d\uff20]/.test(cell), `a cell begins with ${cell.slice(0, 12)}`)
        }
      }
    }
  },
  {
    name: 'parameters/ranges',
    who: 'read key',
    key: readEverything,
    input: 'ranges of ten years in every zone of time, by the day and month; 10 a second',
    async run (attacker) {
      const zones = [
        'Europe/Berlin', 'America/New_York', 'Asia/Kathmandu', 'Pacific/Apia', 'Africa/Casablanca', 'Antarctica/Troll',
        'Australia/Lord_Howe'
      ]
      for (let n = 0; !attacker.isOver; n++) {
        const year = 1971 + n * 7 % 46
        await attacker.ask({ path: `/api/v1/aggregates?type=THERMOSTAT&start=${year}-01-01T00:00:00Z&end=${year + 9}-12-30T00:00:00Z&interval=${['1d', '1mo', '1h'][n % 3]}&tz=${zones[n % zones.length]}&fill=linear&limit=5000` })
        await attacker.pause(100)
      }
    }
  }
]
