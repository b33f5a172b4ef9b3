import { EVENT_BYTES_MAX, isId, type DeviceEvent, type EventRules } from './event.ts'
import { setBuffer, type ScannedEvent } from './scanned-event.ts'
import { plainStringEnd, plainValueEnd, scanIsoTime, scanSeconds, scanValue } from './scan-scalars.ts'

/**
 * Bytes of a record -> the fields of its event. Hot path: 100 ns per event of 120 bytes, without an object or a string;
 * decodeEvent takes 3 us. The scanner is only a shortcut: it accepts events as nearly all producers write them and
 * refuses the rest. `scan-event.property.test.ts` compares it with decodeEvent.
 *
 *     bytes ──scanEvent──▶ taken ──names known, or decodeNames takes them; not in the future──▶ event
 *                  │                             │ no                                           ▲
 *                  └──not taken──────────────────┴───────────────────▶ decodeEvent ──▶ event | rejected ──▶ dead letter
 *
 * It accepts one object with the five fields in any order, whitespace, and other fields with a simple string (ASCII
 * without escapes), a number, true, false or null. Ids and types have no escapes. Timestamps are `YYYY-MM-DDTHH:MM:SS`
 * with up to nine decimals and `Z` or `±HH:MM`, or seconds since the epoch without an exponent.
 */

const SPACE = 0x20
const QUOTE = 0x22
const COMMA = 0x2c
const COLON = 0x3a
const BACKSLASH = 0x5c
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d

// fields, as bits of the set of seen ones
const OTHER_FIELD = 0
const DEVICE_ID = 1
const DEVICE_TYPE = 2
const ZONE = 4
const VALUE = 8
const TIMESTAMP = 16
const ALL_FIELDS = 31

/**
 * Scans one event. If it returns true, decodeEvent accepts the same bytes with the same result, provided that the
 * caller checks two things:
 *
 * - once for every key (bytes of device, type and zone): that decodeEvent accepts an event with it (`decodeNames`). The
 *   scanner finds the end of these strings but does not check UTF-8, control characters, length or types;
 * - for every event: that `timestampMs` is not too far in the future.
 *
 * Never throws. Allocates only a view per new buffer, and for numbers with more than 15 digits.
 * @returns false: not accepted, use decodeEvent; `out` is then undefined
 */
export function scanEvent (buffer: Buffer, start: number, end: number, out: ScannedEvent): boolean {
  if (end - start > EVENT_BYTES_MAX) return false
  // The last byte is a brace, so runs of spaces and digits end before `end` without a check.
  while (end > start && isSpace(buffer[end - 1])) end--
  if (end <= start || buffer[end - 1] !== CLOSE_BRACE) return false
  setBuffer(out, buffer)
  const view = out.view

  let at = spaceEnd(buffer, start)
  if (buffer[at] !== OPEN_BRACE) return false
  let seen = 0
  do {
    at = spaceEnd(buffer, at + 1) // after the opening brace, or a comma
    if (buffer[at] !== QUOTE) return false
    const field = fieldAt(view, at + 1, end)
    if ((seen & field) !== 0) return false
    seen |= field
    at = field === OTHER_FIELD ? plainStringEnd(buffer, at, end) : at + nameSizes[field]
    if (at < 0) return false
    at = spaceEnd(buffer, at)
    if (buffer[at] !== COLON) return false
    at = spaceEnd(buffer, at + 1)

    switch (field) {
      case DEVICE_ID:
        out.deviceIdStart = at + 1
        at = stringEnd(buffer, at, end)
        out.deviceIdEnd = at - 1
        break
      case DEVICE_TYPE:
        out.deviceTypeStart = at + 1
        at = stringEnd(buffer, at, end)
        out.deviceTypeEnd = at - 1
        break
      case ZONE:
        out.zoneStart = at + 1
        at = stringEnd(buffer, at, end)
        out.zoneEnd = at - 1
        break
      case VALUE:
        out.valueStart = at
        at = scanValue(buffer, at, out)
        out.valueEnd = at
        break
      case TIMESTAMP:
        out.timestampStart = at
        at = buffer[at] === QUOTE ? scanIsoTime(buffer, at + 1, end, out) : scanSeconds(buffer, at, out)
        out.timestampEnd = at
        break
      default:
        at = plainValueEnd(buffer, at, end)
    }
    if (at < 0) return false
    at = spaceEnd(buffer, at)
  } while (buffer[at] === COMMA)

  return at === end - 1 && seen === ALL_FIELDS // this brace is the one found at first
}

