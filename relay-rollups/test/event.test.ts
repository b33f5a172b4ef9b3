import assert from 'node:assert/strict'
import { test } from 'node:test'

import {
  decodeEvent, EVENT_BYTES_MAX, rejectedReasons, type DeviceEvent, type EventRules, type RejectedReason
} from '../src/event/event.ts'
import { DAY_MS } from '../src/window.ts'

const rules: EventRules = { deviceTypes: new Set(['THERMOSTAT', 'HEART_RATE_METER', 'CAR_FUEL']), futureMaxMs: 300_000 }
const NEW_YEAR_2024_MS = 1_704_067_200_000
const nowMs = NEW_YEAR_2024_MS + 1_000

/** JSON sources of the five fields; a case replaces or omits some of them. */
const usual: Record<string, string> = {
  deviceId: '"thermostat-001"',
  deviceType: '"THERMOSTAT"',
  zone: '"Zone A"',
  value: '22.5',
  timestamp: '"2024-01-01T00:00:00Z"'
}
const usualEvent: DeviceEvent = {
  deviceId: 'thermostat-001', deviceType: 'THERMOSTAT', zone: 'Zone A', value: 22.5, timestampMs: NEW_YEAR_2024_MS
}

function write (fields: Record<string, string | undefined>): string {
  const members = Object.entries({ ...usual, ...fields }).filter(([, source]) => source !== undefined)
  return `{${members.map(([name, source]) => `${JSON.stringify(name)}:${source}`).join(',')}}`
}

function decode (value: string | Uint8Array | null) {
  return decodeEvent(typeof value === 'string' ? Buffer.from(value) : value, rules, nowMs)
}

const nested = (open: string, close: string) => open.repeat(30_000) + close.repeat(30_000)

