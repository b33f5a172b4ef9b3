/**
 * Splits a body into events, each with its original bytes. They are not parsed here, so the decoder sees what the
 * processor will see.
 *
 *     application/json       {…}              one event
 *                            [{…}, {…}, …]    several
 *     application/x-ndjson   {…}\n{…}\n       one a line; blank lines are passed over
 *
 * A byte order mark at the start is skipped, because files from Windows have one. Before a later event it is invalid
 * JSON.
 *
 * A broken item only costs itself, if its end is clear; otherwise nothing of the body is accepted. No byte is read more
 * than three times, and no step reads more than PAUSE_BYTES.
 */

export type Framing = 'json' | 'ndjson'

export interface CutLimits {
  readonly itemsMax: number
  /** of `ndjson` */
  readonly blankLinesMax: number
}

/** Why no item of a body can be accepted. */
export type BodyFault =
  | { readonly kind: 'too-many', readonly what: string }
  /** the limits of items are unclear */
  | { readonly kind: 'broken', readonly detail: string }

/** The items of a body, with undefined for steps without one; finally the fault, if any. */
export type Cutting = Generator<Buffer | undefined, BodyFault | undefined>

/** Bytes per step: less than a tenth of a ms. */
const PAUSE_BYTES = 64 * 1024

/** Splits a body. Do not accept its items before it has returned without a fault. */
export function * cutItems (body: Buffer, framing: Framing, limits: CutLimits): Cutting {
  const begin = MARK.every((byte, n) => body[n] === byte) ? MARK.length : 0
  if (framing === 'ndjson') return yield * cutLines(body, begin, limits)
  const start = yield * spaceEnd(body, begin, body.length)
  if (body[start] === OPEN_BRACKET) return yield * cutArray(body, start + 1, limits)
  if (start === body.length) return broken('it is empty') // no events are []
  yield body.subarray(start, yield * textEnd(body, start, body.length))
  return undefined
}

/** U+FEFF in UTF-8 */
const MARK = [0xef, 0xbb, 0xbf]
const TAB = 0x09
const LINE_FEED = 0x0a
const CARRIAGE_RETURN = 0x0d
const SPACE = 0x20
const QUOTE = 0x22
const COMMA = 0x2c
const OPEN_BRACKET = 0x5b
const BACKSLASH = 0x5c
const CLOSE_BRACKET = 0x5d
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d

function * cutLines (body: Buffer, begin: number, { itemsMax, blankLinesMax }: CutLimits): Cutting {
  let count = 0
  let blankLines = 0
  for (let at = begin; ;) {
    const pauseAt = at + PAUSE_BYTES
    while (isSpace(body[at]) && at < pauseAt) if (body[at++] === LINE_FEED) blankLines++
    if (blankLines > blankLinesMax) return { kind: 'too-many', what: `${blankLinesMax} blank lines` }
    if (at === body.length) return undefined
    if (at === pauseAt) {
      yield undefined
      continue
    }
    const found = body.indexOf(LINE_FEED, at)
    const end = found === -1 ? body.length : found
    if (count++ === itemsMax) return tooMany(itemsMax)
    yield body.subarray(at, isSpace(body[end - 1]) ? yield * textEnd(body, at, end) : end)
    at = Math.min(end + 1, body.length)
  }
}

/** @param start after the opening bracket of the array */
function * cutArray (body: Buffer, start: number, { itemsMax }: CutLimits): Cutting {
  let count = 0
  let at = yield * spaceEnd(body, start, body.length)
  if (body[at] !== CLOSE_BRACKET) {
    for (;;) {
      if (isSpace(body[at])) at = yield * spaceEnd(body, at, body.length)
      const scan: Scan = { at, depth: 0, isInString: false }
      while (!findItemEnd(body, scan, Math.min(scan.at + PAUSE_BYTES, body.length))) {
        if (scan.at >= body.length) return broken('the array is not closed')
        yield undefined
      }
      const end = scan.at
      if (end === at) return broken(`item ${count} of the array is empty`)
      if (count++ === itemsMax) return tooMany(itemsMax)
      yield body.subarray(at, isSpace(body[end - 1]) ? yield * textEnd(body, at, end) : end)
      if (body[end] === CLOSE_BRACE) return broken(`unexpected closing brace after item ${count - 1}`)
      at = end
      if (body[at] === CLOSE_BRACKET) break
      at++
    }
  }
  const rest = yield * spaceEnd(body, at + 1, body.length)
  return rest >= body.length ? undefined : broken('unexpected data after the end of the array')
}

/** State of the search for the end of an item. */
interface Scan {
  at: number
  depth: number
  isInString: boolean
}

/**
 * @returns whether `scan.at` is at the comma, bracket or brace that ends the item; otherwise it is at or after `stopAt`
 */
function findItemEnd (body: Buffer, scan: Scan, stopAt: number): boolean {
  let { at, depth, isInString } = scan
  let isFound = false
  for (; at < stopAt; at++) {
    const byte = body[at]
    if (isInString) {
      if (byte === BACKSLASH) at++
      else if (byte === QUOTE) isInString = false
    } else if (byte === QUOTE) {
      isInString = true
    } else if (byte === OPEN_BRACKET || byte === OPEN_BRACE) {
      depth++
    } else if (byte === COMMA) {
      if ((isFound = depth === 0)) break
    } else if (byte === CLOSE_BRACKET || byte === CLOSE_BRACE) {
      if ((isFound = depth === 0)) break
      depth--
    }
  }
  scan.at = at
  scan.depth = depth
  scan.isInString = isInString
  return isFound
}

/** @returns the first byte from `at` that is not white space */
function * spaceEnd (body: Buffer, at: number, end: number): Generator<undefined, number> {
  for (;;) {
    const pauseAt = Math.min(at + PAUSE_BYTES, end)
    while (at < pauseAt && isSpace(body[at])) at++
    if (at < pauseAt || at >= end) return at
    yield undefined
  }
}

/** @returns the end of a text, without trailing white space */
function * textEnd (body: Buffer, start: number, end: number): Generator<undefined, number> {
  for (;;) {
    const pauseAt = Math.max(end - PAUSE_BYTES, start)
    while (end > pauseAt && isSpace(body[end - 1])) end--
    if (end > pauseAt || end === start) return end
    yield undefined
  }
}

/** the white space of JSON */
function isSpace (byte: number | undefined): boolean {
  return byte === SPACE || byte === LINE_FEED || byte === CARRIAGE_RETURN || byte === TAB
}

function tooMany (itemsMax: number): BodyFault {
  return { kind: 'too-many', what: `${itemsMax} events` }
}

function broken (detail: string): BodyFault {
  return { kind: 'broken', detail }
}
