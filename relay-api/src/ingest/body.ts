/** Reads the body of a request, decompressed if it is gzip, up to its limit. */
import type { IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import { createGunzip, type Gunzip } from 'node:zlib'

import { RelayError } from 'relay-common'

import type { BytesLease } from './in-flight.ts'
import type { Framing } from './items.ts'

/** Media types by framing; the first of each is the registered or the most common one. */
export const mediaTypes: Readonly<Record<Framing, readonly string[]>> = {
  json: ['application/json'],
  ndjson: ['application/x-ndjson', 'application/ndjson', 'application/jsonl']
}

/** https://www.rfc-editor.org/rfc/rfc9110#name-media-type, without quoted strings in parameters */
const TYPE = /^[\w!#$%&'*+.^`|~-]+\/[\w!#$%&'*+.^`|~-]+$/
const PARAMETER = /^(?:[\w!#$%&'*+.^`|~-]+=(?:[\w!#$%&'*+.^`|~-]+|"[^"\\]*"))?$/

/** @throws RelayError RELAY_MEDIA_TYPE_UNKNOWN */
export function framingOf (contentType: string | undefined): Framing {
  if (contentType === mediaTypes.json[0]) return 'json' // the usual form
  if (contentType === mediaTypes.ndjson[0]) return 'ndjson'
  const [type, ...parameters] = (contentType ?? '').toLowerCase().split(';').map(it => it.trim())
  const framing = (['json', 'ndjson'] as const).find(it => mediaTypes[it].includes(type))
  if (!framing || !parameters.every(it => PARAMETER.test(it))) {
    const found = type === '' ? 'missing' : TYPE.test(type) && !framing ? type.slice(0, 100) : 'malformed'
    throw new RelayError('RELAY_MEDIA_TYPE_UNKNOWN',
      `Content-Type must be ${mediaTypes.json[0]} or ${mediaTypes.ndjson[0]}, got ${found}`)
  }
  const charsets = parameters.filter(it => it.startsWith('charset='))
  if (!charsets.every(it => /^charset="?utf-?8"?$/.test(it))) {
    throw new RelayError('RELAY_MEDIA_TYPE_UNKNOWN', 'the charset must be utf-8')
  }
  return framing
}

export interface BodyLimits {
  /** of the body as sent, and after decompression */
  readonly maxBytes: number
  /** from now to the last byte, whatever arrives in between */
  readonly timeoutMs: number
}

/** A body of many small chunks costs more than its bytes: each counts as at least so many. */
const CHUNK_BYTES_MIN = 64
/** Memory of a decompressor: window, state and next output. */
const INFLATER_BYTES = 64 * 1024
/** Events of one device with equal values compress by 50; a body of blanks by 1,000. */
const INFLATED_BY_MAX = 200
/** Below this size the compression ratio is not checked. */
const INFLATED_FREE_BYTES = 256 * 1024

/**
 * @param lease reserves memory before it is used
 * @throws RelayError RELAY_MEDIA_TYPE_UNKNOWN for another encoding, RELAY_BODY_TOO_LARGE, RELAY_BODY_TOO_SLOW,
 *   RELAY_INGEST_BUSY, RELAY_BUDGET_EXCEEDED; RELAY_REQUEST_INVALID for an invalid or truncated gzip, or one with
 *   trailing bytes
 */
export async function readBody (request: IncomingMessage, limits: BodyLimits, lease: BytesLease): Promise<Buffer> {
  const { 'content-encoding': encoding, 'content-length': length = '0' } = request.headers
  if (Number(length) > limits.maxBytes) throw tooLarge(limits.maxBytes)
  switch (encoding?.trim().toLowerCase() || 'identity') { // an empty one means none
    case 'identity':
      return await readPlain(request, limits, lease)
    case 'gzip': case 'x-gzip':
      return await readZipped(request, limits, lease)
    default:
      throw new RelayError('RELAY_MEDIA_TYPE_UNKNOWN', 'Content-Encoding must be gzip or absent')
  }
}

async function readZipped (request: IncomingMessage, limits: BodyLimits, lease: BytesLease): Promise<Buffer> {
  lease.take(INFLATER_BYTES)
  const gunzip = createGunzip()
  try {
    return await beforeDeadline(gunzip, limits, request, () => inflate(request, gunzip, limits, lease))
  } finally {
    gunzip.destroy()
  }
}

/** Fails a read after its deadline, so that slow bytes do not keep a lease. */
async function beforeDeadline (
  source: Readable, { timeoutMs }: BodyLimits, request: IncomingMessage, read: () => Promise<Buffer>
): Promise<Buffer> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new RelayError(
        'RELAY_BODY_TOO_SLOW', `the body did not arrive within ${timeoutMs / 1000} s; send less per request`
      ))
      if (source !== request) source.destroy()
    }, timeoutMs)
  })
  const body = read()
  body.catch(() => {}) // handled below, unless it is late
  try {
    return await Promise.race([body, late])
  } finally {
    clearTimeout(timer)
  }
}

function isHere ({ complete, headers, readableLength }: IncomingMessage): boolean {
  return complete || (readableLength > 0 && readableLength === Number(headers['content-length']))
}

