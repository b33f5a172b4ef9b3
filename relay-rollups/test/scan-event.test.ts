import assert from 'node:assert/strict'
import { test } from 'node:test'

import { decodeEvent, EVENT_BYTES_MAX } from '../src/event/event.ts'
import { scanEvent } from '../src/event/scan-event.ts'
import { createScannedEvent } from '../src/event/scanned-event.ts'

const rules = { deviceTypes: new Set(['THERMOSTAT']), futureMaxMs: 0 }
const nowMs = Date.UTC(2030, 0)
const NEW_YEAR_2024_MS = Date.UTC(2024, 0)

const usual = '{"deviceId":"thermostat-001","deviceType":"THERMOSTAT","zone":"Zone A","value":22.5,' +
  '"timestamp":"2024-01-01T00:00:00Z"}'
const withValue = (source: string) => usual.replace('22.5', source)
const withTimestamp = (source: string) => usual.replace('"2024-01-01T00:00:00Z"', source)
const withOther = (source: string) => usual.replace('{', `{"other":${source},`)

/** Scans a text between neighbours that would complete anything left open. */
function scan (text: string | Buffer) {
  const value = Buffer.from(text as string)
  const buffer = Buffer.concat([Buffer.from('{"zone":9'), value, Buffer.from('9","zone":"}"}')])
  const scanned = createScannedEvent()
  const taken = scanEvent(buffer, 9, 9 + value.length, scanned)
  const part = (start: number, end: number) => buffer.toString('utf8', start, end)
  return taken
    ? {
        deviceId: part(scanned.deviceIdStart, scanned.deviceIdEnd),
        deviceType: part(scanned.deviceTypeStart, scanned.deviceTypeEnd),
        zone: part(scanned.zoneStart, scanned.zoneEnd),
        value: scanned.value,
        timestampMs: scanned.timestampMs
      }
    : undefined
}

const usualEvent = {
  deviceId: 'thermostat-001', deviceType: 'THERMOSTAT', zone: 'Zone A', value: 22.5, timestampMs: NEW_YEAR_2024_MS
}

test('before the first day, ten null bytes are not a cached day', () => { // so it is the first test here
  assert.equal(scan(withTimestamp(`"${'\0'.repeat(10)}T00:00:00Z"`)), undefined)
})

