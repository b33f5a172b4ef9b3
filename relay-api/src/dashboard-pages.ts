/**
 * The dashboard: `/` and its views are one open page. It queries the API with the user's token. Its files are built and
 * shipped by relay-dashboard. All are read at the start, so that page and script have the same version.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import type { FastifyInstance } from 'fastify'
import { WELL_KNOWN_TOKEN } from 'relay-access'
import { RelayError, splitList } from 'relay-common'

import type { AccessConfig } from './auth/config.ts'
import { prepareAnswer } from './prepared-answer.ts'
import { readRunbookPage } from './runbook-page.ts'

const folder = fileURLToPath(new URL('../../relay-dashboard/dist', import.meta.url))

const mediaTypes = {
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml'
} as const
type Extension = keyof typeof mediaTypes

/** Names contain a hash of the content. */
const FILE_CACHE = 'public, max-age=31536000, immutable'
/** Revalidated each time by its ETag, because it names the files that belong together. */
const PAGE_CACHE = 'public, no-cache'

/** The page may connect to its own origin, and to the provider where people sign in. */
function policyFor ({ OIDC_ISSUER: issuer, OIDC_DASHBOARD_CLIENT: client }: AccessConfig): string {
  // accessTokenSettings checks whether it is a valid URL
  const provider = client === undefined ? '' : URL.parse(issuer ?? '')?.origin ?? ''
  return "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; script-src 'self'; " +
    `style-src 'self'; img-src 'self'; connect-src 'self' ${provider}; ` +
    "require-trusted-types-for 'script'; trusted-types 'none'"
}

/** URLs of views; the page reads its own. */
const views = ['/', '/explore', '/live', '/device', '/operations', '/callback']

/** Tells the page which token it may sign in with. */
const LOCAL_TOKEN = '<meta name="relay-local-token" content="">'
/** Tells the page where people sign in, if not by token. */
const PROVIDER = '<meta name="relay-oidc" content="">'

export function dashboardRoutes (app: FastifyInstance, config: AccessConfig): void {
  const hidden = { schema: { hide: true } }
  const html = pageFor(config)
  const page = prepareAnswer(() => html, {
    mediaType: 'text/html; charset=utf-8',
    cacheControl: PAGE_CACHE,
    headers: { 'content-security-policy': policyFor(config) }
  })
  for (const view of views) app.get(view, hidden, page)
  const names = readdirSync(join(folder, 'assets'))
  const styleSheet = `/assets/${names.find(it => it.endsWith('.css'))}`
  app.get('/runbook', hidden, prepareAnswer(() => readRunbookPage(styleSheet), {
    mediaType: 'text/html; charset=utf-8',
    cacheControl: PAGE_CACHE,
    headers: { 'content-security-policy': policyFor(config) }
  }))
  const answers = new Map(
    names.map(name => {
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

/** If the well-known token is accepted, the page signs in with it; that reveals nothing. */
function pageFor ({ API_TOKENS, OIDC_ISSUER: issuer, OIDC_DASHBOARD_CLIENT: clientId }: AccessConfig): string {
  const page = readFileSync(join(folder, 'index.html'), 'utf8')
  const token = splitList(API_TOKENS).includes(WELL_KNOWN_TOKEN) ? WELL_KNOWN_TOKEN : ''
  const provider = issuer !== undefined && clientId !== undefined ? JSON.stringify({ issuer, clientId }) : ''
  return page.replace(LOCAL_TOKEN, () => filled(LOCAL_TOKEN, token)).replace(PROVIDER, () => filled(PROVIDER, provider))
}

/** In HTML these four could end the attribute, or start a character reference. */
function filled (meta: string, content: string): string {
  const escaped = content.replace(/[&"<>]/g, it => `&#${it.charCodeAt(0)};`)
  return meta.replace('content=""', () => `content="${escaped}"`)
}