const taken: [title: string, json: string, differs?: Partial<DeviceEvent>][] = [
  ['an event as devices send it', write({})],
  ['whitespace of all four kinds, everywhere', write({}).replace(/"[^"]*"|[{}:,]/g, ' \t\r\n$& \t\r\n')],
  ['fields in reverse order', `{${write({}).slice(1, -1).split(',').reverse().join(',')}}`],
  ['a name that is written with escapes', write({}).replace('"zone"', '"\\u007aone"')],
  ['strings that are written with escapes', write({ zone: '"Zone \\u0041"' })],
  ['ids of the longest length', write({ deviceId: `"${'d'.repeat(128)}"` }), { deviceId: 'd'.repeat(128) }],
  ['ids of one character', write({ zone: '"1"' }), { zone: '1' }],
  ['64 characters outside the BMP', write({ zone: `"${'🌡'.repeat(64)}"` }), { zone: '🌡'.repeat(64) }],
  ['ids with whitespace around and in them, kept as they are', write({ zone: '" Zone  Ä "' }), { zone: ' Zone  Ä ' }],
  ['ids that look like members of objects', write({ deviceId: '"__proto__"', zone: '"constructor"' }),
    { deviceId: '__proto__', zone: 'constructor' }],
  ['ids with quotes, braces and a backslash', write({ zone: '"\\"},{\\\\"' }), { zone: '"},{\\' }],
  ['an integer', write({ value: '-7' }), { value: -7 }],
  ['a negative zero, as zero', write({ value: '-0.0' }), { value: 0 }],
  ['an exponent', write({ value: '1.5E+3' }), { value: 1500 }],
  ['the largest double', write({ value: '1.7976931348623157e308' }), { value: Number.MAX_VALUE }],
  ['more digits than a double has', write({ value: '0.1000000000000000055511151231257827' }), { value: 0.1 }],
  ['a number that is too small for a double', write({ value: '-1e-999' }), { value: 0 }],
  ['a timestamp with an offset', write({ timestamp: '"2024-01-01T02:00:00+02:00"' })],
  ['a timestamp in seconds, cut by its digits', write({ timestamp: '1704067200.123999999' }),
    { timestampMs: NEW_YEAR_2024_MS + 123 }],
  ['a timestamp in seconds with an exponent', write({ timestamp: '1.704067200001E9' }),
    { timestampMs: NEW_YEAR_2024_MS + 1 }],
  ['a timestamp string that is written with escapes', write({ timestamp: '"2024-01-01T00:00:00\\u005A"' })],
  ['the epoch', write({ timestamp: '-0.0' }), { timestampMs: 0 }],
  ['exactly as far ahead as is allowed', write({ timestamp: '"2024-01-01T00:05:01.000999999Z"' }),
    { timestampMs: nowMs + 300_000 }],
  ['unknown fields of every kind',
    write({ a: 'null', b: '[1,{"zone":"not this"}]', c: '{"value":{"value":1}}', d: '"\\"}"', '': '-1e999' })],
  ['unknown fields that are there twice', write({}).replace('{', '{"a":1,"a":{},')],
  ['unknown fields named like parts of objects', write({ __proto__x: '1' }).replace('__proto__x', '__proto__')],
  ['unknown fields that nest 30,000 deep', write({ a: nested('[', ']') })],
  ['unknown fields that nest objects 8,000 deep', write({ a: '{"a":'.repeat(8_000) + '1' + '}'.repeat(8_000) })],
  ['as many bytes as are allowed', write({}) + ' '.repeat(EVENT_BYTES_MAX - write({}).length)]
]

for (const [title, json, differs] of taken) {
  test(`accepted: ${title}`, () => {
    assert.deepEqual(decode(json), { kind: 'event', event: { ...usualEvent, ...differs } })
  })
}

const bytes = (...parts: (string | number[])[]) => Buffer.concat(parts.map(it => Buffer.from(it as string)))

const notTaken: [title: string, value: string | Uint8Array | null, reason: RejectedReason, field?: string][] = [
  ['no value', null, 'record-empty'],
  ['no bytes', '', 'record-empty'],
  ['a byte more than is allowed', write({}) + ' '.repeat(EVENT_BYTES_MAX - write({}).length + 1), 'oversized'],
  ['a lone continuation byte', bytes('{"a":"', [0x80], '",', write({}).slice(1)), 'not-utf8'],
  ['half a surrogate pair in bytes', bytes('{"a":"', [0xed, 0xa0, 0x80], '",', write({}).slice(1)), 'not-utf8'],
  ['an overlong encoding', bytes('{"a":"', [0xc0, 0xaf], '",', write({}).slice(1)), 'not-utf8'],
  ['a character that is cut off by its quote', bytes('{"a":"', [0xe2, 0x82], '",', write({}).slice(1)), 'not-utf8'],
  ['UTF-16', Buffer.from(`\ufeff${write({})}`, 'utf16le'), 'not-utf8'],
  ['a byte order mark', `\ufeff${write({})}`, 'not-json'],
  ['whitespace alone', ' \n', 'not-json'],
  ['no JSON', 'temperature=22.5', 'not-json'],
  ['half an event', write({}).slice(0, -10), 'not-json'],
  ['two events', write({}) + write({}), 'not-json'],
  ['a comma too many', write({}).replace('}', ',}'), 'not-json'],
  ['single quotes', write({}).replaceAll('"', "'"), 'not-json'],
  ['a raw line break in a string', write({ zone: '"Zone\nA"' }), 'not-json'],
  ['a nest that is not closed', write({ a: '['.repeat(30_000) }), 'not-json'],
  ['a number with a leading zero', write({ value: '022.5' }), 'not-json'],
  ['a number that ends in its point', write({ value: '22.' }), 'not-json'],
  ['NaN', write({ value: 'NaN' }), 'not-json'],
  ['an array', `[${write({})}]`, 'not-object'],
  ['a string', JSON.stringify(write({})), 'not-object'],
  ['null', 'null', 'not-object'],
  ['a nest of arrays', nested('[', ']'), 'not-object'],

  ...Object.keys(usual).flatMap((name): typeof notTaken => [
    [`no ${name}`, write({ [name]: undefined }), 'field-missing', name],
    [`${name} in a nested object alone`, write({ [name]: undefined, a: write({}) }), 'field-missing', name],
    [`${name} in capitals`, write({ [name]: undefined, [name.toUpperCase()]: usual[name] }), 'field-missing', name],
    [`${name} twice`, write({}).replace('{', `{"${name}":${usual[name]},`), 'field-duplicate', name],
    [`${name} twice, once with an escape`,
      write({}).replace('}', `,"\\u00${name.charCodeAt(0).toString(16)}${name.slice(1)}":0}`), 'field-duplicate', name],
    [`${name}: null`, write({ [name]: 'null' }), 'field-type', name],
    [`${name}: true`, write({ [name]: 'true' }), 'field-type', name],
    [`${name}: an object`, write({ [name]: '{}' }), 'field-type', name],
    [`${name}: an array of the right thing`, write({ [name]: `[${usual[name]}]` }), 'field-type', name]
  ]),
  ['no field at all', '{}', 'field-missing', 'deviceId'],
  ['a device id that is a number', write({ deviceId: '1' }), 'field-type', 'deviceId'],
  ['a value in quotes', write({ value: '"22.5"' }), 'field-type', 'value'],

  ...['deviceId', 'zone'].flatMap((name): typeof notTaken => [
    [`${name}: empty`, write({ [name]: '""' }), 'id-invalid', name],
    [`${name}: blank`, write({ [name]: '" \\t\u00a0\u3000"' }), 'id-invalid', name],
    [`${name}: 129 units`, write({ [name]: `"${'d'.repeat(129)}"` }), 'id-invalid', name],
    [`${name}: 65 characters outside the BMP`, write({ [name]: `"${'🌡'.repeat(65)}"` }), 'id-invalid', name],
    [`${name}: half a surrogate pair`, write({ [name]: '"a\\ud83c"' }), 'id-invalid', name],
    ...['\\u0000', '\\n', '\\u001f', '\u007f', '\u0080', '\u009f'].map((control): typeof notTaken[number] =>
      [`${name}: ${JSON.stringify(control)}`, write({ [name]: `"a${control}b"` }), 'id-invalid', name])
  ]),
  ['a type that is not configured', write({ deviceType: '"TOASTER"' }), 'device-type-unknown', 'deviceType'],
  ['a type in other letters', write({ deviceType: '"thermostat"' }), 'device-type-unknown', 'deviceType'],
  ['a type without letters', write({ deviceType: '""' }), 'device-type-unknown', 'deviceType'],
  ['a value beyond a double', write({ value: '1e999' }), 'value-not-finite', 'value'],
  ['a value beyond a double, negative', write({ value: `-1${'0'.repeat(400)}` }), 'value-not-finite', 'value'],
  ['a time without an offset', write({ timestamp: '"2024-01-01T00:00:00"' }), 'timestamp-invalid', 'timestamp'],
  ['a day that is not', write({ timestamp: '"2023-02-29T00:00:00Z"' }), 'timestamp-invalid', 'timestamp'],
  ['a number in quotes', write({ timestamp: '"1704067200"' }), 'timestamp-invalid', 'timestamp'],
  ['µs for seconds', write({ timestamp: '1704067200000000' }), 'timestamp-invalid', 'timestamp'],
  ['seconds beyond a double', write({ timestamp: '1e999' }), 'timestamp-invalid', 'timestamp'],
  ['ms for seconds', write({ timestamp: '1704067200000' }), 'timestamp-future', 'timestamp'],
  ['a ms too far ahead', write({ timestamp: '"2024-01-01T00:05:01.001Z"' }), 'timestamp-future', 'timestamp'],
  ['a ms before the epoch', write({ timestamp: '-0.0000001' }), 'timestamp-before-epoch', 'timestamp'],
  ['before the epoch by its offset', write({ timestamp: '"1970-01-01T00:00:00+00:01"' }),
    'timestamp-before-epoch', 'timestamp']
]

for (const [title, value, reason, field] of notTaken) {
  test(`rejected as ${reason}: ${title}`, () => {
    const decoded = decode(value)
    assert.equal(decoded.kind, 'rejected')
    assert.deepEqual({ reason: decoded.reason, field: decoded.field }, { reason, field })
    assert.match(decoded.detail, /^\P{Cc}+$/u, 'one line of text')
    assert.ok(decoded.detail.length < 300, 'a short one')
  })
}

const keep: EventRules = { ...rules, keepMs: [DAY_MS, 30 * DAY_MS, 400 * DAY_MS] }
// a day's bucket is kept if it starts within the retention: 400 days before 2024-01-01T00:00:01Z, and up to midnight
const OLDEST_DAY_MS = Date.UTC(2022, 10, 28)

for (const [title, timestampMs, keepRules, isTaken] of [
  ['an event that is too old for minutes and hours', NEW_YEAR_2024_MS - 100 * DAY_MS, keep, true],
  ['the first ms of the oldest day that is kept', OLDEST_DAY_MS, keep, true],
  ['the last ms of the day before', OLDEST_DAY_MS - 1, keep, false],
  ['the epoch, where hours are kept for ever', 0, { ...keep, keepMs: [DAY_MS, Infinity, DAY_MS] }, true],
  ['the epoch, where nothing is said about retention', 0, rules, true]
] as const) {
  test(`${isTaken ? 'taken' : 'too old'}: ${title}`, () => {
    const decoded = decodeEvent(
      Buffer.from(write({ timestamp: `"${new Date(timestampMs).toISOString()}"` })), keepRules, nowMs
    )
    assert.equal(decoded.kind === 'event' ? decoded.kind : decoded.reason, isTaken ? 'event' : 'too-old')
  })
}

test('every reason for a rejection has a case above', () => {
  const reasons = new Set<string>([...notTaken.map(([, , reason]) => reason), 'too-old'])
  assert.deepEqual(reasons, new Set(Object.keys(rejectedReasons)))
})

test('a part of a larger buffer is decoded on its own', () => {
  const buffer = Buffer.from(`xx${write({})}}}`)
  assert.deepEqual(decode(buffer.subarray(2, -2)), { kind: 'event', event: usualEvent })
})