// A change that leaves one of these to decodeEvent makes it 30 times as expensive.
const taken: [title: string, text: string, differs?: Partial<typeof usualEvent>][] = [
  ['an event as devices send it', usual],
  ['fields in reverse order', `{${usual.slice(1, -1).split(',').reverse().join(',')}}`],
  ['whitespace', usual.replace(/"[^"]*"|[{}:,]/g, ' \t\r\n$& \t\r\n')],
  ['letters outside ASCII', usual.replace('Zone A', 'Zöne 🌡'), { zone: 'Zöne 🌡' }],
  ['an integer', withValue('-7'), { value: -7 }],
  ['zero', withValue('0'), { value: 0 }],
  ['a negative zero', withValue('-0.000'), { value: 0 }],
  ['a value of 15 digits', withValue('-0.12345678901234'), { value: -0.12345678901234 }],
  ['a value of 17 digits', withValue('22.483726192837102'), { value: Number('22.483726192837102') }],
  ['a value with an exponent', withValue('1.5e-7'), { value: 1.5e-7 }],
  ['the largest double', withValue('1.7976931348623157E+308'), { value: Number.MAX_VALUE }],
  ['a timestamp with nine decimals', withTimestamp('"2024-01-01T00:00:00.123999999Z"'),
    { timestampMs: NEW_YEAR_2024_MS + 123 }],
  ['a timestamp with one decimal', withTimestamp('"2024-01-01T00:00:00.1Z"'), { timestampMs: NEW_YEAR_2024_MS + 100 }],
  ['a timestamp east of Greenwich', withTimestamp('"2024-01-01T05:30:00+05:30"')],
  ['a timestamp west of Greenwich', withTimestamp('"2023-12-31T16:00:00.007-08:00"'),
    { timestampMs: NEW_YEAR_2024_MS + 7 }],
  ['a leap day', withTimestamp('"2024-02-29T12:00:00Z"'), { timestampMs: Date.UTC(2024, 1, 29, 12) }],
  ['seconds since the epoch', withTimestamp('1704067200')],
  ['seconds with nine decimals', withTimestamp('1704067200.001999999'), { timestampMs: NEW_YEAR_2024_MS + 1 }],
  ['the epoch', withTimestamp('0'), { timestampMs: 0 }],
  ...['"text, {and} more"', '""', '-1.5e999', 'true', 'false', 'null']
    .map((source): typeof taken[number] => [`another field: ${source}`, withOther(source)]),
  ['another field, the last one, of one letter', usual.replace('}', ',"a":1}')],
  ['other fields whose names begin like ours',
    usual.replace('{', '{"devi":1,"deviceIds":2,"zones":3,"valu":4,"time":5,')],
  ['another field twice', withOther('1').replace('{', '{"other":2,')],
  ['a last field that is as short as can be', '{"deviceId":"thermostat-001","deviceType":"THERMOSTAT",' +
    '"timestamp":1704067200,"value":22.5,"zone":"Z"}', { zone: 'Z' }],
  ['as many bytes as are allowed', usual + ' '.repeat(EVENT_BYTES_MAX - usual.length)]
]

for (const [title, text, differs] of taken) {
  test(`the scanner accepts ${title}`, () => {
    const event = { ...usualEvent, ...differs }
    assert.deepEqual(scan(text), event)
    assert.deepEqual(decodeEvent(Buffer.from(text), rules, nowMs), { kind: 'event', event })
  })
}

const left: [title: string, text: string][] = [
  ['escapes in an id', usual.replace('Zone A', 'Zone \\u0041')],
  ['escapes in a name', usual.replace('zone', 'zon\\u0065')],
  ['escapes in another field', withOther('"\\n"')],
  ['letters outside ASCII in another field', withOther('"é"')],
  ['nested values', withOther('[1]')],
  ['a timestamp without seconds', withTimestamp('"2024-01-01T00:00Z"')],
  ['an offset without a colon', withTimestamp('"2024-01-01T02:00:00+0200"')],
  ['the widest offset', withTimestamp('"2024-01-01T18:00:00+18:00"')],
  ['seconds with an exponent', withTimestamp('1.7040672e9')],
  ['a local date before the epoch', withTimestamp('"1969-12-31T23:30:00-01:00"')]
]

for (const [title, text] of left) {
  test(`the scanner leaves ${title} to decodeEvent`, () => {
    assert.equal(scan(text), undefined)
    assert.equal(decodeEvent(Buffer.from(text), rules, nowMs).kind, 'event')
  })
}

const refused: [title: string, text: string | Buffer][] = [
  ['nothing', ''],
  ['braces alone', '{}'],
  ['one brace', '}'],
  ['a brace that closes nothing', ' }'],
  ['a field that is missing', usual.replace('"zone":"Zone A",', '')],
  ['a field twice', usual.replace('{', '{"zone":"Zone A",')],
  ['a field twice, in the last bytes', usual.replace(/}$/, ',"zone":1}')],
  ['a value twice, in the last bytes', usual.replace(/}$/, ',"value":1}')],
  ['a comma at the end', usual.replace(/}$/, ',}')],
  ['a comma at the start', usual.replace('{', '{,')],
  ['a missing comma', usual.replace(',', ' ')],
  ['a missing colon', usual.replace(':', ' ')],
  ['two events', usual + usual],
  ['a null byte at the end', usual + '\0'],
  ['a null byte at the start', '\0' + usual],
  ['a byte order mark', '\ufeff' + usual],
  ['another kind of space', usual.replace(':', ':\u00a0')],
  ['an end in a name', '{"zone}'],
  ['an end in a string', usual.slice(0, 20) + '}'],
  ['an end in a timestamp', usual.slice(0, -4) + '}'],
  ['an end in a number', usual.replace(/"timestamp.*/, '"timestamp":170406}').replace('22.5', '22.')],
  ['a raw line break in another field', withOther('"\n"')],
  ['bytes that are not UTF-8 in another field', Buffer.from(withOther('"é"'), 'latin1')],
  ['a byte more than is allowed', usual + ' '.repeat(EVENT_BYTES_MAX - usual.length + 1)],
  ...['', '-', '+1', '01', '-01', '1.', '.5', '1e', '1e+', '1.e1', '0x1', 'NaN', '1e999', '-1e999', '"1"', 'null']
    .map((source): typeof refused[number] => [`the value ${source}`, withValue(source)]),
  ...[
    '1..5', '-1', '01', '1.', 'true', '1e', '9999999999999999', '""', '"2024-01-01"', '"2024-01-01T00:00:00"',
    '"2023-02-29T00:00:00Z"', '"2024-04-31T00:00:00Z"', '"2024-13-01T00:00:00Z"', '"2024-00-01T00:00:00Z"',
    '"2024-01-00T00:00:00Z"', '"2024-01-01T24:00:00Z"', '"2024-01-01T00:60:00Z"', '"2024-01-01T00:00:60Z"',
    '"2024-01-01 00:00:00Z"', '"2024/01/01T00:00:00Z"', '"2024-01-01T00:00:00.Z"', '"2024-01-01T00:00:00Z "',
    '"2024-01-01T00:00:00.1234567890Z"', '"2024-01-01T00:00:00+19:00"', '"2024-01-01T00:00:00+01:60"',
    '"2024-01-01T00:00:00+1:00"', '"1969-12-31T23:59:59Z"', '"1970-01-01T00:00:00+00:01"', '"0070-01-01T00:00:00Z"',
    '"202:-01-01T00:00:00Z"', `"${'\xff'.repeat(5)}T00:00:00Z"`
  ].map((source): typeof refused[number] => [`the timestamp ${JSON.stringify(source)}`, withTimestamp(source)])
]

for (const [title, text] of refused) {
  test(`the scanner and decodeEvent reject ${title}`, () => {
    assert.equal(scan(text), undefined)
    assert.equal(decodeEvent(Buffer.from(text as string), rules, nowMs).kind, 'rejected')
  })
}

test('a cached day does not make another day valid', () => {
  for (const day of ['2024-02-29', '2024-02-30', '2024-02-29', '2023-02-29']) {
    const isDay = day === '2024-02-29'
    assert.equal(scan(withTimestamp(`"${day}T00:00:00Z"`)) !== undefined, isDay, day)
  }
})
