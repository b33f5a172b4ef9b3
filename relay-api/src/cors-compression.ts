/** CORS and compression of answers. */
import { constants } from 'node:zlib'

import { fastifyAccepts } from '@fastify/accepts'
import { fastifyCompress } from '@fastify/compress'
import { fastifyCors } from '@fastify/cors'
import type { FastifyInstance } from 'fastify'
import { splitList } from 'relay-common'

import type { ApiConfig } from './config.ts'

/** A body that fits into one packet gains nothing. */
const COMPRESSED_MIN_BYTES = 1_400

/** brotli's default (11) is for files that are compressed once; 4 costs as much as gzip and compresses better */
const BROTLI_QUALITY = 4

/** Headers that pages of other origins may read. */
const exposedHeaders = [
  'etag', 'idempotency-replayed', 'link', 'ratelimit-limit', 'ratelimit-remaining', 'ratelimit-reset',
  'relay-degraded', 'relay-stale-since', 'retry-after', 'x-request-id'
]

/** JSON, NDJSON, CSV, documents and pages; never server-sent events, which must not be buffered. */
const compressed =
  /^(?:application\/(?:[\w.+-]+\+)?(?:json|x-ndjson|javascript)|text\/(?:csv|html|css|plain|javascript))\b/

/** Call it before the routes and before authentication: a browser's preflight has no token. */
export async function addCorsAndCompression (app: FastifyInstance, config: ApiConfig): Promise<void> {
  const origins = splitList(config.CORS_ORIGINS)
  if (origins.length > 0) {
    await app.register(fastifyCors, {
      origin: origins.includes('*') ? '*' : origins,
      methods: ['GET', 'HEAD', 'POST', 'DELETE'],
      exposedHeaders,
      maxAge: 600
    })
  }
  await app.register(fastifyAccepts) // request.accepts()
  await app.register(fastifyCompress, {
    threshold: COMPRESSED_MIN_BYTES,
    customTypes: compressed,
    encodings: ['br', 'gzip'],
    brotliOptions: { params: { [constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY } },
    globalDecompression: false // each route with a body limits its own decompression
  })
}
