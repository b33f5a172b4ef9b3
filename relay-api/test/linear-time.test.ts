/** Code that reads client bytes takes linear time: twice as many take at most 2.5 times as long. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { Ajv } from 'ajv'
import fc from 'fast-check'
import type { FastifyRequest } from 'fastify'
import { parseApiKey } from 'relay-access'
import { isHostOurs } from 'relay-common'
import { decodeEvent, HOUR_MS, MINUTE_MS, parseTimestamp, type EventRules } from 'relay-rollups'
import { assertLinear } from 'relay-test-support/linear.ts'
import { identifyAccessToken } from '../src/auth/access-token.ts'
import { bearerOf } from '../src/auth/authenticate.ts'
import { identifyConfiguredToken } from '../src/auth/configured-token.ts'
import { isTagKnown } from '../src/caching.ts'
import { createRowsWriter } from '../src/formats/rows.ts'
import { framingOf } from '../src/ingest/body.ts'
import { excessOf } from '../src/ingest/complexity.ts'
import { cutItems, type Framing } from '../src/ingest/items.ts'
import { KnownSeries } from '../src/ingest/known-series.ts'
import { divide, WaitingLine, type QueuedBatch } from '../src/ingest/outbox.ts'
import { runNow } from '../src/ingest/ingest-turns.ts'
import { hasNameTwice } from '../src/parameters/strict-json.ts'
import { decodeCursor } from '../src/parameters/cursor.ts'
import { chooseFormat } from '../src/parameters/format.ts'
import { didYouMean } from '../src/parameters/nearest.ts'
import { decodeNameCursor } from '../src/parameters/page.ts'
import { parseSelection } from '../src/parameters/selection.ts'
import { parseStatistics } from '../src/parameters/stats.ts'
import { parseTime, parseDurationParameter, withPlus } from '../src/parameters/time.ts'
import { parseInterval } from '../src/query/interval.ts'
import { emptyStepSums, walkSteps } from '../src/query/counter-steps.ts'
import { withoutCredentials } from '../src/redaction.ts'
import { parsePosition } from '../src/stream/position.ts'
import { keyedHeaders } from '../src/routes/v1/events.ts'
import { traceIdOf } from '../src/trace-in-logs.ts'

/** An error of the work is a result, too. */
function attempt (work: () => unknown): unknown {
  try {
    return work()
  } catch (error) {
    return error
  }
}

/** A text of a given length: a repeated piece between a start and an end. */
const repeat = (piece: string, start = '', end = '') => (size: number) =>
  start + piece.repeat(Math.ceil(size / piece.length)) + end

const rules: EventRules = { deviceTypes: new Set(['THERMOSTAT']), futureMaxMs: 300_000 }
const five = '"deviceId":"d","deviceType":"THERMOSTAT","zone":"z","value":1,"timestamp":1'

const provider = identifyAccessToken({
  issuer: 'http://127.0.0.1:1', audience: 'relay', algorithms: ['RS256'], types: ['at+jwt'], clockSkewS: 0
})

/** Texts that were slow in some parser. */
const texts = {
  letters: repeat('a'),
  digits: repeat('1'),
  zeros: repeat('0'),
  blanks: repeat(' '),
  'blanks and an end': repeat(' ', 'a', 'b'),
  quotes: repeat('"'),
  commas: repeat(','),
  colons: repeat('a:'),
  equals: repeat('a='),
  'an open quote': repeat(',', '"'),
  dots: repeat('1.'),
  plus: repeat('+00'),
  escapes: repeat('\\'),
  percents: repeat('%41'),
  brackets: repeat('['),
  questions: repeat('?'),
  semicolons: repeat(';a=b'),
  'a quoted end': repeat('a', '"'),
  accents: repeat('e\u0301'),
  halves: repeat('\ud83c'),
  controls: repeat('\u0001')
}

test('steps of a device with too many readings to store are computed in linear time', () => {
  assertLinear('minutes', size => size, size => {
    const boundaries = Array.from({ length: size + 1 }, (_, n) => n * MINUTE_MS)
    const sums = boundaries.slice(1).map(emptyStepSums)
    const walk = walkSteps(boundaries, sums, HOUR_MS, Infinity)
    for (const startMs of boundaries.slice(0, -1)) walk.addLost({ startMs, endMs: startMs + MINUTE_MS }, startMs + 1, 1)
    walk.finish()
    assert.ok(sums.every(it => it.isLost))
    return sums
  }, 2_048)
})

