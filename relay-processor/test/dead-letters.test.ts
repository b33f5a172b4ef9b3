/** Every kind of invalid event: one dead letter each, unchanged, with reason and offset; and reading continues. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { createLogger } from 'relay-common'
import { deadLetterReasons, ingestReasons, type DeadLetterReason } from 'relay-dead-letters'
import type { LoggedRecord } from 'relay-event-log'
import { EVENT_BYTES_MAX, type DeviceEvent } from 'relay-rollups'
import { startProcessor } from '../src/processor.ts'
import { encode, makeEvents, openSite, send, settled } from './support/open-processor.ts'
import { readDeadLetters } from './support/read-dead-letters.ts'
import { readWindows, recompute } from './support/recompute.ts'

/** JSON sources of the five fields; a case replaces or omits some of them. */
const usual: Record<string, string> = {
  deviceId: '"thermostat-001"',
  deviceType: '"THERMOSTAT"',
  zone: '"Zone A"',
  value: '22.5',
  timestamp: '"2024-01-01T00:00:00Z"'
}

function write (fields: Record<string, string | undefined> = {}): string {
  const members = Object.entries({ ...usual, ...fields }).filter(([, source]) => source !== undefined)
  return `{${members.map(([name, source]) => `${JSON.stringify(name)}:${source}`).join(',')}}`
}

const nest = (levels: number) => '['.repeat(levels) + ']'.repeat(levels)
const bytes = (...parts: Array<string | number[]>) => Buffer.concat(parts.map(it => Buffer.from(it as string)))
const inOneHour = JSON.stringify(new Date(Date.now() + 3_600_000).toISOString())

type Kind = [name: string, value: string | Buffer | null, reason: DeadLetterReason, field?: string]

