/**
 * The OpenAPI document, generated from the schemas that check requests and write answers: `/openapi.json` for programs,
 * `/docs` for people. Both are open, like the source code. A route without a schema is not included.
 */
import { readFileSync } from 'node:fs'

import { fastifySwagger } from '@fastify/swagger'
import type { FastifyInstance, FastifySchema } from 'fastify'
import type { TObject } from 'typebox'

import type { AccessConfig } from './auth/config.ts'
import { createOpenLimit } from './auth/rate-limits.ts'
import { dashboardRoutes } from './dashboard-pages.ts'
import { docsRoutes } from './docs-pages.ts'
import { withComponents } from './openapi-components.ts'
import { prepareAnswer } from './prepared-answer.ts'
import { refuseOtherMethods } from './routes/other-methods.ts'

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }

/** Call it before the routes that should be in the document. */
export async function openApiRoutes (app: FastifyInstance, config: AccessConfig): Promise<void> {
  await app.register(fastifySwagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Relay',
        version,
        description: 'Device telemetry: aggregates over any time range, devices, live changes, and ingest.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' }
      },
      servers: [{ url: '/' }],
      components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } } },
      security: [{ bearer: [] }],
      tags: [
        { name: 'aggregates', description: 'statistics over time ranges' },
        { name: 'devices', description: 'devices, zones and types, and their newest readings' },
        { name: 'ingest', description: 'sending events and streaming changes' },
        { name: 'keys', description: 'API keys and their permissions' },
        { name: 'operations', description: 'for administrators: status of the site, and dead letters' },
        { name: 'events', description: 'the first version: one rollup of one range' }
      ]
    },
    transform: ({ schema, url }) => ({ schema: schema ? withOptionalDefaults(schema) : { hide: true }, url }),
    transformObject: it => 'openapiObject' in it ? withComponents(it.openapiObject) : it.swaggerObject,
    exposeHeadRoutes: false
  })
  await app.register(async open => {
    open.addHook('onRequest', createOpenLimit(config.RATE_LIMIT_OPEN_MAX, config.RATE_LIMIT_WINDOW_MS))
    refuseOtherMethods(open, () => {
      dashboardRoutes(open, config)
      docsRoutes(open, version)
      open.get('/openapi.json', { schema: { hide: true } }, prepareAnswer(() => JSON.stringify(app.swagger()), {
        mediaType: 'application/json; charset=utf-8', cacheControl: 'public, no-cache' // revalidated with its ETag
      }))
    })
  })
}

/** Properties with a default are optional for clients, although the schema requires them after the check. */
function withOptionalDefaults (schema: FastifySchema): FastifySchema {
  const relaxed = { ...schema }
  for (const part of ['querystring', 'body'] as const) {
    const fields = schema[part] as TObject | undefined
    if (!fields?.required) continue
    const required = fields.required.filter(name => !('default' in fields.properties[name]))
    relaxed[part] = { ...fields, required }
  }
  return relaxed
}
