import { RelayError } from 'relay-common'

/**
 * Writes and reads sequences of bytes.
 *
 * | written | as |
 * | --- | --- |
 * | `varint` | a whole number from 0 to 2^53 - 1: 7 bits per byte, low bits first; the high bit means that more follow |
 * | `double` | 8 bytes of IEEE 754, low byte first |
 *
 * Hot path: a minute row takes about a hundred calls, and tens of thousands of rows are written per second. So there is
 * one growing buffer, and no object or small array per row.
 */
export class ByteWriter {
  /** valid up to `length`; replaced when it grows, so do not keep a reference */
  bytes: Buffer<ArrayBuffer>
  length = 0
  #view: DataView

  constructor (capacity = 4096) {
    this.bytes = Buffer.allocUnsafeSlow(capacity) // not a slice of a pool that others write to
    this.#view = new DataView(this.bytes.buffer)
  }

  /** Makes room for more bytes. */
  reserve (sizeBytes: number): void {
    if (this.length + sizeBytes <= this.bytes.length) return
    const grown = Buffer.allocUnsafeSlow(Math.max(this.bytes.length * 2, this.length + sizeBytes))
    this.bytes.copy(grown, 0, 0, this.length)
    this.bytes = grown
    this.#view = new DataView(grown.buffer)
  }

  byte (value: number): void {
    this.reserve(1)
    this.bytes[this.length++] = value
  }

  varint (value: number): void {
    this.reserve(VARINT_BYTES_MAX)
    this.length = writeVarint(this.bytes, this.length, value)
  }

  double (value: number): void {
    this.reserve(8)
    this.#view.setFloat64(this.length, value, true)
    this.length += 8
  }

  append (bytes: Uint8Array): void {
    this.reserve(bytes.length)
    this.bytes.set(bytes, this.length)
    this.length += bytes.length
  }

  /** A copy of the bytes written since `start`. */
  copy (start = 0): Buffer {
    return Buffer.copyBytesFrom(this.bytes, start, this.length - start)
  }
}

/**
 * Writes a varint; the buffer must have room for VARINT_BYTES_MAX.
 * @returns the position after it
 */
export function writeVarint (bytes: Uint8Array, at: number, value: number): number {
  while (value > 0x7fffffff) { // beyond the bit operators of JavaScript
    bytes[at++] = (value % 128) | 128
    value = Math.floor(value / 128)
  }
  while (value > 127) {
    bytes[at++] = (value & 127) | 128
    value >>>= 7
  }
  bytes[at++] = value
  return at
}

export const VARINT_BYTES_MAX = 8 // 56 bits hold any safe integer

/** Reads what a ByteWriter wrote. Never reads past the end; invalid bytes throw RelayError RELAY_ROLLUP_CORRUPT. */
export class ByteReader {
  readonly bytes: Uint8Array
  offset = 0
  #view: DataView

  constructor (bytes: Uint8Array) {
    this.bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get remaining (): number {
    return this.bytes.length - this.offset
  }

  skipRest (): void {
    this.offset = this.bytes.length
  }

  byte (): number {
    if (this.remaining < 1) throw corrupt('unexpected end')
    return this.bytes[this.offset++]
  }

  varint (): number {
    const bytes = this.bytes
    const first = bytes[this.offset]
    if (first < 128) { // nearly always
      this.offset++
      return first
    }
    let value = 0
    let unit = 1
    for (let read = 0; read < VARINT_BYTES_MAX; read++) {
      if (this.offset >= bytes.length) throw corrupt('unexpected end')
      const byte = bytes[this.offset++]
      value += (byte & 127) * unit
      if (byte < 128) {
        if (value > Number.MAX_SAFE_INTEGER) break
        return value
      }
      unit *= 128
    }
    throw corrupt('a number is longer than the maximum')
  }

  double (): number {
    if (this.remaining < 8) throw corrupt('unexpected end')
    const value = this.#view.getFloat64(this.offset, true)
    this.offset += 8
    return value
  }

  /** A double that can be a reading or a sum: finite, with -0 as 0. */
  finite (): number {
    const value = this.double()
    if (!Number.isFinite(value) || Object.is(value, -0)) throw corrupt('a value is not a finite number')
    return value
  }
}

/** The error for bytes that no encoder of Relay wrote. `reason` continues "it can't be decoded:". */
export function corrupt (reason: string): RelayError {
  return new RelayError('RELAY_ROLLUP_CORRUPT', reason)
}
