/**
 * Parameters of paged answers: `limit`, and the `cursor` of the previous answer. A cursor is opaque to clients. It
 * names the last entry, so that added or deleted entries neither repeat nor hide others.
 */
import { RelayError } from 'relay-common'
import { ID_UNITS_MAX } from 'relay-rollups'
import { Type } from 'typebox'

/** For the query schema of a paged route. */
export function pageParameters (limits: { readonly preset: number, readonly max: number }) {
  return {
    limit: Type.Integer({
      minimum: 1, maximum: limits.max, default: limits.preset, description: 'most items in the answer'
    }),
    cursor: Type.Optional(Type.String({
      maxLength: CURSOR_CHARACTERS_MAX, description: '`next` of the previous page, to continue after it'
    }))
  }
}

/** A name has at most four bytes per character, and base64 adds a third. */
const CURSOR_CHARACTERS_MAX = Math.ceil(ID_UNITS_MAX * 4 * 4 / 3) + 8

export function encodeNameCursor (name: string): string {
  return Buffer.from(`1${name}`).toString('base64url') // the version of the format
}

/** @throws RelayError RELAY_CURSOR_INVALID */
export function decodeNameCursor (cursor: string | undefined): string | undefined {
  if (cursor === undefined) return undefined
  const text = Buffer.from(cursor, 'base64url').toString()
  const name = text.slice(1)
  // another encoding was not made by us; names contain no control characters, and PostgreSQL rejects one of them
  if (text[0] !== '1' || encodeNameCursor(name) !== cursor || /\p{Cc}/u.test(name)) {
    throw new RelayError(
      'RELAY_CURSOR_INVALID', 'cursor is invalid: use `next` of an answer of this route unchanged',
      { parameter: 'cursor' }
    )
  }
  return name
}