/** A body that has already arrived, as small ones do, together with the headers. */
function readWhole (request: IncomingMessage, { maxBytes }: BodyLimits, lease: BytesLease): Buffer {
  const body = new GrowingBody(maxBytes, lease)
  const bytes = request.read() as Buffer | null // all of it; null: none
  if (bytes !== null) body.add(bytes)
  return body.bytes
}

async function readPlain (request: IncomingMessage, limits: BodyLimits, lease: BytesLease): Promise<Buffer> {
  await undefined // data that came with the headers is parsed after this turn
  if (isHere(request)) return readWhole(request, limits, lease)
  return await beforeDeadline(request, limits, request, () => readChunks(request, limits, lease))
}

async function readChunks (request: IncomingMessage, { maxBytes }: BodyLimits, lease: BytesLease): Promise<Buffer> {
  const body = new GrowingBody(maxBytes, lease)
  // the request must outlive the loop, because it carries the answer
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) body.add(chunk)
  return body.bytes
}

async function inflate (
  request: IncomingMessage, gunzip: Gunzip, { maxBytes }: BodyLimits, lease: BytesLease
): Promise<Buffer> {
  const sent: Sent = { bytes: 0, counted: 0 }
  const feeding = feed(request, gunzip, maxBytes, sent)
  feeding.catch(error => gunzip.destroy(error as Error))
  const body = new GrowingBody(maxBytes, lease)
  try {
    for await (const chunk of gunzip as AsyncIterable<Buffer>) {
      body.add(chunk)
      // of what was inflated, not of all that has arrived: a body of blanks is known by its first part
      if (body.size > INFLATED_FREE_BYTES && body.size > gunzip.bytesWritten * INFLATED_BY_MAX) {
        throw new RelayError('RELAY_BODY_TOO_LARGE',
          `the body inflates to more than ${INFLATED_BY_MAX} times its size; send it uncompressed`)
      }
    }
  } catch (error) {
    if (error instanceof RelayError) throw error
    throw new RelayError(
      'RELAY_REQUEST_INVALID', `the body is not valid gzip: ${(error as Error).message}`, { cause: error }
    )
  }
  if (gunzip.bytesWritten < sent.bytes || !request.readableEnded) {
    throw new RelayError('RELAY_REQUEST_INVALID', 'the body is not valid gzip: data after its end')
  }
  return body.bytes
}

/** The part of a body that has arrived. */
interface Sent {
  bytes: number
  /** with small chunks as CHUNK_BYTES_MIN */
  counted: number
}

async function feed (request: IncomingMessage, gunzip: Gunzip, maxBytes: number, sent: Sent): Promise<void> {
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    if (gunzip.destroyed) return
    sent.bytes += chunk.length
    sent.counted += Math.max(chunk.length, CHUNK_BYTES_MIN)
    if (sent.bytes > maxBytes || sent.counted > maxBytes + CHUNK_BYTES_MIN) throw tooLarge(maxBytes)
    if (!gunzip.write(chunk)) await drained(gunzip)
  }
  gunzip.end()
}

/** Waits until it accepts more, or is closed. */
function drained (gunzip: Gunzip): Promise<void> {
  return new Promise(resolve => {
    const done = () => {
      gunzip.off('drain', done)
      gunzip.off('close', done)
      resolve()
    }
    gunzip.on('drain', done)
    gunzip.on('close', done)
  })
}

/**
 * The received part of a body, copied into one buffer: a kept chunk, even of one byte, holds the memory of the whole
 * network read that it is a slice of.
 */
class GrowingBody {
  size = 0
  readonly #maxBytes: number
  readonly #lease: BytesLease
  #counted = 0
  #chunk: Buffer | undefined
  #buffer: Buffer | undefined

  constructor (maxBytes: number, lease: BytesLease) {
    this.#maxBytes = maxBytes
    this.#lease = lease
  }

  /** @throws RelayError RELAY_BODY_TOO_LARGE, and what the lease throws */
  add (chunk: Buffer): void {
    const counted = Math.max(chunk.length, CHUNK_BYTES_MIN)
    this.#counted += counted
    if (this.size + chunk.length > this.#maxBytes || this.#counted > this.#maxBytes + CHUNK_BYTES_MIN) {
      throw tooLarge(this.#maxBytes)
    }
    this.#lease.take(counted)
    if (this.size === 0) {
      this.#chunk = chunk // nearly all bodies are one chunk
      this.size = chunk.length
      return
    }
    const buffer = this.#buffer ??= this.#grown(this.#chunk!, this.size + chunk.length)
    this.#buffer = this.size + chunk.length > buffer.length ? this.#grown(buffer, this.size + chunk.length) : buffer
    chunk.copy(this.#buffer, this.size)
    this.size += chunk.length
  }

  get bytes (): Buffer {
    return this.#buffer?.subarray(0, this.size) ?? this.#chunk ?? Buffer.alloc(0)
  }

  #grown (from: Buffer, sizeMin: number): Buffer {
    const grown = Buffer.allocUnsafe(Math.min(Math.max(from.length * 2, sizeMin), this.#maxBytes))
    from.copy(grown, 0, 0, this.size)
    return grown
  }
}

function tooLarge (maxBytes: number): RelayError {
  return new RelayError(
    'RELAY_BODY_TOO_LARGE', `the body is larger than ${maxBytes} bytes; split the events over several requests`
  )
}