test('bodies are split in linear time, whatever lines and arrays contain', () => {
  const limits = { itemsMax: 1e9, blankLinesMax: 1e9 }
  const bodies: Record<string, [Framing, (size: number) => string]> = {
    'blank lines': ['ndjson', repeat('\n')],
    'lines of blanks': ['ndjson', repeat(' \t\r\n')],
    'blanks without an end': ['ndjson', repeat(' ')],
    'blanks behind a line': ['ndjson', repeat(' ', '{}')],
    'short lines': ['ndjson', repeat('{}\n')],
    'lines with blanks around': ['ndjson', repeat('   {}   \r\n')],
    'one line': ['ndjson', repeat('a')],
    'an array of blanks': ['json', repeat(' ', '[', ']')],
    'short items': ['json', repeat('1,', '[', '1]')],
    'items with blanks around': ['json', repeat('   1   ,', '[', '1]')],
    'an item and blanks': ['json', repeat(' ', '[1', ']')],
    'open brackets': ['json', repeat('[')],
    'brackets in brackets': ['json', size => `[${'['.repeat(size / 2)}${']'.repeat(size / 2)}]`],
    'an open text': ['json', repeat('a', '["')],
    escapes: ['json', repeat('\\"', '["')],
    'blanks behind an array': ['json', repeat(' ', '[]')],
    'blanks before an event': ['json', repeat(' ', '', '{}')],
    'blanks behind an event': ['json', repeat(' ', '{}')]
  }
  for (const [what, [framing, make]] of Object.entries(bodies)) {
    assertLinear(what, size => Buffer.from(make(size)), body => runNow(cutItems(body, framing, limits)), 8_192)
  }
})

test('no step of splitting a body is long: each reads a bounded number of bytes', () => {
  for (const [framing, text] of [
    ['ndjson', '\n'], ['ndjson', ' '], ['ndjson', 'a'], ['ndjson', '{}\n'], ['json', ' '], ['json', '['],
    ['json', '"'], ['json', '[1,']
  ] as const) {
    const body = Buffer.from(text.repeat(300_000 / text.length))
    const touched = new Set<number>()
    let most = 0
    const seen = new Proxy(body, {
      get (target, name) {
        const value = Reflect.get(target, name, target)
        if (typeof value === 'number' && name !== 'length') touched.add(Number(name))
        return typeof value === 'function' ? value.bind(target) : value
      }
    })
    for (const cutting = cutItems(seen, framing, { itemsMax: 1e9, blankLinesMax: 1e9 }); !cutting.next().done;) {
      most = Math.max(most, touched.size)
      touched.clear()
    }
    assert.ok(most <= 2 * 65_536 + 16, `${framing} ${JSON.stringify(text)}: ${most} bytes in a step`)
  }
})

test('events are decoded and checked in linear time', () => {
  const inEvent = (make: (size: number) => string) => (size: number) => `{${five},"x":${make(size)}}`
  const events: Record<string, (size: number) => string> = {
    'a nest of arrays': inEvent(size => '['.repeat(size / 2) + ']'.repeat(size / 2)),
    'a nest of objects': inEvent(size => '{"a":'.repeat(size / 6) + '1' + '}'.repeat(size / 6)),
    'an open nest': inEvent(repeat('[')),
    'one name again and again': repeat('"a":1,', '{', `${five}}`),
    'a field again and again': repeat('"zone":1,', '{', `${five}}`),
    'many names': size => `{${Array.from({ length: size / 11 }, (_, n) => `"n${n}":1,`).join('')}${five}}`,
    'names that are numbers': size =>
      `{${Array.from({ length: size / 16 }, (_, n) => `"${4294967290 - n * 7}":1,`).join('')}${five}}`,
    'many objects': inEvent(size => `[${Array.from({ length: size / 13 }, (_, n) => `{"n${n}":1},`).join('')}1]`),
    'a long number': inEvent(repeat('9')),
    'a long fraction': inEvent(repeat('0', '0.', '1')),
    'a long text': inEvent(repeat('a', '"', '"')),
    escapes: inEvent(repeat('\\\\', '"', '"')),
    'a long id': repeat('a', '{"deviceId":"', '","deviceType":"THERMOSTAT","zone":"z","value":1,"timestamp":1}'),
    'a long type': repeat('a', '{"deviceId":"d","deviceType":"', '","zone":"z","value":1,"timestamp":1}'),
    'a long value': repeat('1', '{"deviceId":"d","deviceType":"THERMOSTAT","zone":"z","timestamp":1,"value":', '}'),
    'a long time': repeat('0', '{"deviceId":"d","deviceType":"THERMOSTAT","zone":"z","value":1,"timestamp":0.', '1}'),
    'a time with a long exponent': repeat(
      '0', '{"deviceId":"d","deviceType":"THERMOSTAT","zone":"z","value":1,"timestamp":1e', '1}'
    ),
    'a time in words': repeat(
      '1', '{"deviceId":"d","deviceType":"THERMOSTAT","zone":"z","value":1,"timestamp":"', '"}'
    ),
    blanks: repeat(' ', '{', `${five}}`)
  }
  for (const [what, make] of Object.entries(events)) {
    assertLinear(`judging ${what}`, size => Buffer.from(make(size)), bytes => excessOf(bytes))
    assertLinear(
      what, size => Buffer.from(make(size)), bytes => excessOf(bytes) ?? decodeEvent(bytes, rules, Date.now()), 4_096
    )
  }
  // a processor, which has no such check, decodes any event of the largest size in bounded time
  const timeOf = (make: (size: number) => string) => {
    const bytes = Buffer.from(make(55_000))
    return Math.min(...Array.from({ length: 20 }, () => {
      const startMs = performance.now()
      decodeEvent(bytes, rules, Date.now())
      return performance.now() - startMs
    }))
  }
  const plain = timeOf(repeat('a', `{${five},"x":"`, '"}'))
  for (const [what, make] of Object.entries(events)) {
    const times = timeOf(make) / plain
    assert.ok(times < 150, `${what} takes ${times} times as long as a text of its length`)
  }
})

