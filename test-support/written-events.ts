/** Events as various producers might write them, and damaged bytes: arbitraries for tests of decoders. */
import fc from 'fast-check'

import { ID_UNITS_MAX, type DeviceEvent } from 'relay-rollups'

export interface WrittenEvent {
  /** the meaning of the text */
  readonly event: DeviceEvent
  readonly text: string
}

/** A JSON source, and its value. */
interface Written<T> { readonly value: T, readonly source: string }

/**
 * @param deviceTypes possible types
 * @param timestampMaxMs newest possible time, in ms since the epoch
 */
export function writtenEvents (deviceTypes: readonly string[], timestampMaxMs: number): fc.Arbitrary<WrittenEvent> {
  const fields = fc.record({
    deviceId: writtenString(fc.oneof(fc.constant('thermostat-001'), anyId)),
    deviceType: writtenString(fc.constantFrom(...deviceTypes)),
    zone: writtenString(fc.oneof(fc.constant('Zone A'), anyId)),
    value: writtenValue,
    timestamp: writtenTimestamp(timestampMaxMs)
  })
  const gaps = fc.oneof(
    { weight: 2, arbitrary: fc.constant(['']) },
    { weight: 1, arbitrary: fc.array(fc.stringMatching(/^[ \t\r\n]{0,3}$/), { minLength: 1 }) })

  return fc.tuple(fields, otherMembers, gaps, fc.infiniteStream(fc.nat())).map(([five, others, gap, places]) => {
    const members = Object.entries(five).map(([name, { source }]) => [JSON.stringify(name), source])
    for (const { name, source } of others) members.splice(places.next().value % (members.length + 1), 0, [name, source])
    if (places.next().value % 2 === 0) members.sort(([, a], [, b]) => a < b ? -1 : 1) // any order but the usual

    let gapsTaken = 0
    const space = () => gap[gapsTaken++ % gap.length]
    const body = members.map(([name, source]) => `${space()}${name}${space()}:${space()}${source}${space()}`).join(',')
    const { deviceId, deviceType, zone, value, timestamp } = five
    return {
      text: `${space()}{${body}}${space()}`,
      event: {
        deviceId: deviceId.value,
        deviceType: deviceType.value,
        zone: zone.value,
        value: value.value,
        timestampMs: timestamp.value
      }
    }
  })
}

