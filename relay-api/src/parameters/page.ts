/**
 * Parameters of an answer that is too long for one: `limit`, and the `cursor` of the answer before. A cursor is opaque
 * to clients. It says behind which name to go on, so that what is added or gone meanwhile neither repeats nor hides
 * anything else.
 */
import { ID_UNITS_MAX, RelayError } from 'relay-common'
import { Type } from 'typebox'

/** To be spread into the query schema of a route whose answers come in pages. */
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

/** A name has four bytes a character at most, of which base64 makes a third more. */
const CURSOR_CHARACTERS_MAX = Math.ceil(ID_UNITS_MAX * 4 * 4 / 3) + 8

export function writeNameCursor (name: string): string {
  return Buffer.from(`1${name}`).toString('base64url') // the version of the format
}

/** @throws RelayError RELAY_CURSOR_INVALID */
export function readNameCursor (cursor: string | undefined): string | undefined {
  if (cursor === undefined) return undefined
  const text = Buffer.from(cursor, 'base64url').toString()
  const name = text.slice(1)
  // what is not its own encoding was made by somebody else; control characters are in no name, and PostgreSQL refuses one
  if (text[0] !== '1' || writeNameCursor(name) !== cursor || /\p{Cc}/u.test(name)) {
    throw new RelayError('RELAY_CURSOR_INVALID', 'cursor is invalid: use `next` of an answer of this route unchanged', { parameter: 'cursor' })
  }
  return name
}
