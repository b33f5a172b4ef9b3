/** Composes authentication: the kinds of credentials, after limits on unknown callers, then limits on principals. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Database, Logger } from 'relay-common'

import { identifyAccessToken } from './access-token.ts'
import { openApiKeys } from './api-key.ts'
import { createRefusalLog } from './refusal-log.ts'
import { authenticate, createLogIn, type LogIn } from './authenticate.ts'
import { accessTokenSettings, tokensOf, type AccessConfig } from './config.ts'
import { UNGUESSABLE_CHARACTERS_MIN, identifyConfiguredToken } from './configured-token.ts'
import { createGate } from './gate.ts'
import type { Identifier } from './principal.ts'
import { openLimits } from './rate-limits.ts'

/**
 * Guards an app, and everything added to it later.
 * @param known called with each request of a known caller
 * @param more kinds of credentials
 * @returns the same for protocols other than HTTP
 * @throws RelayError RELAY_CONFIG_INVALID
 */
export async function guard (
  app: FastifyInstance, config: AccessConfig, database: Database, log: Logger,
  known: (request: FastifyRequest, reply: FastifyReply) => void = () => {}, more: readonly Identifier[] = []
): Promise<LogIn> {
  const tokens = tokensOf(config)
  const accessTokens = accessTokenSettings(config)
  if (tokens.length === 0 && !accessTokens) {
    log.warn('API_TOKENS and OIDC_ISSUER are not set: only API keys are accepted')
  }
  if (tokens.some(it => it.length < UNGUESSABLE_CHARACTERS_MIN)) {
    log.warn(
      `API_TOKENS has a token shorter than ${UNGUESSABLE_CHARACTERS_MIN} characters, which can be guessed; use a longer one`
    )
  }
  const keys = openApiKeys(database, config.API_KEY_ENVIRONMENT)
  app.addHook('onClose', () => keys[Symbol.asyncDispose]())

  const limits = openLimits({
    strangersMax: config.RATE_LIMIT_ADDRESS_MAX,
    perPrincipalMax: config.RATE_LIMIT_PRINCIPAL_MAX,
    failedLoginsMax: config.RATE_LIMIT_FAILED_LOGINS_MAX,
    windowMs: config.RATE_LIMIT_WINDOW_MS,
    ...(config.RATE_LIMIT_STORE === 'postgres' ? { database } : {})
  })
  const identifiers = [
    identifyConfiguredToken(tokens),
    keys,
    ...(accessTokens ? [identifyAccessToken(accessTokens)] : []),
    ...more
  ]
  const logRefusal = createRefusalLog(log.child({ audit: true }))
  const gate = createGate(identifiers, limits.strangers)
  authenticate(app, gate, logRefusal)
  app.addHook('onRequest', (request, reply, done) => {
    known(request, reply)
    done()
  })
  limits.byPrincipal(app)
  return createLogIn(gate, logRefusal)
}