/** The device, type and zone of an event. */
export type Names = Pick<DeviceEvent, 'deviceId' | 'deviceType' | 'zone'>

/**
 * Decodes the names of an event that the scanner has accepted.
 * @returns undefined: decodeEvent rejects events with them, or must decide
 */
export function decodeNames (scanned: ScannedEvent, { deviceTypes }: EventRules): Names | undefined {
  const { buffer } = scanned
  const deviceId = buffer.toString('utf8', scanned.deviceIdStart, scanned.deviceIdEnd)
  const deviceType = buffer.toString('utf8', scanned.deviceTypeStart, scanned.deviceTypeEnd)
  const zone = buffer.toString('utf8', scanned.zoneStart, scanned.zoneEnd)
  if (!deviceTypes.has(deviceType) || !isId(deviceId) || !isId(zone)) return undefined
  // invalid UTF-8 decodes to this character, and so does the character itself
  if (deviceId.includes(REPLACEMENT) || deviceType.includes(REPLACEMENT) || zone.includes(REPLACEMENT)) return undefined
  return { deviceId, deviceType, zone }
}

const REPLACEMENT = '\ufffd'

/** Length of a field's name with both quotes, by the bit of the field. */
const nameSizes = new Uint8Array(TIMESTAMP + 1)
nameSizes[DEVICE_ID] = 10
nameSizes[DEVICE_TYPE] = 12
nameSizes[ZONE] = 6
nameSizes[VALUE] = 7
nameSizes[TIMESTAMP] = 11

// four (or two) bytes of a name as one number, so that two or three comparisons identify a name
const word = (text: string) => Buffer.from(text).readInt32LE()
const halfWord = (text: string) => Buffer.from(text).readInt16LE()
const [DEVI, CEID, CETY, YPE_QUOTE] = ['devi', 'ceId', 'ceTy', 'ype"'].map(word)
const [TIME, STAM, P_QUOTE] = [word('time'), word('stam'), halfWord('p"')]
const [ZONE_WORD, VALU, E_QUOTE] = [word('zone'), word('valu'), halfWord('e"')]

/** The field whose name starts here, after its opening quote. No read passes `end`. */
function fieldAt (view: DataView, at: number, end: number): number {
  if (end - at < 8) return OTHER_FIELD // our shortest member: zone":0}
  switch (view.getInt32(at, true)) {
    case DEVI: {
      if (end - at < 12) return OTHER_FIELD // deviceId":0}
      const next = view.getInt32(at + 4, true)
      if (next === CEID) return view.getUint8(at + 8) === QUOTE ? DEVICE_ID : OTHER_FIELD
      return next === CETY && view.getInt32(at + 7, true) === YPE_QUOTE ? DEVICE_TYPE : OTHER_FIELD
    }
    case TIME:
      if (end - at < 13) return OTHER_FIELD // timestamp":0}
      return view.getInt32(at + 4, true) === STAM && view.getInt16(at + 8, true) === P_QUOTE ? TIMESTAMP : OTHER_FIELD
    case ZONE_WORD:
      return view.getUint8(at + 4) === QUOTE ? ZONE : OTHER_FIELD
    case VALU:
      return view.getInt16(at + 4, true) === E_QUOTE ? VALUE : OTHER_FIELD
    default:
      return OTHER_FIELD
  }
}

/** @returns the position of the first byte from `at` that is not whitespace */
function spaceEnd (buffer: Buffer, at: number): number {
  return buffer[at] > SPACE ? at : spaceRunEnd(buffer, at)
}

// separate, so that the comparison above is inlined: 15 ns per event
function spaceRunEnd (buffer: Buffer, at: number): number {
  while (isSpace(buffer[at])) at++
  return at
}

function isSpace (byte: number): boolean {
  return byte === SPACE || byte === 0x0a || byte === 0x0d || byte === 0x09
}

/**
 * A string without escapes, with any other content. @returns the position after its closing quote; -1: no such string
 */
function stringEnd (buffer: Buffer, at: number, end: number): number {
  if (buffer[at] !== QUOTE) return -1
  while (++at < end) {
    const byte = buffer[at]
    if (byte === QUOTE) return at + 1
    if (byte === BACKSLASH) return -1
  }
  return -1
}
