/**
 * `cursor`: the start of the next answer to a query. It is opaque to clients, and holds the resolved range of the first
 * answer, so that `now` does not move. It also holds a hash of the query, so that it fits no other. It grants nothing:
 * permissions are checked again.
 */
import { createHash } from 'node:crypto'

import { RelayError } from 'relay-common'
import { YEAR_0_MS, YEAR_10000_MS } from 'relay-rollups'
import { Type } from 'typebox'

import type { CursorPosition } from '../query/rows-query.ts'
import type { AskedRange } from './time.ts'

export const Cursor = Type.Optional(Type.String({
  minLength: 1, maxLength: 8_192, description: '`next` of the previous page; keep all other parameters unchanged'
}))

export interface Resumed {
  readonly range: AskedRange
  readonly after: CursorPosition
}

type Wire = [
  query: string, startMs: number, endMs: number, isRelative: boolean, key: string, rowStartMs: number,
  anchorMs: number | null, numbers: ReadonlyArray<number | null>
]

/** @param query anything that distinguishes queries */
export function encodeCursor (
  query: unknown, { startMs, endMs, isRelative }: AskedRange, after: CursorPosition
): string {
  const { key, startMs: rowStartMs, anchor } = after
  const wire: Wire = [hashOf(query), startMs, endMs, isRelative, key, rowStartMs,
    anchor?.startMs ?? null, anchor?.numbers ?? []]
  return Buffer.from(JSON.stringify(wire)).toString('base64url')
}

/** @throws RelayError RELAY_CURSOR_INVALID */
export function decodeCursor (query: unknown, cursor: string): Resumed {
  const wire = parse(cursor)
  if (!wire) throw invalid('cursor is invalid: use `next` of an answer unchanged')
  const [hash, startMs, endMs, isRelative, key, rowStartMs, anchorMs, numbers] = wire
  if (hash !== hashOf(query)) throw invalid('cursor belongs to another query: only limit and format may change')
  return {
    range: { startMs, endMs, isRelative },
    after: { key, startMs: rowStartMs, anchor: anchorMs === null ? undefined : { startMs: anchorMs, numbers } }
  }
}

function parse (cursor: string): Wire | undefined {
  let wire: unknown
  try {
    wire = JSON.parse(Buffer.from(cursor, 'base64url').toString())
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
  if (!Array.isArray(wire) || wire.length !== 8) return undefined
  const [hash, startMs, endMs, isRelative, key, rowStartMs, anchorMs, numbers] = wire
  const isOne = typeof hash === 'string' && isTime(startMs) && isTime(endMs) && startMs < endMs &&
    typeof isRelative === 'boolean' && typeof key === 'string' && !key.includes('\0') && isTime(rowStartMs) &&
    (anchorMs === null || isTime(anchorMs)) && Array.isArray(numbers) &&
    numbers.every(it => it === null || typeof it === 'number')
  return isOne ? wire as Wire : undefined
}

function isTime (value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= YEAR_0_MS && (value as number) < YEAR_10000_MS
}

function hashOf (query: unknown): string {
  return createHash('sha256').update(JSON.stringify(query)).digest('base64url').slice(0, 16)
}

function invalid (message: string): RelayError {
  return new RelayError('RELAY_CURSOR_INVALID', message, { parameter: 'cursor' })
}
