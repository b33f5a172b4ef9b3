import { KEY_ENVIRONMENT_PATTERN, RelayError, splitList, WELL_KNOWN_TOKEN } from 'relay-common'
import { Type, type Static } from 'typebox'

import { asymmetricAlgorithms, type AccessTokenSettings } from './access-token.ts'

/** Who gets in, and how often. */
export const accessSettings = {
  API_TOKENS: Type.String({
    default: '', description: 'bearer tokens that may do everything, commas between them'
  }),
  ALLOW_WELL_KNOWN_TOKEN: Type.Boolean({
    default: false, description: 'take the token of the local stack, which everybody knows, where NODE_ENV is production'
  }),
  API_KEY_ENVIRONMENT: Type.String({
    default: 'local', pattern: KEY_ENVIRONMENT_PATTERN, description: 'the part of an API key that names its site; keys of others are refused'
  }),
  OIDC_ISSUER: Type.Optional(Type.String({
    description: 'address of an OpenID provider whose access tokens are taken, as it stands in them; none: none are'
  })),
  OIDC_DASHBOARD_CLIENT: Type.Optional(Type.String({
    description: 'client of the provider by which people sign in to the dashboard: authorization code with PKCE, no secret, called back at /callback; none: they sign in by token'
  })),
  OIDC_AUDIENCE: Type.String({ default: 'relay', description: 'audience that access tokens must be for' }),
  OIDC_ALGORITHMS: Type.String({
    default: 'RS256,PS256,ES256,EdDSA', description: 'signatures that are taken, commas between them; asymmetric ones alone can be'
  }),
  OIDC_TOKEN_TYPES: Type.String({
    default: 'at+jwt', description: 'types of token that are taken, commas between them; some providers call an access token JWT'
  }),
  OIDC_CLOCK_SKEW_S: Type.Integer({
    default: 30, minimum: 0, maximum: 300, description: 'how far the clock of the provider may be off'
  }),
  OIDC_ALLOW_HTTP: Type.Boolean({
    default: false, description: 'let the provider be asked without TLS, from elsewhere than this machine'
  }),
  RATE_LIMIT_ADDRESS_MAX: Type.Integer({
    default: 6_000,
    minimum: 1,
    description: 'requests without a token that is known yet that one address may make in a window; callers that are known do not count'
  }),
  RATE_LIMIT_OPEN_MAX: Type.Integer({
    default: 600, minimum: 1, description: 'requests for what is open to everybody (`/docs`, `/openapi.json`) that one address may make in a window'
  }),
  RATE_LIMIT_PRINCIPAL_MAX: Type.Integer({
    default: 90_000,
    minimum: 1,
    description: 'requests that one caller may make in a window; a gateway of 1,000 devices that sends each event by itself, once a second, makes 60,000'
  }),
  RATE_LIMIT_FAILED_LOGINS_MAX: Type.Integer({
    default: 30,
    minimum: 1,
    description: 'tokens that are not accepted after which further unknown ones of that address are not looked at for the rest of the window, if they could be guessed'
  }),
  RATE_LIMIT_WINDOW_MS: Type.Integer({ default: 60_000, minimum: 1_000, description: 'length of a window' }),
  RATE_LIMIT_STORE: Type.String({
    default: 'memory', enum: ['memory', 'postgres'], description: 'where requests of callers and failed logins are counted; postgres: all API processes count together'
  }),
  TRUST_PROXY: Type.String({
    default: '', description: 'addresses or networks of proxies whose X-Forwarded-For is believed, commas between them'
  })
}

export type AccessConfig = Readonly<Static<ReturnType<typeof Type.Object<typeof accessSettings>>>>

/** @throws RelayError RELAY_CONFIG_INVALID for tokens that can't be sent, or that everybody knows */
export function tokensOf (config: AccessConfig, environment: NodeJS.ProcessEnv = process.env): string[] {
  const tokens = splitList(config.API_TOKENS)
  if (tokens.some(it => !/^[\x21-\x7e]+$/.test(it))) {
    throw new RelayError('RELAY_CONFIG_INVALID', 'API_TOKENS holds a token that no header can: letters, digits and signs of ASCII are possible')
  }
  if (environment.NODE_ENV === 'production' && tokens.includes(WELL_KNOWN_TOKEN) && !config.ALLOW_WELL_KNOWN_TOKEN) {
    throw new RelayError('RELAY_CONFIG_INVALID',
      `API_TOKENS is ${WELL_KNOWN_TOKEN}, which is in Relay's documentation, so everybody could do everything here. Make API ` +
      'keys instead (relay keys create), set a token of your own, or say ALLOW_WELL_KNOWN_TOKEN=true where nobody else gets to')
  }
  return tokens
}

/** @throws RelayError RELAY_CONFIG_INVALID for a provider that can't be trusted as it is set up */
export function accessTokenSettings (config: AccessConfig): AccessTokenSettings | undefined {
  const { OIDC_ISSUER: issuer } = config
  if (issuer === undefined) return undefined
  const url = URL.parse(issuer)
  if (!url || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw new RelayError('RELAY_CONFIG_INVALID', 'OIDC_ISSUER is no address, such as https://login.example.com/realms/relay')
  }
  const isLocal = ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname)
  if (url.protocol === 'http:' && !isLocal && !config.OIDC_ALLOW_HTTP) {
    throw new RelayError('RELAY_CONFIG_INVALID',
      'OIDC_ISSUER is asked for its keys without TLS, so whoever is in between could send others: give its https address, or say OIDC_ALLOW_HTTP=true')
  }
  const algorithms = splitList(config.OIDC_ALGORITHMS)
  const impossible = algorithms.filter(it => !asymmetricAlgorithms.has(it))
  if (impossible.length > 0 || algorithms.length === 0) {
    throw new RelayError('RELAY_CONFIG_INVALID',
      `OIDC_ALGORITHMS can hold ${[...asymmetricAlgorithms].join(', ')}; ${impossible.join(', ') || 'nothing'} is there`)
  }
  const types = splitList(config.OIDC_TOKEN_TYPES).map(it => it.toLowerCase())
  return { issuer, audience: config.OIDC_AUDIENCE, algorithms, types, clockSkewS: config.OIDC_CLOCK_SKEW_S }
}