const kinds: Kind[] = [
  ['a tombstone', null, 'record-empty'],
  ['no bytes', '', 'record-empty'],
  ['a byte too many', write().padEnd(EVENT_BYTES_MAX + 1), 'oversized'],
  ['a value that with its headers is more than a broker takes', 'x'.repeat(1_048_000), 'oversized'],
  ['a nest of 100,000 arrays', write({ other: nest(100_000) }), 'oversized'],
  ['a byte that UTF-8 never has', bytes('{"deviceId":"', [0xff], '"}'), 'not-utf8'],
  ['an overlong slash', bytes('{"deviceId":"', [0xc0, 0xaf], '"}'), 'not-utf8'],
  ['half a surrogate pair in UTF-8', bytes('{"deviceId":"', [0xed, 0xa0, 0x80], '"}'), 'not-utf8'],
  ['a character that is cut off', bytes(write().slice(0, -1), [0xe2, 0x82]), 'not-utf8'],
  ['JSON that is cut off', write().slice(0, 60), 'not-json'],
  ['a nest that is never closed', '['.repeat(60_000), 'not-json'],
  ['a byte order mark', `\uFEFF${write()}`, 'not-json'],
  ['UTF-16', Buffer.from(write(), 'utf16le'), 'not-json'],
  ['trailing bytes', `${write()}}`, 'not-json'],
  ['a trailing NUL', `${write()}\0`, 'not-json'],
  ['two events', `${write()}\n${write()}`, 'not-json'],
  ['a trailing comma', write().replace('}', ',}'), 'not-json'],
  ['single quotes', write().replaceAll('"', "'"), 'not-json'],
  ['NaN', write({ value: 'NaN' }), 'not-json'],
  ['Infinity', write({ value: 'Infinity' }), 'not-json'],
  ['a leading zero', write({ value: '022.5' }), 'not-json'],
  ['a plus sign', write({ value: '+22.5' }), 'not-json'],
  ['hexadecimal digits', write({ value: '0x16' }), 'not-json'],
  ['no digit behind the point', write({ value: '22.' }), 'not-json'],
  ['a line break in a string', write({ zone: '"Zone\nA"' }), 'not-json'],
  ['a nest of arrays', nest(30_000), 'not-object'],
  ['a list of events', `[${write()}]`, 'not-object'],
  ['JSON in a string', JSON.stringify(write()), 'not-object'],
  ['a number', '22.5', 'not-object'],
  ['null', 'null', 'not-object'],
  ...Object.keys(usual).flatMap((name): Kind[] => [
    [`no ${name}`, write({ [name]: undefined }), 'field-missing', name],
    [`${name} twice`, write().replace('{', `{"${name}":${usual[name]},`), 'field-duplicate', name],
    [`${name} null`, write({ [name]: 'null' }), 'field-type', name],
    [`${name} an object`, write({ [name]: '{}' }), 'field-type', name]
  ]),
  ['a field twice, once with an escape', write().replace('}', ',"\\u0076alue":1}'), 'field-duplicate', 'value'],
  ['a value in quotes', write({ value: '"22.5"' }), 'field-type', 'value'],
  ['a device id that is a number', write({ deviceId: '1' }), 'field-type', 'deviceId'],
  ['an empty device id', write({ deviceId: '""' }), 'id-invalid', 'deviceId'],
  ['a blank zone', write({ zone: '" \\t"' }), 'id-invalid', 'zone'],
  ['a device id of 129 units', write({ deviceId: `"${'d'.repeat(129)}"` }), 'id-invalid', 'deviceId'],
  ['a control character', write({ deviceId: '"a\\u0000b"' }), 'id-invalid', 'deviceId'],
  ['DEL in a zone', write({ zone: '"a\u007fb"' }), 'id-invalid', 'zone'],
  ['half a surrogate pair', write({ deviceId: '"a\\ud83c"' }), 'id-invalid', 'deviceId'],
  ['a type that nobody knows', write({ deviceType: '"TOASTER"' }), 'device-type-unknown', 'deviceType'],
  ['a type in small letters', write({ deviceType: '"thermostat"' }), 'device-type-unknown', 'deviceType'],
  ['1e999', write({ value: '1e999' }), 'value-not-finite', 'value'],
  ['-1e999', write({ value: '-1e999' }), 'value-not-finite', 'value'],
  ['a time without an offset', write({ timestamp: '"2024-01-01T00:00:00"' }), 'timestamp-invalid', 'timestamp'],
  ['30 February', write({ timestamp: '"2024-02-30T00:00:00Z"' }), 'timestamp-invalid', 'timestamp'],
  ['25 o\'clock', write({ timestamp: '"2024-01-01T25:00:00Z"' }), 'timestamp-invalid', 'timestamp'],
  ['a date in words', write({ timestamp: '"Mon, 01 Jan 2024 00:00:00 GMT"' }), 'timestamp-invalid', 'timestamp'],
  ['seconds in quotes', write({ timestamp: '"1704067200"' }), 'timestamp-invalid', 'timestamp'],
  ['microseconds', write({ timestamp: '1704067200000000' }), 'timestamp-invalid', 'timestamp'],
  ['a time beyond a double', write({ timestamp: '1e999' }), 'timestamp-invalid', 'timestamp'],
  ['milliseconds', write({ timestamp: '1704067200000' }), 'timestamp-future', 'timestamp'],
  ['an hour ahead', write({ timestamp: inOneHour }), 'timestamp-future', 'timestamp'],
  ['before 1970', write({ timestamp: '"1969-12-31T23:59:59Z"' }), 'timestamp-before-epoch', 'timestamp'],
  ['before all that is kept', write({ timestamp: '"1999-12-31T00:00:00Z"' }), 'too-old', 'timestamp'],
  ['another key than its device', write(), 'key-mismatch', 'deviceId']
]

/** Odd, but valid. */
const oddEvents: Array<[value: string, event: Partial<DeviceEvent>]> = [
  [write({ value: '-0' }), { value: 0 }],
  [write({ value: '-0.0e3', timestamp: '1704067260' }), { value: 0, timestampMs: Date.UTC(2024, 0, 1, 0, 1) }],
  [write({ value: '1E-2', timestamp: '1704067320.5', other: nest(30_000) }),
    { value: 0.01, timestampMs: Date.UTC(2024, 0, 1, 0, 2, 0, 500) }]
]
const usualEvent: DeviceEvent = {
  deviceId: 'thermostat-001', deviceType: 'THERMOSTAT', zone: 'Zone A', value: 22.5, timestampMs: Date.UTC(2024, 0)
}

