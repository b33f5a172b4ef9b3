/**
 * Answers that are the same for everybody: rendered, compressed and tagged once, on first use. So a flood of requests
 * only costs sending bytes.
 */
import { createHash } from 'node:crypto'
import { promisify } from 'node:util'
import { brotliCompress, constants, gzip } from 'node:zlib'

import type { FastifyReply, FastifyRequest } from 'fastify'

import { isTagKnown } from './caching.ts'

const compressBrotli = promisify(brotliCompress)
const compressGzip = promisify(gzip)

/** Of brotli's 0 to 11: higher values take seconds for a large script, and gain a few percent. */
const BROTLI_QUALITY = 9
/** Less than about a packet gains nothing. */
const COMPRESSED_MIN_BYTES = 1_400

export interface PreparedSettings {
  readonly mediaType: string
  readonly cacheControl: string
  readonly headers?: Readonly<Record<string, string>>
}

interface Version {
  readonly body: Buffer
  readonly tag: string
}

/** @param make renders the body; called once @returns a handler */
export function prepareAnswer (make: () => Buffer | string | Promise<Buffer | string>, settings: PreparedSettings) {
  let versions: Promise<ReadonlyMap<string, Version>> | undefined
  return async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const made = await (versions ??= prepare(make).catch(error => {
      versions = undefined
      throw error
    }))
    const encoding = request.headers['accept-encoding'] === undefined
      ? 'identity'
      : ['br', 'gzip'].find(it => made.has(it) && request.accepts().encoding([it, 'identity']) === it) ?? 'identity'
    const { body, tag } = made.get(encoding)!
    reply.headers({ ...settings.headers, 'cache-control': settings.cacheControl, etag: tag, vary: 'accept-encoding' })
    if (isTagKnown(request, tag)) return reply.code(304).send()
    if (encoding !== 'identity') reply.header('content-encoding', encoding)
    return reply.type(settings.mediaType).send(body)
  }
}

async function prepare (make: () => Buffer | string | Promise<Buffer | string>): Promise<ReadonlyMap<string, Version>> {
  const body = Buffer.from(await make())
  const version = (bytes: Buffer): Version =>
    ({ body: bytes, tag: `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"` })
  const versions = new Map([['identity', version(body)]])
  if (body.length < COMPRESSED_MIN_BYTES) return versions
  const [brotli, zipped] = await Promise.all([
    compressBrotli(
      body,
      { params: { [constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY, [constants.BROTLI_PARAM_SIZE_HINT]: body.length } }
    ),
    compressGzip(body, { level: constants.Z_BEST_COMPRESSION })
  ])
  return versions.set('br', version(brotli)).set('gzip', version(zipped))
}
