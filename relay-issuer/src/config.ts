import { programSettings, readConfig, RelayError } from 'relay-common'
import { Type, type Static } from 'typebox'

export const issuerSettings = Type.Object({
  ...programSettings,
  ISSUER_PORT: Type.Integer({
    default: 8083, minimum: 0, maximum: 65535, description: 'port of the development issuer; 0: any free port'
  }),
  ISSUER_KEYS_FILE: Type.Optional(Type.String({
    description: 'file of its keys, so that tokens survive a restart; not set: new keys at each start'
  })),
  ISSUER_CLIENT_SECRET: Type.String({ default: 'local-secret', description: 'secret of the client relay-service' }),
  ISSUER_CORS_ORIGINS: Type.String({
    default: '', description: 'allowed CORS origins, separated by commas; empty: same origin only'
  }),
  OIDC_AUDIENCE: Type.String({ default: 'relay', description: 'audience of the access tokens' })
})

export type IssuerConfig = Readonly<Static<typeof issuerSettings>>

/** @throws RelayError RELAY_CONFIG_INVALID, also in production: this issuer checks no password */
export function readIssuerConfig (environment: NodeJS.ProcessEnv = process.env): IssuerConfig {
  if (environment.NODE_ENV === 'production') {
    throw new RelayError('RELAY_CONFIG_INVALID',
      'the development issuer requires no passwords, so it does not start if NODE_ENV is production; ' +
      'use an OpenID provider such as Keycloak, and set it in OIDC_ISSUER')
  }
  return readConfig(issuerSettings, environment)
}