const anyText = fc.oneof(
  { weight: 2, arbitrary: fc.stringMatching(/^[a-zA-Z0-9 ._:/-]{1,40}$/) },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', minLength: 1, maxLength: 40 }) })

const anyId = anyText.filter(id => id.trim() !== '' && id.length <= ID_UNITS_MAX && !/\p{Cc}/u.test(id))

/** Most strings as in JSON.stringify, one in 16 with some escaped characters. */
function writtenString (strings: fc.Arbitrary<string>): fc.Arbitrary<Written<string>> {
  const escape = (unit: string) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
  const escapes = fc.oneof({ weight: 15, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.noBias(fc.integer()) })
  return fc.tuple(strings, escapes).map(([value, mask]) => {
    const source = [...value].map((character, n) => (mask >> n % 32) & 1
      ? character.split('').map(escape).join('')
      : JSON.stringify(character).slice(1, -1))
    return { value, source: `"${source.join('')}"` }
  })
}

/** Numbers as sensors, languages and mathematicians write them. */
const writtenValue: fc.Arbitrary<Written<number>> = fc.oneof(
  fc.tuple(fc.integer({ min: -99_999, max: 99_999 }), fc.nat(4))
    .map(([n, decimals]) => (n / 10 ** decimals).toFixed(decimals)),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map(value => JSON.stringify(value)),
  fc.double({ noNaN: true, min: -1e6, max: 1e6 }).map(value => JSON.stringify(value)),
  fc.maxSafeInteger().map(String),
  fc.stringMatching(/^-?(0|[1-9]\d{0,24})(\.\d{1,30})?$/),
  fc.stringMatching(/^-?(0|[1-9]\d{0,3})(\.\d{1,4})?[eE][+-]?\d{1,2}$/)
).map(source => ({ source, value: Number(source) + 0 }))

/** ISO-8601 in all its forms, and seconds with decimals. */
function writtenTimestamp (maxMs: number): fc.Arbitrary<Written<number>> {
  const times = fc.integer({ min: 0, max: maxMs })
  const finer = fc.oneof(fc.constant(''), fc.stringMatching(/^\d{1,6}$/))
  const offsets = fc.oneof(fc.constant(0), fc.integer({ min: -18 * 60, max: 18 * 60 }))
  const two = (n: number) => String(n).padStart(2, '0')

  const styles = fc.constantFrom('Z', 'Z', 'Z', ':', ':', ':', '', 'short')
  const iso = fc.tuple(times, finer, offsets, styles).map(([ms, digits, offset, style]) => {
    const minutes = style === 'Z' ? 0 : style === 'short' ? Math.trunc(offset / 60) * 60 : offset
    const local = new Date(ms + minutes * 60_000).toISOString().slice(0, -1)
    const [hh, mm] = [two(Math.trunc(Math.abs(minutes) / 60)), two(Math.abs(minutes) % 60)]
    const written = style === 'Z' ? 'Z' : `${minutes < 0 ? '-' : '+'}${hh}${style === 'short' ? '' : style + mm}`
    const short = digits === '' ? local.replace(/\.0+$/, '') : local + digits
    return { value: ms, source: `"${short}${written}"` }
  })
  const wholeSeconds = times.map(ms => Math.floor(ms / 1000))
  const seconds = fc.oneof(
    fc.tuple(times, finer).map(([ms, digits]) =>
      ({ value: ms, source: `${Math.floor(ms / 1000)}.${String(ms % 1000).padStart(3, '0')}${digits}` })),
    wholeSeconds.map(s => ({ value: s * 1000, source: String(s) })),
    wholeSeconds.map(s => ({ value: s * 1000, source: s.toExponential() })))

  return fc.oneof({ weight: 2, arbitrary: iso }, { weight: 1, arbitrary: seconds })
}

const fieldNames = ['deviceId', 'deviceType', 'zone', 'value', 'timestamp']

const otherMembers = fc.oneof(fc.constant([]), fc.array(fc.record({
  name: anyText.filter(name => !fieldNames.includes(name)).map(name => JSON.stringify(name)),
  source: fc.oneof(
    fc.oneof(fc.string(), anyText).map(value => JSON.stringify(value)),
    writtenValue.map(it => it.source),
    fc.constantFrom('true', 'false', 'null'),
    fc.jsonValue().map(value => JSON.stringify(value)))
}), { maxLength: 3 }))

const accidentKinds = ['flip', 'overwrite', 'cut', 'insert', 'append', 'double', 'splice'] as const

/** Bytes that change the meaning or validity of a JSON text. */
const tellingBytes = fc.oneof(
  fc.constantFrom(
    '"', '\\', '{', '}', '[', ']', ',', ':', '.', '-', '+', 'e', '0', '9', ' ', '\n', '\0', 'Z', 'null',
    '"zone":"Zone B",', '"value":1,', ',"zone":1', ',"value":1', '"valu\\u0065":1,',
    '\u00e9', '\ufeff', '\u007f', '\u0080', 'x'.repeat(128)
  ).map(it => Buffer.from(it)),
  fc.uint8Array({ minLength: 1, maxLength: 3 }).map(it => Buffer.from(it)))

const accidents = fc.array(fc.record({
  kind: fc.constantFrom(...accidentKinds),
  permille: fc.noBias(fc.integer({ min: 0, max: 999 })), // position, as a share of the text
  isAtQuote: fc.boolean(), // a string may be damaged while the event stays valid
  length: fc.integer({ min: 1, max: 4 }),
  put: tellingBytes
}), { minLength: 1, maxLength: 2 })

/**
 * Damaged events: a bit flipped, bytes overwritten, removed, inserted or doubled, or the head of one event and the tail
 * of another. Many of them are still valid.
 */
export function damagedEvents (written: fc.Arbitrary<WrittenEvent>): fc.Arbitrary<Buffer> {
  return fc.tuple(written, written, accidents).map(([event, other, happened]) => {
    const otherBytes = Buffer.from(other.text)
    let bytes = Buffer.from(event.text)
    for (const { kind, permille, isAtQuote, length, put } of happened) {
      const somewhere = Math.floor(permille / 1000 * bytes.length)
      const place = isAtQuote ? bytes.indexOf('"', somewhere) + 1 : somewhere
      const [head, tail] = [bytes.subarray(0, place), bytes.subarray(place)]
      const parts = {
        flip: [head, tail.subarray(0, 1).map(byte => byte ^ (1 << length)), tail.subarray(1)],
        overwrite: [head, put, tail.subarray(put.length)],
        cut: [head, tail.subarray(length)],
        insert: [head, put, tail],
        append: [bytes.subarray(0, -1), put, bytes.subarray(-1)], // usually before the last brace
        double: [head, tail.subarray(0, length), tail],
        splice: [head, otherBytes.subarray(Math.floor(permille / 1000 * otherBytes.length))]
      }
      bytes = Buffer.concat(parts[kind])
    }
    return bytes
  })
}
