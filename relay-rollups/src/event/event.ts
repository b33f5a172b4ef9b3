import { parseEpochSeconds, parseTimestamp } from './timestamp.ts'
import { bucketStartMs, levels } from '../window.ts'

/**
 * An event as devices send it: a JSON object in UTF-8 (without a byte order mark), at most 64 KiB.
 *
 *     {"deviceId":"thermostat-001","deviceType":"THERMOSTAT","zone":"Zone A",
 *      "value":22.5,"timestamp":"2024-01-01T00:00:00Z"}
 *
 * | field      | JSON             | content                                                                           |
 * | ---------- | ---------------- | --------------------------------------------------------------------------------- |
 * | deviceId   | string           | 1 to 128 UTF-16 units, well formed, no control characters, not only whitespace    |
 * | deviceType | string           | one of the configured types                                                       |
 * | zone       | string           | as deviceId                                                                       |
 * | value      | number           | finite as a double; -0 is 0                                                       |
 * | timestamp  | string or number | ISO-8601 with an offset, or seconds since the epoch with decimals; not before     |
 * |            |                  | 1970, not further ahead of the clock than configured, not past the retention of   |
 * |            |                  | every level; truncated to ms                                                      |
 *
 * All five are required, in any order, each once: of two values for one name, the right one is unknown. Other fields
 * may contain any JSON, and are ignored.
 */
export interface DeviceEvent {
  readonly deviceId: string
  readonly deviceType: string
  readonly zone: string
  /** finite, in the unit of the device; never -0 */
  readonly value: number
  /** ms since the epoch, UTC; finer digits are truncated */
  readonly timestampMs: number
}

export const EVENT_BYTES_MAX = 64 * 1024
export const ID_UNITS_MAX = 128

/** Rules of a site for its events. */
export interface EventRules {
  readonly deviceTypes: ReadonlySet<string>
  /** how far ahead of the clock an event may be, inclusive */
  readonly futureMaxMs: number
  /** retention by index of the level, in ms; left out: forever */
  readonly keepMs?: readonly number[]
}

/**
 * The oldest event time that still counts in some level. Earlier events belong to buckets past the retention of every
 * level. An event that is only too old for minutes counts in hours and days.
 * @returns -Infinity if a level keeps its rollups forever
 */
export function oldestTakenMs ({ keepMs }: EventRules, nowMs: number): number {
  if (keepMs === undefined) return -Infinity
  return Math.min(...levels.map(({ sizeMs }, index) => {
    const keptFromMs = nowMs - keepMs[index]
    const bucketMs = bucketStartMs(sizeMs, keptFromMs)
    return bucketMs < keptFromMs ? bucketMs + sizeMs : bucketMs
  }))
}

/** Reasons to reject an event. Stable: dead letters, metrics and runbooks use them. */
export const rejectedReasons = {
  'record-empty': 'The record has no value: null (a tombstone) or no bytes.',
  oversized: 'The value is longer than 64 KiB.',
  'not-utf8': 'The value is not UTF-8.',
  'not-json': 'The value is not one JSON text. A byte order mark is not allowed.',
  'not-object': 'The JSON is not an object.',
  'field-duplicate': 'One of the five fields appears more than once.',
  'field-missing': 'One of the five fields is missing.',
  'field-type': 'A field has the wrong JSON type, such as null, a number in quotes, or an object.',
  'id-invalid':
    'A device id or zone is blank, longer than 128 UTF-16 units, or contains control characters or a lone surrogate.',
  'device-type-unknown': 'The device type is not configured on this site.',
  'value-not-finite': 'The value is beyond the range of a double.',
  'timestamp-invalid':
    'The timestamp is not ISO-8601 with an offset, is not a real date or time, or is out of range.',
  'timestamp-before-epoch': 'The timestamp is before 1970-01-01T00:00:00Z.',
  'timestamp-future': 'The timestamp is further in the future than this site allows.',
  'too-old': 'The timestamp is older than the retention of every level of this site.'
} as const

export type RejectedReason = keyof typeof rejectedReasons

export type Decoded =
  | { readonly kind: 'event', readonly event: DeviceEvent }
  | {
    readonly kind: 'rejected'
    readonly reason: RejectedReason
    /** the field at fault, if any */
    readonly field?: FieldName
    /** one line for people: what was found */
    readonly detail: string
  }

