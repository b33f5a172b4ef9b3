/** Events of a run: on time, late, and resent, and invalid records. */
import type { DeviceEvent } from 'relay-rollups'

import type { Chance } from 'relay-test-support/chance.ts'

const types = ['THERMOSTAT', 'CAR_FUEL']
const START_MS = Date.parse('2024-05-20T23:57:00Z')
const DAY_MS = 86_400_000

/** @param mayResend some events are there twice */
export function makeRecords (chance: Chance, count: number, mayResend: boolean): Buffer[] {
  const records: Buffer[] = []
  const stepMs = chance.pick([50, 1_000, 20_000])
  for (let n = 0; n < count; n++) {
    if (mayResend && n > 0 && chance.happens(0.05)) records.push(chance.pick(records))
    else records.push(Buffer.from(chance.happens(0.03) ? `poison ${n} ${chance.next()}` : makeEvent(chance, n, stepMs)))
  }
  return records
}

function makeEvent (chance: Chance, n: number, stepMs: number): string {
  const device = chance.below(3)
  const lateMs = chance.happens(0.1) ? chance.between(60_000, 3 * DAY_MS) : chance.between(0, 2 * stepMs)
  return JSON.stringify({
    deviceId: `device-${device}`,
    deviceType: types[device % 2],
    zone: chance.happens(0.9) ? 'Zone A' : 'Zone B',
    value: chance.between(-500, 500) / 10,
    timestamp: new Date(START_MS + n * stepMs - lateMs).toISOString()
  })
}

/** Content of a record; undefined: invalid. */
export function readRecord (record: Buffer): DeviceEvent | undefined {
  const text = String(record)
  if (text.startsWith('poison')) return undefined
  const { timestamp, ...event } = JSON.parse(text)
  return { ...event, timestampMs: Date.parse(timestamp) }
}
