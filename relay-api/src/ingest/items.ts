/**
 * Items: a body is cut into events, each as the bytes that it came in. They are not parsed here: the decoder of the
 * processor sees what the processor will see.
 *
 *     application/json       {…}              one event
 *                            [{…}, {…}, …]    several
 *     application/x-ndjson   {…}\n{…}\n       one a line; blank lines are passed over
 *
 * An item that is broken costs itself alone, as long as it is clear where it ends; where it isn't, nothing of the body
 * is taken.
 */

export type Framing = 'json' | 'ndjson'

export type Cut =
  | { readonly kind: 'items', readonly items: readonly Uint8Array[] }
  | { readonly kind: 'too-many' }
  /** it is not clear where items begin and end */
  | { readonly kind: 'broken', readonly detail: string }

/** @param itemsMax more are not taken */
export function cutItems (body: Uint8Array, framing: Framing, itemsMax: number): Cut {
  if (framing === 'ndjson') return cutLines(body, itemsMax)
  const start = skipSpace(body, 0)
  if (body[start] === OPEN_BRACKET) return cutArray(body, start + 1, itemsMax)
  const item = trim(body, start, body.length)
  return item.length === 0 ? broken('it is empty') : { kind: 'items', items: [item] } // no events are []
}

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

function cutLines (body: Uint8Array, itemsMax: number): Cut {
  const items: Uint8Array[] = []
  for (let start = 0; start < body.length;) {
    const found = body.indexOf(LINE_FEED, start)
    const end = found === -1 ? body.length : found
    const item = trim(body, start, end)
    if (item.length > 0) {
      if (items.length === itemsMax) return { kind: 'too-many' }
      items.push(item)
    }
    start = end + 1
  }
  return { kind: 'items', items }
}

/** @param start behind the bracket that opens the array */
function cutArray (body: Uint8Array, start: number, itemsMax: number): Cut {
  const items: Uint8Array[] = []
  let at = skipSpace(body, start)
  if (body[at] !== CLOSE_BRACKET) {
    for (;;) {
      const end = itemEnd(body, at)
      if (end === undefined) return broken('the array has no end')
      const item = trim(body, at, end)
      if (item.length === 0) return broken(`item ${items.length} of the array is empty`)
      if (items.length === itemsMax) return { kind: 'too-many' }
      items.push(item)
      at = end
      if (body[at] === CLOSE_BRACKET) break
      if (body[at] === CLOSE_BRACE) return broken(`a brace behind item ${items.length - 1} closes what was not opened`)
      at++
    }
  }
  const rest = skipSpace(body, at + 1)
  return rest === body.length ? { kind: 'items', items } : broken('something follows the end of the array')
}

/** @returns the place of the comma, bracket or brace that ends the item; undefined: the body ends first */
function itemEnd (body: Uint8Array, start: number): number | undefined {
  let depth = 0
  for (let at = start; at < body.length; at++) {
    switch (body[at]) {
      case QUOTE:
        at = stringEnd(body, at)
        break
      case OPEN_BRACKET: case OPEN_BRACE:
        depth++
        break
      case CLOSE_BRACKET: case CLOSE_BRACE:
        if (depth === 0) return at
        depth--
        break
      case COMMA:
        if (depth === 0) return at
    }
  }
  return undefined
}

/** @returns the place of the closing quote; the length of the body where there is none */
function stringEnd (body: Uint8Array, start: number): number {
  let at = start + 1
  while (at < body.length && body[at] !== QUOTE) at += body[at] === BACKSLASH ? 2 : 1
  return at
}

function skipSpace (body: Uint8Array, start: number): number {
  let at = start
  while (at < body.length && isSpace(body[at])) at++
  return at
}

function trim (body: Uint8Array, start: number, end: number): Uint8Array {
  const from = Math.min(skipSpace(body, start), end)
  let to = end
  while (to > from && isSpace(body[to - 1])) to--
  return body.subarray(from, to)
}

/** the white space of JSON */
function isSpace (byte: number): boolean {
  return byte === SPACE || byte === LINE_FEED || byte === CARRIAGE_RETURN || byte === TAB
}

function broken (detail: string): Cut {
  return { kind: 'broken', detail }
}
