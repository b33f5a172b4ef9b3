import type { ProducedRecord } from 'relay-event-log'
import { EVENT_BYTES_MAX, ID_UNITS_MAX, type RejectedReason } from 'relay-rollups'

import { eventTextAt } from './event.ts'
import type { Device } from './fleet.ts'

export interface PoisonKind {
  readonly name: string
  /** the expected rejection reason */
  readonly reason: RejectedReason
  /** @param text a valid event of the device at that time */
  readonly write: (text: string, device: Device, timeMs: number) => string | Buffer | null
}

const LONG_TEXT = 'x'.repeat(EVENT_BYTES_MAX)
const LONG_ID = 'x'.repeat(ID_UNITS_MAX + 1)
const DEEP_LEVELS = 20_000
const FAR_FUTURE_MS = 10 * 365 * 86_400_000
const JSON_STRING_AT_DEVICE = /(?<="deviceId":)"[^"]+"/
const JSON_STRING_AT_TYPE = /(?<="deviceType":)"[^"]+"/
const JSON_STRING_AT_ZONE = /(?<="zone":)"[^"]+"/
const JSON_NUMBER_AT_VALUE = /(?<="value":)[^,]+/
const JSON_STRING_AT_TIMESTAMP = /(?<="timestamp":)"[^"]+"/

const withValue = (source: string) => (text: string) => text.replace(JSON_NUMBER_AT_VALUE, source)
const withTimestamp = (source: string) => (text: string) => text.replace(JSON_STRING_AT_TIMESTAMP, source)

/** All kinds of invalid events, seen from real producers or conceivable. */
export const poisonKinds: readonly PoisonKind[] = [
  { name: 'null record', reason: 'record-empty', write: () => null },
  { name: 'no bytes', reason: 'record-empty', write: () => '' },
  { name: 'truncated', reason: 'not-json', write: text => text.slice(0, Math.floor(text.length * 2 / 3)) },
  { name: 'plain text', reason: 'not-json', write: (_, { deviceId }) => `${deviceId}: sensor error` },
  { name: 'two events', reason: 'not-json', write: text => `${text}\n${text}` },
  { name: 'NaN', reason: 'not-json', write: withValue('NaN') },
  { name: 'Infinity', reason: 'not-json', write: withValue('-Infinity') },
  { name: 'decimal comma', reason: 'not-json', write: withValue('21,5') },
  { name: 'leading zero', reason: 'not-json', write: withValue('021.5') },
  { name: 'plus sign', reason: 'not-json', write: withValue('+21.5') },
  { name: 'hexadecimal', reason: 'not-json', write: withValue('0x15') },
  { name: 'byte order mark', reason: 'not-json', write: text => `\uFEFF${text}` },
  { name: 'UTF-16', reason: 'not-json', write: text => Buffer.from(text, 'utf16le') },
  { name: 'stray byte', reason: 'not-utf8', write: text => spliceBytes(text, 0xff) },
  { name: 'overlong UTF-8', reason: 'not-utf8', write: text => spliceBytes(text, 0xc0, 0xaf) },
  { name: 'list of events', reason: 'not-object', write: text => `[${text}]` },
  { name: 'JSON in a string', reason: 'not-object', write: text => JSON.stringify(text) },
  { name: 'nest without an end', reason: 'not-json', write: () => '['.repeat(DEEP_LEVELS) },
  { name: 'deep nest', reason: 'not-object', write: () => '['.repeat(DEEP_LEVELS) + ']'.repeat(DEEP_LEVELS) },
  { name: 'oversized', reason: 'oversized', write: text => `${text.slice(0, -1)},"trace":"${LONG_TEXT}"}` },
  { name: 'value missing', reason: 'field-missing', write: text => text.replace(/"value":[^,]+,/, '') },
  { name: 'timestamp missing', reason: 'field-missing', write: text => text.replace(/,"timestamp":"[^"]+"/, '') },
  { name: 'value null', reason: 'field-type', write: withValue('null') },
  { name: 'value in quotes', reason: 'field-type', write: withValue('"21.5"') },
  { name: 'value twice', reason: 'field-duplicate', write: text => text.replace(/}$/, ',"value":0}') },
  { name: 'deviceId a number', reason: 'field-type', write: text => text.replace(JSON_STRING_AT_DEVICE, '7') },
  { name: 'deviceId missing', reason: 'field-missing', write: text => text.replace(/"deviceId":"[^"]+",/, '') },
  { name: 'value beyond a double', reason: 'value-not-finite', write: withValue('1e999') },
  { name: 'zone blank', reason: 'id-invalid', write: text => text.replace(JSON_STRING_AT_ZONE, '" "') },
  { name: 'zone with a line break', reason: 'id-invalid', write: text => text.replace(JSON_STRING_AT_ZONE, '"A\\nB"') },
  {
    name: 'deviceId too long', reason: 'id-invalid', write: text => text.replace(JSON_STRING_AT_DEVICE, `"${LONG_ID}"`)
  },
  {
    name: 'half a surrogate pair',
    reason: 'id-invalid',
    write: text => text.replace(JSON_STRING_AT_DEVICE, '"\\ud83c"')
  },
  { name: 'unknown type', reason: 'device-type-unknown', write: text => text.replace(JSON_STRING_AT_TYPE, '"TV"') },
  { name: 'no offset', reason: 'timestamp-invalid', write: text => text.replace('Z"}', '"}') },
  { name: 'seconds in quotes', reason: 'timestamp-invalid', write: withTimestamp('"1704067200"') },
  { name: 'µs for seconds', reason: 'timestamp-invalid', write: withTimestamp('1704067200000000') },
  { name: '30 February', reason: 'timestamp-invalid', write: withTimestamp('"2024-02-30T12:00:00Z"') },
  { name: 'before the epoch', reason: 'timestamp-before-epoch', write: withTimestamp('"1969-12-31T23:59:59Z"') },
  {
    name: 'far future',
    reason: 'timestamp-future',
    write: (text, _, timeMs) => withTimestamp(`"${new Date(timeMs + FAR_FUTURE_MS).toISOString()}"`)(text)
  }
]

/**
 * An invalid record, keyed by the id of a device.
 * @param which 0 to 1 (exclusive): picks the kind
 */
export function poisonAt (device: Device, timeMs: number, which: number): ProducedRecord {
  const kind = poisonKinds[Math.floor(which * poisonKinds.length)]
  return { key: device.deviceId, value: kind.write(eventTextAt(device, timeMs), device, timeMs) }
}

/** Inserts bytes that are invalid in UTF-8 into the first string. */
function spliceBytes (text: string, ...bytes: number[]): Buffer {
  const at = text.indexOf('"', 12)
  return Buffer.concat([Buffer.from(text.slice(0, at)), Buffer.from(bytes), Buffer.from(text.slice(at))])
}
