import { parseEpochSeconds, parseTimestamp } from './timestamp.ts'
import { bucketStartMs, levels } from './window.ts'

/**
 * The event, as devices send it: a JSON object in UTF-8 (without a byte order mark), of at most 64 KiB.
 *
 *     {"deviceId":"thermostat-001","deviceType":"THERMOSTAT","zone":"Zone A",
 *      "value":22.5,"timestamp":"2024-01-01T00:00:00Z"}
 *
 * | field      | JSON             | means                                                                             |
 * | ---------- | ---------------- | --------------------------------------------------------------------------------- |
 * | deviceId   | string           | 1 to 128 UTF-16 units, well formed, no control characters, not whitespace alone   |
 * | deviceType | string           | one of the types that the site has configured                                     |
 * | zone       | string           | as deviceId                                                                       |
 * | value      | number           | finite as a double; -0 is 0                                                       |
 * | timestamp  | string or number | ISO-8601 with an offset, or seconds since the epoch with decimals; not before     |
 * |            |                  | 1970, not further ahead of the clock than the site allows, not so old that no     |
 * |            |                  | level keeps it; cut off to ms                                                     |
 *
 * All five must be there, in any order, each once: of two values under one name nobody can say which one was meant.
 * Other fields may hold whatever JSON allows, and are ignored.
 */
export interface DeviceEvent {
  readonly deviceId: string
  readonly deviceType: string
  readonly zone: string
  /** finite, in the device's own unit; never -0 */
  readonly value: number
  /** ms since the epoch, UTC; finer digits are cut off */
  readonly timestampMs: number
}

export const EVENT_BYTES_MAX = 64 * 1024
export const ID_UNITS_MAX = 128

/** What a site says about its events. */
export interface EventRules {
  readonly deviceTypes: ReadonlySet<string>
  /** how far ahead of the clock an event may be; exactly that far is taken */
  readonly futureMaxMs: number
  /** by index of the level, how long its rollups are kept, in ms; left out: for ever */
  readonly keepMs?: readonly number[]
}

/**
 * The oldest event time that still counts somewhere: every event before it falls into buckets that have begun before
 * the retention of their level, of each level. One that is too old for the minutes alone counts in hours and days.
 * @returns -Infinity where a level keeps its rollups for ever
 */
export function oldestTakenMs ({ keepMs }: EventRules, nowMs: number): number {
  if (keepMs === undefined) return -Infinity
  return Math.min(...levels.map(({ sizeMs }, index) => {
    const keptFromMs = nowMs - keepMs[index]
    const bucketMs = bucketStartMs(sizeMs, keptFromMs)
    return bucketMs < keptFromMs ? bucketMs + sizeMs : bucketMs
  }))
}

/** Why an event could not be taken. Stable: dead letters, metrics and runbooks name them. */
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
    /** the field at fault, where it is one */
    readonly field?: FieldName
    /** one line for people: what was found */
    readonly detail: string
  }

const fieldNames = ['deviceId', 'deviceType', 'zone', 'value', 'timestamp'] as const
export type FieldName = typeof fieldNames[number]

// ignoreBOM: a byte order mark stays in the text, and JSON.parse stumbles over it
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Decodes one event. Whatever the bytes are, it throws nothing; what can't be taken is a value that says why.
 * @param bytes the value of a record; null: there was none
 * @param nowMs the clock, in ms since the epoch, that the future is measured from
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

/** @param timestampSource the timestamp as it was written, so that its digits are not those of a double */
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
    return rejected('too-old', `${excerpt(timestampSource)} is before ${oldest}, the start of the retention`, 'timestamp')
  }

  return { kind: 'event', event: { deviceId, deviceType, zone, value: value + 0, timestampMs } } // -0 + 0 is 0
}

/** What bytes say of whom they are, whether they are an event or not. */
export interface Claims {
  /** all values of the member, as there may be several; anything that JSON has */
  readonly deviceIds: readonly unknown[]
  readonly zones: readonly unknown[]
}

/**
 * Reads whose event bytes are meant to be, as far as that can be read: an event that can't be taken now may be one later,
 * by a new type, a later clock or a newer decoder.
 * @returns undefined: they are no JSON object of the size of an event
 */
export function readClaims (bytes: Uint8Array | null): Claims | undefined {
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

/** Whether a text may be a device id, or a zone. */
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
 * The members of a JSON object: their names, and their values as they were written. By hand, because JSON.parse keeps
 * the last of two members of one name, and its reviver, which is shown the sources, recurses: a nest of brackets that
 * fits in an event would end the stack.
 * @param text one object that JSON.parse has taken
 */
function * readMembers (text: string): Generator<[name: string, source: string]> {
  let at = text.indexOf('{') + 1
  for (;;) {
    const keyStart = text.indexOf('"', at)
    if (keyStart === -1) return // no members, or none behind the last one
    const keyEnd = stringEnd(text, keyStart)
    const valueStart = text.indexOf(':', keyEnd) + 1
    at = valueEnd(text, valueStart)
    const key = text.slice(keyStart + 1, keyEnd - 1)
    yield [key.includes('\\') ? JSON.parse(`"${key}"`) : key, text.slice(valueStart, at).trim()]
  }
}

/** @returns the place behind the closing quote of the string that begins at `start` */
function stringEnd (text: string, start: number): number {
  let at = start + 1
  while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1
  return at + 1
}

/** @returns the place of the comma or brace that ends the value which begins at `start` */
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