test('an oversized event is not parsed', () => {
  const bytes = Buffer.from('['.repeat(64 * 1024 + 1))
  assert.deepEqual(decodeEvent(bytes, rules, 0), {
    kind: 'rejected', reason: 'oversized', field: undefined, detail: '65537 bytes, over 65536'
  })
})

test('parameters and headers are read in linear time, with any content', () => {
  const known = ['device', 'zone', 'type', 'start', 'end', 'interval', 'maxPoints', 'groupBy']
  const grants = {}
  const isKeyed = new Ajv().compile(keyedHeaders)
  const configured = identifyConfiguredToken(['a-token-of-some-length', 'another'])
  const readers: Record<string, (text: string) => unknown> = {
    'a time': text => parseTime(text, 0),
    'a timestamp': parseTimestamp,
    'a time with a blank': withPlus,
    'a duration': text => parseDurationParameter('maxGap', text, 1e9),
    'an interval': parseInterval,
    'a list of statistics': parseStatistics,
    'a cursor': text => decodeCursor('q', text),
    'a cursor of JSON': text => decodeCursor('q', Buffer.from(text).toString('base64url')),
    'a cursor of names': decodeNameCursor,
    'a cursor of a name': text => decodeNameCursor(Buffer.from(`1${text}`).toString('base64url')),
    'a hint': text => didYouMean(text, known),
    'a hint among long names': text => didYouMean(text, [text + 'abcd', 'a'.repeat(text.length + 10)]),
    'a selection': text => parseSelection(
      { device: text.split(','), zone: [], type: [] }, new Set(['THERMOSTAT']), grants
    ),
    'a type that is not known': text => parseSelection({ type: [text] }, new Set(['THERMOSTAT']), grants),
    'Content-Type': framingOf,
    'Content-Type with parameters': text => framingOf(`application/json;${text}`),
    'If-None-Match': text => isTagKnown({ headers: { 'if-none-match': text } }, 'W/"tag"'),
    'If-None-Match of tags': text => isTagKnown(
      { headers: { 'if-none-match': text.replaceAll(/./g, 'W/"a", ') } }, '"tag"'
    ),
    'Idempotency-Key': text => isKeyed({ 'idempotency-key': text }),
    Authorization: text => bearerOf({ headers: { authorization: text } }),
    'Authorization with a token': text => bearerOf({ headers: { authorization: `Bearer ${text}` } }),
    'a configured token': text => configured.identify(text),
    'an API key': parseApiKey,
    'an API key of ours': text => parseApiKey(`relay_local_${text}`),
    'an access token': text => provider.isUnguessable(text),
    Host: text => isHostOurs(text, ['relay.example']),
    Accept: text => chooseFormat(
      undefined, { headers: { accept: text }, accepts: () => ({ type: () => false }) } as unknown as FastifyRequest
    ),
    'Last-Event-ID': parsePosition,
    traceparent: text => traceIdOf({ headers: { traceparent: text } }),
    'an address that is logged': withoutCredentials,
    'an address with parameters that is logged': text => withoutCredentials(`/a?${text}`)
  }
  for (const [reader, read] of Object.entries(readers)) {
    for (const [what, make] of Object.entries(texts)) {
      assertLinear(`${reader} of ${what}`, make, text => attempt(() => read(text)), 4_096)
    }
  }
})