const fieldNames = ['deviceId', 'deviceType', 'zone', 'value', 'timestamp'] as const
export type FieldName = typeof fieldNames[number]

// ignoreBOM: a byte order mark stays in the text, and JSON.parse rejects it
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Decodes one event. Never throws, whatever the bytes; a rejected event is a value with its reason.
 * @param bytes the value of a record; null: none
 * @param nowMs the clock, in ms since the epoch, for events in the future
 */
export function decodeEvent (bytes: Uint8Array | null, rules: EventRules, nowMs: number): Decoded {
  if (bytes === null || bytes.length === 0) return rejected('record-empty', bytes === null ? 'null' : '0 bytes')
  if (bytes.length > EVENT_BYTES_MAX) return rejected('oversized', `${bytes.length} bytes, over ${EVENT_BYTES_MAX}`)

  let text: string
  let document: unknown
  try {
    text = utf8.decode(bytes)
  } catch (error) {
    return rejected('not-utf8', (error as Error).message)
  }
  try {
    document = JSON.parse(text)
  } catch (error) {
    return rejected('not-json', (error as Error).message)
  }
  if (jsonType(document) !== 'object') return rejected('not-object', jsonType(document))

  const sources = new Map<string, string>()
  for (const [name, source] of readMembers(text)) {
    if (!isFieldName(name)) continue
    if (sources.has(name)) return rejected('field-duplicate', `${name} appears more than once`, name)
    sources.set(name, source)
  }
  for (const name of fieldNames) {
    if (!sources.has(name)) return rejected('field-missing', `${name} is missing`, name)
  }
  return decodeFields(document as Record<FieldName, unknown>, sources.get('timestamp')!, rules, nowMs)
}

/** @param timestampSource the timestamp as written, with the digits that a double would lose */
function decodeFields (
  fields: Record<FieldName, unknown>, timestampSource: string, rules: EventRules, nowMs: number
): Decoded {
  const { deviceId, deviceType, zone, value, timestamp } = fields

  if (typeof deviceId !== 'string') return wrongType('deviceId', 'a string', deviceId)
  if (typeof deviceType !== 'string') return wrongType('deviceType', 'a string', deviceType)
  if (typeof zone !== 'string') return wrongType('zone', 'a string', zone)
  if (typeof value !== 'number') return wrongType('value', 'a number', value)
  if (typeof timestamp !== 'string' && typeof timestamp !== 'number') {
    return wrongType('timestamp', 'a string or a number', timestamp)
  }

  for (const [name, id] of [['deviceId', deviceId], ['zone', zone]] as const) {
    const fault = idFault(id)
    if (fault !== undefined) return rejected('id-invalid', `${name} ${fault}`, name)
  }
  if (!rules.deviceTypes.has(deviceType)) {
    return rejected('device-type-unknown', `${excerpt(deviceType)} is not a device type of this site`, 'deviceType')
  }
  if (!Number.isFinite(value)) return rejected('value-not-finite', `${value}`, 'value')

  const timestampMs = typeof timestamp === 'string' ? parseTimestamp(timestamp) : parseEpochSeconds(timestampSource)
  if (timestampMs === undefined) return rejected('timestamp-invalid', excerpt(timestampSource), 'timestamp')
  if (timestampMs < 0) return rejected('timestamp-before-epoch', excerpt(timestampSource), 'timestamp')
  if (timestampMs > nowMs + rules.futureMaxMs) {
    const unit = typeof timestamp === 'number' ? ' s' : ''
    const ahead = `${timestampMs - nowMs} ms in the future; at most ${rules.futureMaxMs} ms allowed`
    return rejected('timestamp-future', `${excerpt(timestampSource)}${unit} is ${ahead}`, 'timestamp')
  }
  const oldestMs = oldestTakenMs(rules, nowMs)
  if (timestampMs < oldestMs) {
    const oldest = new Date(oldestMs).toISOString()
    return rejected(
      'too-old', `${excerpt(timestampSource)} is before ${oldest}, the start of the retention`, 'timestamp'
    )
  }

  return { kind: 'event', event: { deviceId, deviceType, zone, value: value + 0, timestampMs } } // -0 + 0 is 0
}