const LONGEST_VALUE_BYTES = 768 * 1024
const TEN_YEARS = { RETENTION_MINUTE_DAYS: '3653', RETENTION_HOUR_DAYS: '3653', RETENTION_DAY_DAYS: '3653' }

for (const kind of ['kafka', 'postgres'] as const) {
  describe(`dead letters on the ${kind} log`, () => {
    test(`${kinds.length} kinds of invalid records become one letter each, and stop nothing`, async t => {
      const site = await openSite(t, kind, { KEY_POLICY: 'reject', ...TEN_YEARS })
      if (!site) return
      const events = makeEvents(60)
      const processor = await startProcessor(site.config, createLogger('test', 'silent'))
      await send(site, events.slice(0, 30))
      await site.producer.send(site.config.EVENTS_TOPIC, [
        ...kinds.map(([name, value]) => ({ key: name, value })),
        { key: null, value: write() },
        ...oddEvents.map(([value]) => ({ key: 'thermostat-001', value }))
      ])
      await send(site, events.slice(30))
      await settled(site)
      await processor.close()

      const letters = await readDeadLetters(site)
      for (const [name, value, reason, field] of kinds) {
        const found = letters.filter(it => it.key?.toString() === name)
        assert.equal(found.length, 1, `letters of ${name}`)
        const [letter] = found
        assert.deepEqual({ reason: letter.reason, field: letter.field }, { reason, field }, name)
        assert.match(letter.detail, /^\P{Cc}+$/u, 'one line that says what was found')
        const sent = value === null ? null : Buffer.from(value as string)
        assert.deepEqual(letter.value, sent && sent.subarray(0, LONGEST_VALUE_BYTES), name)
        assert.equal(letter.valueBytes, sent && sent.length > LONGEST_VALUE_BYTES ? sent.length : undefined)

        assert.equal(letter.sourceTopic, site.config.EVENTS_TOPIC)
        const { sourceTopic: topic } = letter
        const [partition, offset] = [letter.sourcePartition!, letter.sourceOffset!]
        const sources: LoggedRecord[] = await Array.fromAsync(site.eventLog.readRecords(
          topic, partition, offset, offset + 1n
        ))
        assert.equal(sources[0].key?.toString(), name, 'the letter names the place of its record')
        assert.deepEqual(sources[0].value, sent)
      }
      const keyless = letters.filter(it => it.key === null)
      assert.deepEqual(keyless.map(it => it.reason), ['key-mismatch'])
      assert.equal(letters.length, kinds.length + 1)

      const odd = oddEvents.map(([, event]) => ({ ...usualEvent, ...event }))
      assert.deepEqual(
        Object.fromEntries(await readWindows(site.database)), Object.fromEntries(recompute([...events, ...odd]))
      )
    })

    test('by default any key is accepted', async t => {
      const site = await openSite(t, kind)
      if (!site) return
      const events = makeEvents(20)
      const processor = await startProcessor(site.config, createLogger('test', 'silent'))
      const keys = [null, 'x', '']
      await site.producer.send(site.config.EVENTS_TOPIC,
        events.map((event, index) => ({ key: keys[index % keys.length], value: encode(event) })))
      await settled(site)
      await processor.close()
      assert.deepEqual(await readDeadLetters(site), [])
      assert.deepEqual(Object.fromEntries(await readWindows(site.database)), Object.fromEntries(recompute(events)))
    })
  })
}

test('every reason except those of corrupt batches and the API has a case above', () => {
  const tested = new Set([
    ...kinds.map(([, , reason]) => reason), 'batch-corrupt', 'not-granted', ...Object.keys(ingestReasons)
  ])
  assert.deepEqual([...tested].sort(), Object.keys(deadLetterReasons).sort())
})