test('the subject of an access token is read in linear time', () => {
  for (const [what, make] of Object.entries({
    'a long subject': repeat('a', '{"sub":"', '"}'),
    'many claims': repeat('"sub":1,', '{', '"sub":1}'),
    'a nest': repeat('[')
  })) {
    assertLinear(
      what, size => `a.${Buffer.from(make(size)).toString('base64url')}.b`, token => provider.isUnguessable(token),
      1_024
    )
  }
})

test('duplicate names in a JSON body are found in linear time', () => {
  for (const [what, make] of Object.entries({
    'many names': (size: number) => `{${Array.from({ length: size / 11 }, (_, n) => `"n${n}":1,`).join('')}"n":1}`,
    'a nest': (size: number) => '{"a":'.repeat(size / 8) + '1' + '}'.repeat(size / 8),
    'a long text': repeat('\\\\:', '["', '"]'),
    'a long list': repeat('1,', '[', '1]')
  })) {
    assertLinear(what, size => ({ text: make(size), value: JSON.parse(make(size)) }), ({ text, value }) => hasNameTwice(
      text, value
    ), 4_096)
  }
})

test('rows are written in linear time, with any cells', () => {
  for (const format of ['json', 'ndjson', 'csv'] as const) {
    const writer = createRowsWriter(format, ['device', 'count'], new Set(), {})
    for (const [what, make] of Object.entries(texts)) {
      assertLinear(`a cell of ${what} as ${format}`, make, text => writer.rows([[text, 1]]), 4_096)
    }
    assertLinear(
      `rows as ${format}`, size => Array.from({ length: size }, (_, n) => [`d${n}`, n]), rows => writer.rows(rows),
      2_048
    )
  }
})

test('waiting sends are taken in linear time, for any number of callers and requests', () => {
  const records = [{ key: null, value: '' }]
  const fill = (size: number, callers: number) => {
    const line = new WaitingLine()
    for (let n = 0; n < size; n++) {
      line.add(`${n % callers}`, { topic: 't', records, bytes: 0, done: () => {}, failed: () => {} })
    }
    return line
  }
  for (const callers of [1, 10, 1_000]) {
    assertLinear(`requests of ${callers} callers`, size => size, size => {
      const line = fill(size, callers)
      while (!line.isEmpty) line.takeTogether()
    }, 8_192)
  }
})

test('a caller with many waiting sends does not delay others: one per caller goes before a second', () => {
  const line = new WaitingLine()
  const records = (count: number) => Array(count).fill({ key: null, value: '' })
  const add = (caller: string, name: string, count: number, topic = 't', bytes = 0) =>
    line.add(caller, { topic, name, records: records(count), bytes, done: () => {}, failed: () => {} } as QueuedBatch)
  for (let n = 0; n < 10; n++) add('greedy', `greedy ${n}`, 6_000)
  for (const caller of ['a', 'b', 'c']) add(caller, caller, 1_000)
  const names = () => line.takeTogether().map(it => (it as QueuedBatch & { name: string }).name)
  assert.deepEqual(names(), ['greedy 0', 'a', 'b', 'c'])
  assert.deepEqual(names(), ['greedy 1'])
  add('d', 'd', 1_000)
  add('e', 'e', 1, 'letters')
  assert.deepEqual(names(), ['greedy 2', 'd'])
  assert.deepEqual(names(), ['e'])
  add('f', 'f', 1, 't', 400 * 1024)
  add('g', 'g', 1, 't', 400 * 1024)
  assert.deepEqual(names(), ['greedy 3', 'f'], 'all three would take the event loop for too long')
  assert.deepEqual(names(), ['g', 'greedy 4'])
})

test('a large request is divided into parts that are sent in order, each in a short turn', () => {
  const values = fc.array(fc.string({ maxLength: 40 }), { minLength: 1, maxLength: 60 })
  fc.assert(fc.property(values, fc.integer({ min: 1, max: 100 }), (values, maxBytes) => {
    const records = values.map((value, n) => ({ key: `${n}`, value }))
    const parts = divide(records, maxBytes)
    assert.deepEqual(parts.flatMap(it => it.records), records)
    for (const { records, bytes } of parts) {
      assert.equal(bytes, records.reduce((sum, { key, value }) => sum + key!.length + value!.length, 0))
      assert.ok(bytes <= maxBytes || records.length === 1)
    }
  }))
})

test('a series look-up takes time linear in the length of its names', () => {
  const known = new KnownSeries()
  assertLinear(
    'a look-up', size => 'a'.repeat(size), deviceId => known.has({ deviceId, zone: 'z', deviceType: 't' }), 65_536
  )
})
