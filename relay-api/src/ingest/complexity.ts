/**
 * How much structure an item may have: a few bytes of JSON can create an object each. A processor decodes any 64 KiB in
 * a few ms, but one body may contain hundreds of such items, which compress to a few KiB.
 */

const DEPTH_MAX = 100
const MEMBERS_MAX = 1_000
/** A closed level takes two bytes, and an item with open levels is rejected soon, so smaller items need no check. */
const SMALL_BYTES = DEPTH_MAX * 2

const QUOTE = 0x22
const COLON = 0x3a
const OPEN_BRACKET = 0x5b
const BACKSLASH = 0x5c
const CLOSE_BRACKET = 0x5d
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d

/** Whether an item that is one flat object can't have too much: a member takes at least five bytes (`"":1,`). */
export function isSurelySimple (item: Uint8Array): boolean {
  return item.length <= MEMBERS_MAX * 4
}

/** @returns what exceeds a limit; undefined: nothing. Linear in the length of the item, for any bytes. */
export function excessOf (item: Uint8Array): string | undefined {
  if (item.length <= SMALL_BYTES) return undefined
  let depth = 0
  let members = 0
  let isInString = false
  for (let at = 0; at < item.length; at++) {
    const byte = item[at]
    if (isInString) {
      if (byte === BACKSLASH) at++
      else if (byte === QUOTE) isInString = false
      continue
    }
    switch (byte) {
      case QUOTE:
        isInString = true
        break
      case OPEN_BRACKET: case OPEN_BRACE:
        if (++depth > DEPTH_MAX) return `nested deeper than ${DEPTH_MAX} levels`
        members++
        break
      case CLOSE_BRACKET: case CLOSE_BRACE:
        depth--
        break
      case COLON:
        members++
    }
    if (members > MEMBERS_MAX) return `more than ${MEMBERS_MAX} names, objects and arrays`
  }
  return undefined
}
