import { KEY_ENVIRONMENT_PATTERN, WELL_KNOWN_TOKEN } from 'relay-access'
import { RelayError, splitList } from 'relay-common'
import { Type, type Static } from 'typebox'

import { asymmetricAlgorithms, type AccessTokenSettings } from './access-token.ts'

/** Authentication and its limits. */
export const accessSettings = {
  API_TOKENS: Type.String({
    default: '', description: 'bearer tokens with full access, separated by commas'
  }),
  ALLOW_WELL_KNOWN_TOKEN: Type.Boolean({
    default: false, description: 'accept the well-known token of the local stack although NODE_ENV is production'
  }),
  API_KEY_ENVIRONMENT: Type.String({
    default: 'local',
    pattern: KEY_ENVIRONMENT_PATTERN,
    description: 'the part of an API key that names its site; keys of other sites are refused'
  }),
  OIDC_ISSUER: Type.Optional(Type.String({
    description: 'issuer URL of the OpenID provider, exactly as in its access tokens; not set: access tokens ' +
      'are refused'
  })),
  OIDC_DASHBOARD_CLIENT: Type.Optional(Type.String({
    description: 'client id for the login to the dashboard at the provider: authorization code with PKCE, no secret, ' +
      'redirect to ' +
      '/callback; not set: login with a token'
  })),
  OIDC_AUDIENCE: Type.String({ default: 'relay', description: 'required audience of access tokens' }),
  OIDC_ALGORITHMS: Type.String({
    default: 'RS256,PS256,ES256,EdDSA',
    description: 'accepted signature algorithms, separated by commas; asymmetric ones only'
  }),
  OIDC_TOKEN_TYPES: Type.String({
    default: 'at+jwt',
    description: 'accepted token types, separated by commas; some providers use JWT for access tokens'
  }),
  OIDC_CLOCK_SKEW_S: Type.Integer({
    default: 30, minimum: 0, maximum: 300, description: 'tolerated clock skew of the provider'
  }),
  OIDC_ALLOW_HTTP: Type.Boolean({
    default: false, description: 'allow a provider on another machine without TLS'
  }),
  RATE_LIMIT_ADDRESS_MAX: Type.Integer({
    default: 6_000,
    minimum: 1,
    description: 'most requests per window from one address without a known token; requests of known callers do ' +
      'not count'
  }),
  RATE_LIMIT_OPEN_MAX: Type.Integer({
    default: 600,
    minimum: 1,
    description: 'most requests per window from one address for public pages (the dashboard, `/docs`, `/openapi.json`)'
  }),
  RATE_LIMIT_PRINCIPAL_MAX: Type.Integer({
    default: 90_000,
    minimum: 1,
    description: 'most requests per window of one caller; a gateway that sends one event per second for each of ' +
      '1,000 devices makes 60,000'
  }),
  RATE_LIMIT_FAILED_LOGINS_MAX: Type.Integer({
    default: 30,
    minimum: 1,
    description: 'failed logins per window after which unknown tokens of guessable length from that address are ' +
      'refused unchecked until the window ends'
  }),
  RATE_LIMIT_WINDOW_MS: Type.Integer({
    default: 60_000, minimum: 1_000, description: 'length of the rate limit window'
  }),
  RATE_LIMIT_STORE: Type.String({
    default: 'memory',
    enum: ['memory', 'postgres'],
    description: 'where requests of callers and failed logins are counted; postgres: all API processes count together'
  }),
  TRUST_PROXY: Type.String({
    default: '',
    description: 'addresses or networks of trusted proxies, whose X-Forwarded-For is used, separated by commas'
  })
}

export type AccessConfig = Readonly<Static<ReturnType<typeof Type.Object<typeof accessSettings>>>>

/** @throws RelayError RELAY_CONFIG_INVALID for tokens that can't be sent, or are well known */
export function tokensOf (config: AccessConfig, environment: NodeJS.ProcessEnv = process.env): string[] {
  const tokens = splitList(config.API_TOKENS)
  if (tokens.some(it => !/^[\x21-\x7e]+$/.test(it))) {
    throw new RelayError(
      'RELAY_CONFIG_INVALID', 'API_TOKENS has a token that a header can\'t carry; use ASCII letters, digits and signs'
    )
  }
  if (environment.NODE_ENV === 'production' && tokens.includes(WELL_KNOWN_TOKEN) && !config.ALLOW_WELL_KNOWN_TOKEN) {
    throw new RelayError('RELAY_CONFIG_INVALID',
      `API_TOKENS is ${WELL_KNOWN_TOKEN}, which is published in Relay's documentation and gives everybody full access. Create API ` +
      'keys instead (relay keys create), set your own token, or set ALLOW_WELL_KNOWN_TOKEN=true where nobody else ' +
        'has network access')
  }
  return tokens
}

/** @throws RelayError RELAY_CONFIG_INVALID for an insecure setup of the provider */
export function accessTokenSettings (config: AccessConfig): AccessTokenSettings | undefined {
  const { OIDC_ISSUER: issuer } = config
  if (issuer === undefined) return undefined
  const url = URL.parse(issuer)
  if (!url || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw new RelayError(
      'RELAY_CONFIG_INVALID', 'OIDC_ISSUER must be a URL such as https://login.example.com/realms/relay'
    )
  }
  const isLocal = ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname)
  if (url.protocol === 'http:' && !isLocal && !config.OIDC_ALLOW_HTTP) {
    throw new RelayError('RELAY_CONFIG_INVALID',
      'OIDC_ISSUER has no TLS, so its keys could be replaced on the way: use its https address, or set ' +
        'OIDC_ALLOW_HTTP=true')
  }
  const algorithms = splitList(config.OIDC_ALGORITHMS)
  const impossible = algorithms.filter(it => !asymmetricAlgorithms.has(it))
  if (impossible.length > 0 || algorithms.length === 0) {
    throw new RelayError('RELAY_CONFIG_INVALID',
      `OIDC_ALGORITHMS must be of ${[...asymmetricAlgorithms].join(', ')}, got ${impossible.join(', ') || 'nothing'}`)
  }
  const types = splitList(config.OIDC_TOKEN_TYPES).map(it => it.toLowerCase())
  return { issuer, audience: config.OIDC_AUDIENCE, algorithms, types, clockSkewS: config.OIDC_CLOCK_SKEW_S }
}
