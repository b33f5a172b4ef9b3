/**
 * `/docs`: the OpenAPI document for people, by Swagger UI. The files come from its package, and each is prepared once.
 */
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

import type { FastifyInstance } from 'fastify'
import { RelayError } from 'relay-common'

import { prepareAnswer } from './prepared-answer.ts'

const folder = join(dirname(createRequire(import.meta.url).resolve('@fastify/swagger-ui/package.json')), 'static')

const mediaTypes = {
  '.css': 'text/css; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.png': 'image/png'
} as const
type Extension = keyof typeof mediaTypes

const files = [
  'swagger-ui.css', 'index.css', 'swagger-ui-bundle.js', 'swagger-ui-standalone-preset.js', 'favicon-16x16.png',
  'favicon-32x32.png'
]

/** Their URLs contain the version of Relay. */
const FILE_CACHE = 'public, max-age=31536000, immutable'
const PAGE_CACHE = 'public, max-age=300'

/** Swagger UI sets styles on its elements, and its icons are in its style sheet. */
const policy = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; connect-src 'self'; " +
  "script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:"

const pageOf = (version: string) => `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="UTF-8">
<title>Relay</title>
<link rel="stylesheet" href="/docs/static/swagger-ui.css?${version}">
<link rel="stylesheet" href="/docs/static/index.css?${version}">
<link rel="icon" type="image/png" href="/docs/static/favicon-32x32.png?${version}" sizes="32x32">
<link rel="icon" type="image/png" href="/docs/static/favicon-16x16.png?${version}" sizes="16x16">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/docs/static/swagger-ui-bundle.js?${version}"></script>
<script src="/docs/static/swagger-ui-standalone-preset.js?${version}"></script>
<script src="/docs/static/start.js?${version}"></script>
</body>
</html>
`

const startScript = `window.onload = () => {
  SwaggerUIBundle({
    url: '/openapi.json',
    dom_id: '#swagger-ui',
    deepLinking: true,
    presets: [SwaggerUIBundle.presets.apis, SwaggerUIStandalonePreset],
    layout: 'StandaloneLayout',
    validatorUrl: null
  })
}
`

/** @param version of Relay */
export function docsRoutes (app: FastifyInstance, version: string): void {
  const hidden = { schema: { hide: true } }
  const page = prepareAnswer(() => pageOf(version), {
    mediaType: 'text/html; charset=utf-8', cacheControl: PAGE_CACHE, headers: { 'content-security-policy': policy }
  })
  app.get('/docs', hidden, page)
  app.get('/docs/', hidden, page)
  const answers = new Map(files.map(name => [name, prepareAnswer(() => readFile(join(folder, name)), {
    mediaType: mediaTypes[name.slice(name.lastIndexOf('.')) as Extension], cacheControl: FILE_CACHE
  })]))
  answers.set('start.js', prepareAnswer(() => startScript, { mediaType: mediaTypes['.js'], cacheControl: FILE_CACHE }))
  app.get<{ Params: { name: string } }>('/docs/static/:name', hidden, (request, reply) => {
    const answer = answers.get(request.params.name)
    if (!answer) throw new RelayError('RELAY_ROUTE_UNKNOWN', 'no route has this path')
    return answer(request, reply)
  })
}
