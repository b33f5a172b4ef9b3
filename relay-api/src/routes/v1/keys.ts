/** `/api/v1/keys`: API keys, for administrators. A key is shown once, when it is created or rotated. */
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import {
  API_KEY_NAME_UNITS_MAX, createApiKey, findApiKey, isWithin, listApiKeys, revokeApiKey, rotateApiKey, scopes,
  type Grants, type Scope, type StoredApiKey
} from 'relay-access'
import { RelayError, type Database } from 'relay-common'
import { DAY_MS, ID_UNITS_MAX, parseTimestamp } from 'relay-rollups'
import { Type, type Static } from 'typebox'

import { actorOf } from '../../auth/actor.ts'
import { OpenEnum } from '../../open-enum.ts'
import { strictJsonParser } from '../../parameters/strict-json.ts'
import { Name, WITHOUT_CONTROLS_PATTERN } from '../../parameters/selection.ts'
import { problemResponses } from '../../problem.ts'
import { refuseOtherMethods } from '../other-methods.ts'
import type { V1Parts } from './parts.ts'

const GRANTS_MAX = 1_000
const OVERLAP_DEFAULT_S = 60 * 60
const OVERLAP_MAX_S = 30 * 24 * 60 * 60

const ScopeName = Type.Enum([...scopes])
const NullableTime = (description: string) =>
  Type.Unsafe<string | null>({ type: ['string', 'null'], format: 'date-time', description })
const NullableNames = (description: string) =>
  Type.Unsafe<string[] | null>({ type: ['array', 'null'], items: { type: 'string' }, description })

const newKeySchema = Type.Object({
  name: Type.String({
    minLength: 1,
    maxLength: API_KEY_NAME_UNITS_MAX,
    pattern: WITHOUT_CONTROLS_PATTERN,
    description: 'purpose of the key, for people'
  }),
  scopes: Type.Array(ScopeName, { minItems: 1, maxItems: scopes.length, description: 'scopes of the key' }),
  zones: Type.Optional(Type.Array(
    Name, { maxItems: GRANTS_MAX, description: 'zones that the key may use; absent: all' }
  )),
  devicePrefixes: Type.Optional(Type.Array(
    Type.String({ minLength: 1, maxLength: ID_UNITS_MAX, pattern: WITHOUT_CONTROLS_PATTERN }),
    { maxItems: GRANTS_MAX, description: 'prefixes of the device ids that the key may use; absent: all' })),
  expiresAt: Type.Optional(Type.String({ description: 'ISO-8601 with an offset; absent: never' }))
}, { title: 'ApiKeyRequest', additionalProperties: false })

const keySchema = Type.Object({
  id: Type.String(),
  name: Type.String(),
  scopes: Type.Array(OpenEnum(scopes)),
  zones: NullableNames('null: all'),
  devicePrefixes: NullableNames('null: all'),
  createdBy: Type.String(),
  createdAt: Type.String({ format: 'date-time' }),
  expiresAt: NullableTime('null: never'),
  revokedAt: NullableTime('null: not revoked'),
  lastUsedAt: NullableTime('to the minute; null: never'),
  formerSecretUntil: NullableTime('when the secret before the last rotation expires; null: it has expired')
}, { title: 'ApiKey' })

const issuedKeySchema = Type.Object({
  ...keySchema.properties,
  key: Type.String({ description: 'the key; shown only this once' })
}, { title: 'IssuedApiKey' })

const rotationSchema = Type.Object({
  overlapSeconds: Type.Integer({
    default: OVERLAP_DEFAULT_S, minimum: 0, maximum: OVERLAP_MAX_S, description: 'how long the old secret still works'
  })
}, { title: 'ApiKeyRotation', additionalProperties: false })

const params = Type.Object({ id: Type.String({ pattern: '^[0-9A-Za-z]{1,32}$', description: 'id of the key' }) })
const tags = ['keys']
const config = { scope: 'admin' as const }

export function keysRoutes (
  app: FastifyInstance, { config: { API_KEY_ENVIRONMENT: environment }, database }: V1Parts
): void {
  const typed = app.withTypeProvider<TypeBoxTypeProvider>()

  typed.post('/keys', {
    config,
    schema: {
      operationId: 'createKey',
      summary: 'Create a key',
      tags,
      body: newKeySchema,
      response: { 201: issuedKeySchema, ...problemResponses() }
    }
  }, async (request, reply) => {
    const wanted = parseNewKey(request.body, Date.now())
    assertMayGive(request, wanted)
    const { stored, key } = await createApiKey(database, { environment, ...wanted }, actorOf(request))
    return reply.code(201).header('cache-control', 'no-store').send({ ...render(stored, Date.now()), key })
  })

  typed.get('/keys', {
    config,
    schema: {
      operationId: 'listKeys',
      summary: 'List all keys, without their secrets',
      tags,
      response: { 200: Type.Object({ keys: Type.Array(keySchema) }, { title: 'ApiKeyList' }), ...problemResponses() }
    }
  }, async request => {
    const keys = await listApiKeys(database)
    return { keys: keys.filter(it => isWithin(it.grants, request.principal.grants)).map(it => render(it, Date.now())) }
  })
}

