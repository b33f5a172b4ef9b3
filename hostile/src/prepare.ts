/**
 * The data of a site before attacks, written through the event log and the real processor.
 *
 *     Large     300,000 devices in one zone, which restricted keys are for
 *     zone-n    26,000 zones of one device
 *     Honest    a small fleet whose answers are known
 *     old-1     a device of it with a reading in each of 3,000 weeks
 */
import type { EventProducer, ProducedRecord } from 'relay-event-log'
import { DAY_MS, MINUTE_MS } from 'relay-rollups'
import { until } from 'relay-test-support/until.ts'
import { OWN_PREFIX, OWN_ZONE } from './attack.ts'
import type { KnownQuestion } from './honest.ts'
import type { Site } from './site.ts'
import { EVENTS_TOPIC, LIVE_EVENTS, unreadEvents } from './unread.ts'

export interface Scale {
  /** devices in the large zone */
  readonly devices: number
  readonly zones: number
  readonly weeks: number
}

export const FULL: Scale = { devices: 300_000, zones: 26_000, weeks: 3_000 }
export const SMALL: Scale = { devices: 2_000, zones: 300, weeks: 60 }

export const HONEST_ZONE = 'Honest'
export const LIVE_ZONE = 'Honest live'
const HONEST_DEVICES = 12
/** The day of the queries. */
const DAY = Date.UTC(2026, 0, 14)
const FIRST_WEEK = Date.UTC(1970, 0, 5)
const BATCH = 5_000
const LIMIT_MS = 300_000

/** Writes everything into the log, and waits until it is in the rollups. */
export async function prepare (site: Site, scale: Scale): Promise<void> {
  const producer = await site.eventLog.openProducer()
  try {
    await send(producer, honestRecords())
    await send(producer, fill(scale.devices, n => record(`${OWN_PREFIX}${n}`, OWN_ZONE, n % 50, DAY + n % 1_000)))
    await send(producer, fill(scale.zones, n => record(`zoned-${n}`, `zone-${n}`, n % 50, DAY + n % 1_000)))
    await send(producer, fill(scale.weeks, n => record('old-1', HONEST_ZONE, n % 50, FIRST_WEEK + n * 7 * DAY_MS)))
  } finally {
    await producer.close()
  }
  await until(
    'the processor to have read all that was prepared', async () => await unreadEvents(site) < LIVE_EVENTS, LIMIT_MS
  )
  // processor and server do this by themselves within minutes; otherwise it would happen during the first attacks
  await until('the journal of all that was prepared to be rows', async () => {
    const [{ count }] = await site.database.query<{ count: bigint }>(
      'select count(*) from journal where last_time < $1', [new Date(Date.now() - DAY_MS)])
    return count === 0n
  }, LIMIT_MS)
  await site.database.query('vacuum analyze series, rollups_minute, rollups_hour, rollups_day')
  await site.database.query('checkpoint')
}

/** Queries of an honest client. Attackers may not send events that these count. */
export function knownQuestions (scale: Scale): KnownQuestion[] {
  const day = `start=${iso(DAY)}&end=${iso(DAY + DAY_MS)}`
  const old = FIRST_WEEK + Math.floor(scale.weeks / 2) * 7 * DAY_MS
  const oldDay = `start=${iso(old - old % DAY_MS)}&end=${iso(old - old % DAY_MS + DAY_MS)}`
  const of = (kind: string, path: string) => ({ kind, path })
  return [
    of('v0 device', `/api/events/device/honest-1?startTime=${iso(DAY)}&endTime=${iso(DAY + DAY_MS)}`),
    of('aggregates of a device', `/api/v1/aggregates?device=honest-2&${day}&interval=1h&stats=count,avg,min,max`),
    of('v0 zone', `/api/events/zone/${HONEST_ZONE}?startTime=${iso(DAY)}&endTime=${iso(DAY + DAY_MS)}`),
    of(
      'aggregates by device',
      `/api/v1/aggregates?zone=${HONEST_ZONE}&${day}&interval=6h&groupBy=device&stats=count,median`
    ),
    of('a device', '/api/v1/devices/honest-3'),
    of('its newest reading', '/api/v1/devices/honest-4/latest'),
    of('a day long ago', `/api/v1/aggregates?device=old-1&${oldDay}&interval=range&stats=count,min,max`),
    of('top', `/api/v1/top?zone=${HONEST_ZONE}&${day}&groupBy=device&stat=avg&limit=5`),
    of('distribution', `/api/v1/distribution?device=honest-5&${day}`),
    of('compare', `/api/v1/compare?device=honest-6&start=${iso(DAY + DAY_MS / 2)}&end=${iso(DAY + DAY_MS)}`)
  ]
}

function honestRecords (): ProducedRecord[] {
  const records: ProducedRecord[] = []
  for (let device = 0; device < HONEST_DEVICES; device++) {
    for (let n = 0; n < 240; n++) {
      records.push(record(`honest-${device}`, HONEST_ZONE, 10 + device + n % 7, DAY + n * 5 * MINUTE_MS + device))
    }
  }
  return records
}

function record (deviceId: string, zone: string, value: number, timeMs: number): ProducedRecord {
  return {
    key: deviceId, value: JSON.stringify({ deviceId, deviceType: 'THERMOSTAT', zone, value, timestamp: iso(timeMs) })
  }
}

function * fill (count: number, make: (n: number) => ProducedRecord): Generator<ProducedRecord> {
  for (let n = 0; n < count; n++) yield make(n)
}

async function send (producer: EventProducer, records: Iterable<ProducedRecord>): Promise<void> {
  let batch: ProducedRecord[] = []
  for (const it of records) {
    batch.push(it)
    if (batch.length < BATCH) continue
    await producer.send(EVENTS_TOPIC, batch)
    batch = []
  }
  if (batch.length > 0) await producer.send(EVENTS_TOPIC, batch)
}

function iso (timeMs: number): string { return new Date(timeMs).toISOString() }
