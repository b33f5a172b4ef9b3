/** Reads the body of a request, inflated where it is gzip, and never more of it than is allowed. */
import type { IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'

import { RelayError } from 'relay-common'

import type { Lease } from './in-flight.ts'
import type { Framing } from './items.ts'

/** Media types by what they are called; the first of each is the registered one, or the one in most use. */
export const mediaTypes: Readonly<Record<Framing, readonly string[]>> = {
  json: ['application/json'],
  ndjson: ['application/x-ndjson', 'application/ndjson', 'application/jsonl']
}

/** @throws RelayError RELAY_MEDIA_TYPE_UNKNOWN */
export function framingOf (contentType: string | undefined): Framing {
  const [type, ...parameters] = (contentType ?? '').toLowerCase().split(';').map(it => it.trim())
  const framing = (['json', 'ndjson'] as const).find(it => mediaTypes[it].includes(type))
  if (!framing) {
    throw new RelayError('RELAY_MEDIA_TYPE_UNKNOWN',
      `Content-Type must be ${mediaTypes.json[0]} or ${mediaTypes.ndjson[0]}, and is ${type || 'missing'}`)
  }
  const charset = parameters.find(it => it.startsWith('charset='))
  if (charset && !/^charset="?utf-?8"?$/.test(charset)) {
    throw new RelayError('RELAY_MEDIA_TYPE_UNKNOWN', 'the charset must be utf-8')
  }
  return framing
}

/**
 * @param maxBytes of the body as it is sent, and of what it inflates to
 * @param lease where memory is taken before it is used
 * @throws RelayError RELAY_MEDIA_TYPE_UNKNOWN for another encoding, RELAY_BODY_TOO_LARGE, RELAY_INGEST_BUSY,
 *   RELAY_REQUEST_INVALID for what is no gzip, or not all of it
 */
export async function readBody (request: IncomingMessage, maxBytes: number, lease: Lease): Promise<Buffer> {
  const { 'content-encoding': encoding = 'identity', 'content-length': length = '0' } = request.headers
  if (Number(length) > maxBytes) throw tooLarge(maxBytes)
  switch (encoding.toLowerCase()) {
    case 'identity':
      return await collect(request, maxBytes, lease)
    case 'gzip': case 'x-gzip':
      return await inflate(request, maxBytes, lease)
    default:
      throw new RelayError('RELAY_MEDIA_TYPE_UNKNOWN', 'Content-Encoding must be gzip, or not there')
  }
}

async function inflate (request: IncomingMessage, maxBytes: number, lease: Lease): Promise<Buffer> {
  const gunzip = createGunzip()
  const ended = () => gunzip.destroy(new Error('the request ended early'))
  request.once('error', ended)
  request.once('aborted', ended)
  try {
    return await collect(request.pipe(gunzip), maxBytes, lease)
  } catch (error) {
    if (error instanceof RelayError) throw error
    throw new RelayError('RELAY_REQUEST_INVALID', `the body is no gzip: ${(error as Error).message}`, { cause: error })
  } finally {
    request.off('error', ended)
    request.off('aborted', ended)
    request.unpipe(gunzip)
    gunzip.destroy()
  }
}

async function collect (source: Readable, maxBytes: number, lease: Lease): Promise<Buffer> {
  const chunks: Buffer[] = []
  let sizeBytes = 0
  // the request must outlive the loop: it is what the answer goes out on
  for await (const chunk of source.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length
    if (sizeBytes > maxBytes) throw tooLarge(maxBytes)
    lease.take(chunk.length)
    chunks.push(chunk)
  }
  return chunks.length === 1 ? chunks[0] : Buffer.concat(chunks)
}

function tooLarge (maxBytes: number): RelayError {
  return new RelayError('RELAY_BODY_TOO_LARGE', `the body is larger than ${maxBytes} bytes; send the events in several`)
}
