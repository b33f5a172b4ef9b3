/** Composes who gets in: limits of addresses, then the kinds of credentials, then limits of principals. */
import type { FastifyInstance } from 'fastify'
import type { Database, Logger } from 'relay-common'

import { identifyAccessToken } from './access-token.ts'
import { openApiKeys } from './api-key.ts'
import { authenticate, createLogIn, type LogIn } from './authenticate.ts'
import { accessTokenSettings, tokensOf, type AccessConfig } from './config.ts'
import { identifyConfiguredToken } from './configured-token.ts'
import { openLimits } from './limits.ts'

/**
 * Guards an app, and all that is added to it later.
 * @returns the same for those who don't come by HTTP
 * @throws RelayError RELAY_CONFIG_INVALID
 */
export async function guard (app: FastifyInstance, config: AccessConfig, database: Database, log: Logger): Promise<LogIn> {
  const tokens = tokensOf(config)
  const accessTokens = accessTokenSettings(config)
  if (tokens.length === 0 && !accessTokens) log.warn('API_TOKENS is empty and there is no OIDC_ISSUER: API keys alone get in')
  const keys = openApiKeys(database, config.API_KEY_ENVIRONMENT)
  app.addHook('onClose', () => keys[Symbol.asyncDispose]())

  const limits = await openLimits(app, {
    perAddressMax: config.RATE_LIMIT_ADDRESS_MAX,
    perPrincipalMax: config.RATE_LIMIT_PRINCIPAL_MAX,
    failedLoginsMax: config.RATE_LIMIT_FAILED_LOGINS_MAX,
    windowMs: config.RATE_LIMIT_WINDOW_MS,
    ...(config.RATE_LIMIT_STORE === 'postgres' ? { database } : {})
  })
  app.addHook('onRequest', limits.byAddress)
  const identifiers = [
    identifyConfiguredToken(tokens),
    keys.identify,
    ...(accessTokens ? [identifyAccessToken(accessTokens)] : [])
  ]
  const audit = log.child({ audit: true })
  authenticate(app, identifiers, limits.failedLogins, audit)
  limits.byPrincipal(app)
  return createLogIn(identifiers, limits.failedLogins, audit)
}