/** A plugin of its own: only these routes accept a missing body, whatever its type. */
export async function oneKeyRoutes (
  app: FastifyInstance, { config: { API_KEY_ENVIRONMENT: environment }, database }: V1Parts
): Promise<void> {
  takeMissingBodies(app)
  const typed = app.withTypeProvider<TypeBoxTypeProvider>()
  refuseOtherMethods(app, () => {
    typed.delete('/keys/:id', {
      config,
      schema: {
        operationId: 'revokeKey',
        summary: 'Revoke a key, everywhere within seconds',
        tags,
        params,
        response: { 204: Type.Null(), ...problemResponses(404) }
      }
    }, async (request, reply) => {
      await assertMayChange(database, request, request.params.id)
      await revokeApiKey(database, request.params.id, actorOf(request))
      return reply.code(204).send(null)
    })

    typed.post('/keys/:id/rotate', {
      config,
      schema: {
        operationId: 'rotateKey',
        summary: 'Rotate the secret of a key',
        tags,
        params,
        body: rotationSchema,
        response: { 200: issuedKeySchema, ...problemResponses(404) }
      }
    }, async (request, reply) => {
      await assertMayChange(database, request, request.params.id)
      const overlapMs = request.body.overlapSeconds * 1000
      const { stored, key } = await rotateApiKey(database, environment, request.params.id, overlapMs, actorOf(request))
      return reply.header('cache-control', 'no-store').send({ ...render(stored, Date.now()), key })
    })
  })
}

/**
 * An empty body is an empty object. Clients declare any type for it: `curl -d ''` a form, others JSON. Java's clients
 * of openapi-generator send `null`.
 */
function takeMissingBodies (app: FastifyInstance): void {
  const parseJson = strictJsonParser(app)
  app.removeAllContentTypeParsers()
  app.addContentTypeParser<string>('*', { parseAs: 'string' }, (request, body, done) => {
    if (body === '') done(null, {})
    else if (request.mediaType === 'application/json') parseJson(request, body, done)
    else done(new RelayError('RELAY_MEDIA_TYPE_UNKNOWN', 'Content-Type must be application/json if there is a body'))
  })
  app.addHook('preValidation', async request => { request.body ??= {} })
}

async function assertMayChange (database: Database, request: FastifyRequest, id: string): Promise<void> {
  const stored = await findApiKey(database, id)
  if (stored === undefined) throw new RelayError('RELAY_API_KEY_UNKNOWN', `unknown API key ${id}`)
  assertMayGive(request, stored)
}

interface NewKey {
  readonly name: string
  readonly scopes: readonly Scope[]
  readonly grants: Grants
  readonly expiresAtMs: number | undefined
}

function parseNewKey (body: Static<typeof newKeySchema>, nowMs: number): NewKey {
  const { name, zones, devicePrefixes, expiresAt } = body
  const expiresAtMs = expiresAt === undefined ? undefined : parseTimestamp(expiresAt)
  if (expiresAt !== undefined && !(expiresAtMs! > nowMs && expiresAtMs! < nowMs + EXPIRY_MAX_MS)) {
    throw new RelayError('RELAY_PARAMETER_INVALID',
      'expiresAt must be a time within the next ten years, such as 2030-01-01T00:00:00Z', { parameter: 'expiresAt' })
  }
  const grants = {
    ...(zones === undefined ? {} : { zones }), ...(devicePrefixes === undefined ? {} : { devicePrefixes })
  }
  return { name, scopes: [...new Set(body.scopes)], grants, expiresAtMs }
}

const EXPIRY_MAX_MS = 3_653 * DAY_MS

/** Nobody may give, or revoke, more rights than their own. */
function assertMayGive (
  { principal }: FastifyRequest,
  { scopes, grants }: Pick<StoredApiKey, 'grants'> & { readonly scopes: readonly Scope[] }
): void {
  const missing = scopes.filter(it => !principal.scopes.has(it))
  if (missing.length > 0) {
    throw new RelayError('RELAY_FORBIDDEN', `the key has scopes that you do not have: ${missing.join(', ')}`)
  }
  if (!isWithin(grants, principal.grants)) {
    throw new RelayError('RELAY_FORBIDDEN', 'the key allows zones or devices that you may not see')
  }
}

function render (stored: StoredApiKey, nowMs: number): Static<typeof keySchema> {
  const time = (timeMs: number | undefined) => timeMs === undefined ? null : new Date(timeMs).toISOString()
  const { formerSecretUntilMs } = stored
  return {
    id: stored.keyId,
    name: stored.name,
    scopes: stored.scopes,
    zones: stored.grants.zones === undefined ? null : [...stored.grants.zones],
    devicePrefixes: stored.grants.devicePrefixes === undefined ? null : [...stored.grants.devicePrefixes],
    createdBy: stored.createdBy,
    createdAt: new Date(stored.createdAtMs).toISOString(),
    expiresAt: time(stored.expiresAtMs),
    revokedAt: time(stored.revokedAtMs),
    lastUsedAt: time(stored.lastUsedAtMs),
    formerSecretUntil: formerSecretUntilMs !== undefined && formerSecretUntilMs > nowMs
      ? time(formerSecretUntilMs)
      : null
  }
}
