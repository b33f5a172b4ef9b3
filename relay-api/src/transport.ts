/** How answers travel: compressed where that pays, and to pages of other origins where config lets them. */
import { constants } from 'node:zlib'

import { fastifyAccepts } from '@fastify/accepts'
import { fastifyCompress } from '@fastify/compress'
import { fastifyCors } from '@fastify/cors'
import type { FastifyInstance } from 'fastify'
import { splitList } from 'relay-common'

import type { ApiConfig } from './config.ts'

/** Less than a packet or so gains nothing. */
const COMPRESSED_MIN_BYTES = 1_400

/** brotli's default (11) is made for files that are compressed once; 4 costs what gzip does, and ends smaller */
const BROTLI_QUALITY = 4

/** What pages of other origins may read of an answer besides its body. */
const exposedHeaders = [
  'etag', 'idempotency-replayed', 'link', 'ratelimit-limit', 'ratelimit-remaining', 'ratelimit-reset',
  'relay-degraded', 'relay-stale-since', 'retry-after', 'x-request-id'
]

/** JSON, NDJSON, CSV, documents and pages; never server-sent events, which must not wait in a buffer. */
const compressed =
  /^(?:application\/(?:[\w.+-]+\+)?(?:json|x-ndjson|javascript)|text\/(?:csv|html|css|plain|javascript))\b/

/** Must come before the routes, and before whatever asks for a token: a browser's preflight has none. */
export async function transport (app: FastifyInstance, config: ApiConfig): Promise<void> {
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
    globalDecompression: false // a route that takes bodies says itself how much of one it inflates
  })
}
