/**
 * The dashboard: `/` and its views are one page, which anybody may have. What it shows it asks the API for, with the token
 * of whoever looks. Its files are those that relay-dashboard ships, built. They are read at the start, all at once, so that
 * a page and its script are of one version.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import type { FastifyInstance } from 'fastify'
import { RelayError, splitList, WELL_KNOWN_TOKEN } from 'relay-common'

import type { AccessConfig } from './auth/config.ts'
import { prepareAnswer } from './prepared-answer.ts'

const folder = fileURLToPath(new URL('../../relay-dashboard/dist', import.meta.url))

const mediaTypes = {
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml'
} as const
type Extension = keyof typeof mediaTypes

/** Names carry a hash of what is in the file. */
const FILE_CACHE = 'public, max-age=31536000, immutable'
/** Asked again each time, by its ETag: it says which files belong together. */
const PAGE_CACHE = 'public, no-cache'

const policy =
  "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; connect-src 'self'; " +
  "script-src 'self'; style-src 'self'; img-src 'self'; require-trusted-types-for 'script'; trusted-types 'none'"

/** Addresses of views; the page reads its own. */
const views = ['/', '/explore', '/live', '/device', '/operations']

/** How the page says which token it may sign in with by itself. */
const LOCAL_TOKEN = '<meta name="relay-local-token" content="">'

export function dashboardRoutes (app: FastifyInstance, config: AccessConfig): void {
  const hidden = { schema: { hide: true } }
  const html = pageFor(config)
  const page = prepareAnswer(() => html, {
    mediaType: 'text/html; charset=utf-8',
    cacheControl: PAGE_CACHE,
    headers: { 'content-security-policy': policy }
  })
  for (const view of views) app.get(view, hidden, page)
  const answers = new Map(
    readdirSync(join(folder, 'assets')).map(name => {
      const bytes = readFileSync(join(folder, 'assets', name))
      const mediaType = mediaTypes[name.slice(name.lastIndexOf('.')) as Extension]
      return [name, prepareAnswer(() => bytes, { mediaType, cacheControl: FILE_CACHE })]
    })
  )
  app.get<{ Params: { name: string } }>('/assets/:name', hidden, (request, reply) => {
    const answer = answers.get(request.params.name)
    if (!answer) throw new RelayError('RELAY_ROUTE_UNKNOWN', 'there is nothing at this address')
    return answer(request, reply)
  })
}

/** Where the token is taken that everybody knows, the page signs in with it: to say it again gives nothing away. */
function pageFor ({ API_TOKENS }: AccessConfig): string {
  const page = readFileSync(join(folder, 'index.html'), 'utf8')
  if (!splitList(API_TOKENS).includes(WELL_KNOWN_TOKEN)) return page
  return page.replace(LOCAL_TOKEN, LOCAL_TOKEN.replace('content=""', `content="${WELL_KNOWN_TOKEN}"`))
}