/** The claimed owner of bytes, whether they are a valid event or not. */
export interface Claims {
  /** all values of the member, because there may be several; any JSON */
  readonly deviceIds: readonly unknown[]
  readonly zones: readonly unknown[]
}

/**
 * Reads the claimed device and zone of bytes as far as possible. An event that is invalid now may be valid later, with
 * a new type, a later clock or a newer decoder.
 * @returns undefined if they are not a JSON object of the size of an event
 */
export function decodeClaims (bytes: Uint8Array | null): Claims | undefined {
  if (bytes === null || bytes.length > EVENT_BYTES_MAX) return undefined
  try {
    const text = utf8.decode(bytes)
    if (jsonType(JSON.parse(text)) !== 'object') return undefined
    const claims = { deviceId: [] as unknown[], zone: [] as unknown[] }
    for (const [name, source] of readMembers(text)) {
      if (name === 'deviceId' || name === 'zone') claims[name].push(JSON.parse(source))
    }
    return { deviceIds: claims.deviceId, zones: claims.zone }
  } catch {
    return undefined
  }
}

/** Whether a text is a valid device id or zone. */
export function isId (text: string): boolean {
  return idFault(text) === undefined
}

/** What is wrong with a device id or zone; undefined: nothing. */
function idFault (id: string): string | undefined {
  if (id.length > ID_UNITS_MAX) return `is ${id.length} UTF-16 units long; at most ${ID_UNITS_MAX} allowed`
  if (id.trim() === '') return 'is empty or blank'
  if (!id.isWellFormed()) return 'contains a lone surrogate'
  if (/\p{Cc}/u.test(id)) return 'contains control characters' // U+0000 to U+001F, U+007F to U+009F
  return undefined
}

/**
 * The members of a JSON object: names, and values as written. JSON.parse does not do: it keeps the last of two members
 * with one name, and its reviver, which gets the sources, recurses, so nested brackets that fit in an event would
 * overflow the stack.
 * @param text an object that JSON.parse has accepted
 */
function * readMembers (text: string): Generator<[name: string, source: string]> {
  let at = text.indexOf('{') + 1
  for (;;) {
    const keyStart = text.indexOf('"', at)
    if (keyStart === -1) return // no members, or none after the last one
    const keyEnd = stringEnd(text, keyStart)
    const valueStart = text.indexOf(':', keyEnd) + 1
    at = valueEnd(text, valueStart)
    const key = text.slice(keyStart + 1, keyEnd - 1)
    yield [key.includes('\\') ? JSON.parse(`"${key}"`) : key, text.slice(valueStart, at).trim()]
  }
}

/** @returns the position after the closing quote of the string that starts at `start` */
function stringEnd (text: string, start: number): number {
  let at = start + 1
  while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1
  return at + 1
}

/** @returns the position of the comma or brace that ends the value that starts at `start` */
function valueEnd (text: string, start: number): number {
  let depth = 0
  let at = start
  for (;;) {
    switch (text[at]) {
      case '"':
        at = stringEnd(text, at)
        continue
      case '{': case '[':
        depth++
        break
      case '}': case ']':
        if (depth === 0) return at
        depth--
        break
      case ',':
        if (depth === 0) return at
    }
    at++
  }
}

function isFieldName (name: string): name is FieldName {
  return (fieldNames as readonly string[]).includes(name)
}

function wrongType (field: FieldName, wanted: string, found: unknown): Decoded {
  return rejected('field-type', `${field} is ${jsonType(found)}, not ${wanted}`, field)
}

function jsonType (value: unknown): string {
  return value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value
}

function rejected (reason: RejectedReason, detail: string, field?: FieldName): Decoded {
  const line = detail.toWellFormed().replace(/\p{Cc}/gu, ' ') // it becomes a header of the dead letter
  return { kind: 'rejected', reason, field, detail: line }
}

const EXCERPT_UNITS_MAX = 80

function excerpt (text: string): string {
  return text.length <= EXCERPT_UNITS_MAX ? text : `${text.slice(0, EXCERPT_UNITS_MAX)}…`
}
