/**
 * Rollups and readings in memory between two flushes: the bytes of a row's body (relay-common, `rollup-row.ts`), and of
 * a rollup its count, min and max behind them, as a string with a character for each byte.
 *
 * A string, since V8 keeps it in one piece: 16 bytes and what is in it, where a typed array is an object, a buffer and
 * memory of its own. A series that reports takes 1.2 KB so, and took 5.7 with its readings and digests as objects. The
 * bytes cost nothing: the flush that packs a row writes them.
 */
import {
  ByteReader, ByteWriter, decodeBody, decodeContent, emptyReadings, emptyRollup, type Rollup, type RowContent
} from 'relay-common'

import type { StoredRow } from './store.ts'

export type PackedRow = string

/** No readings yet. */
export const EMPTY_ROW: PackedRow = ''

/** @param body of a device's minute, which keeps its readings */
export function packReadings (body: ByteWriter): PackedRow {
  return body.bytes.toString('latin1', 0, body.length)
}

/** @param body of this rollup; more is written behind it */
export function packRollup (body: ByteWriter, { count, min, max }: Pick<Rollup, 'count' | 'min' | 'max'>): PackedRow {
  body.varint(count)
  body.double(min)
  body.double(max)
  return body.bytes.toString('latin1', 0, body.length)
}

/**
 * Packs a row as the database has it.
 * @throws RelayError RELAY_ROLLUP_CORRUPT
 */
export function packStored (row: StoredRow, bucketMs: number): PackedRow {
  const { readings } = decodeBody({ ...row, bucketStartMs: bucketMs })
  scratch.length = 0
  scratch.append(row.body)
  return readings ? packReadings(scratch) : packRollup(scratch, row)
}

/** What a device's minute holds: its readings, or past their cap a rollup. */
export function unpackMinute (packed: PackedRow, bucketMs: number): RowContent {
  if (packed === EMPTY_ROW) return { kind: 'readings', readings: emptyReadings() }
  const reader = read(packed)
  const content = decodeContent(reader, bucketMs)
  if (content.kind === 'rollup') readColumns(reader, content.rollup)
  return content
}

/** What any other row holds. */
export function unpackRollup (packed: PackedRow, bucketMs: number): Rollup {
  if (packed === EMPTY_ROW) return emptyRollup()
  const content = unpackMinute(packed, bucketMs)
  if (content.kind !== 'rollup') throw new TypeError('the row of a rollup contains readings')
  return content.rollup
}

/** Every row is unpacked here, one after the other. */
const scratch = new ByteWriter(16 * 1024)
let scratchReader = new ByteReader(scratch.bytes)

function read (packed: PackedRow): ByteReader {
  scratch.length = 0
  scratch.reserve(packed.length)
  scratch.bytes.write(packed, 0, 'latin1')
  if (scratchReader.bytes !== scratch.bytes) scratchReader = new ByteReader(scratch.bytes)
  scratchReader.offset = 0
  return scratchReader
}

function readColumns (reader: ByteReader, rollup: Rollup): void {
  rollup.count = reader.varint()
  rollup.min = reader.double()
  rollup.max = reader.double()
}
