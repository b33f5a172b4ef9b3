/**
 * The development issuer: an OpenID provider for one machine, to try OAuth without a real one.
 *
 *     relay-web      people: authorization code with PKCE, refresh tokens that rotate; no secret
 *     relay-service  programs: client credentials; ISSUER_CLIENT_SECRET
 *
 * It is `oidc-provider`, a certified implementation, with its development pages: naming an account (`accounts.ts`) logs
 * in. Everything except its keys is in memory.
 */
import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'

import getPort from 'get-port'
import Provider, { interactionPolicy, type Configuration, type ResourceServer } from 'oidc-provider'
import { scopes } from 'relay-access'
import {
  boundConnections, endHard, isHostOurs, RelayError, serverOptions, sharesOfProbes, splitList, type Logger, type Running
} from 'relay-common'

import { accounts } from './accounts.ts'
import type { IssuerConfig } from './config.ts'
import { openKeys, type IssuerKeys } from './keys.ts'

export interface Issuer extends Running {
  /** URL in its tokens, for OIDC_ISSUER */
  readonly url: string
}

/** The API in the `resource` parameter of clients, which may omit it, because there is no other. */
const API = 'urn:relay:api'
const ACCESS_TOKEN_S = 5 * 60
const REFRESH_TOKEN_S = 24 * 60 * 60

/** @throws RelayError RELAY_PORT_IN_USE */
export async function startIssuer (config: IssuerConfig, log: Logger): Promise<Issuer> {
  const port = config.ISSUER_PORT === 0 ? await getPort({ host: config.HOST }) : config.ISSUER_PORT
  const url = `http://${config.HOST}:${port}`
  const provider = new Provider(url, configurationOf(config, await openKeys(config.ISSUER_KEYS_FILE)))
  provider.on('server_error', (_context, error) => log.error({ err: error }, 'the issuer failed'))
  provider.on('grant.error', (_context, error) => log.info({ reason: error.message }, 'refused a token request'))

  guardBrowsers(provider, config)
  const server = createServer(serverOptions, provider.callback())
  server.on('clientError', (_error, socket: Socket) => endHard(socket))
  boundConnections(server, sharesOfProbes)
  server.listen(port, config.HOST)
  await new Promise<void>((resolve, reject) => {
    server.once('listening', resolve)
    server.once('error', (cause: NodeJS.ErrnoException) => reject(cause.code === 'EADDRINUSE'
      ? new RelayError(
        'RELAY_PORT_IN_USE', `port ${port} on ${config.HOST} is in use; set another with ISSUER_PORT`, { cause }
      )
      : cause))
  })
  log.info({ issuer: url, port: (server.address() as AddressInfo).port, accounts: Object.keys(accounts) },
    'development issuer started: it requires no passwords')

  let closed: Promise<void> | undefined
  return {
    url,
    close: () => (closed ??= new Promise<void>(resolve => {
      server.close(() => resolve())
      server.closeAllConnections()
    }))
  }
}

/**
 * Naming an account is enough to log in, so pages of other sites must not reach this: neither through their own name
 * that resolves to this machine (DNS rebinding), nor from an origin that is not configured.
 */
function guardBrowsers (provider: Provider, config: IssuerConfig): void {
  const origins = splitList(config.ISSUER_CORS_ORIGINS)
  provider.use(async (context, next) => {
    if (!isHostOurs(context.req.headers.host, [config.HOST])) {
      context.status = 421
      context.body = {
        error: 'invalid_request', error_description: 'the development issuer accepts requests from this machine only'
      }
      return
    }
    await next()
    const { origin } = context.req.headers
    if (origin === undefined || origins.includes(origin)) return
    for (const name of Object.keys(context.response.headers)) {
      if (name.startsWith('access-control-')) context.remove(name)
    }
  })
}

function configurationOf (config: IssuerConfig, keys: IssuerKeys): Configuration {
  const policy = interactionPolicy.base()
  policy.remove('consent') // the table of accounts decides: there is nobody to ask
  return {
    interactions: { policy },
    jwks: { keys: keys.signing as never },
    cookies: { keys: keys.cookies as string[] },
    clients: [
      {
        client_id: 'relay-web',
        token_endpoint_auth_method: 'none',
        application_type: 'native', // any port of this machine is allowed as a callback
        redirect_uris: ['http://127.0.0.1/callback', 'http://localhost/callback'],
        grant_types: ['authorization_code', 'refresh_token'],
        response_types: ['code']
      },
      {
        client_id: 'relay-service',
        client_secret: config.ISSUER_CLIENT_SECRET,
        redirect_uris: [],
        grant_types: ['client_credentials'],
        response_types: []
      }
    ],
    scopes: ['openid', ...scopes],
    clientBasedCORS: (_context, origin) => splitList(config.ISSUER_CORS_ORIGINS).includes(origin),
    pkce: { required: () => true },
    rotateRefreshToken: true, // a second use revokes everything that came from it
    issueRefreshToken: async (_context, client) => client.grantTypeAllowed('refresh_token'),
    ttl: { AccessToken: ACCESS_TOKEN_S, ClientCredentials: ACCESS_TOKEN_S, RefreshToken: REFRESH_TOKEN_S },
    features: {
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => API,
        useGrantedResource: () => true,
        getResourceServerInfo: () => apiOf(config)
      }
    },
    findAccount: (_context, id) => Object.hasOwn(accounts, id)
      ? { accountId: id, claims: () => ({ sub: id }) }
      : undefined,
    loadExistingGrant: async context => {
      const { client, session, provider } = context.oidc
      const grant = new provider.Grant({ clientId: client!.clientId, accountId: session!.accountId })
      grant.addOIDCScope('openid')
      grant.addResourceScope(API, accounts[session!.accountId!].scopes.join(' '))
      await grant.save()
      return grant
    },
    extraTokenClaims: (_context, token) => {
      const zones = 'accountId' in token ? accounts[token.accountId]?.zones : undefined
      return zones === undefined ? undefined : { relay_zones: zones }
    }
  }
}

function apiOf ({ OIDC_AUDIENCE }: IssuerConfig): ResourceServer {
  return {
    scope: scopes.join(' '),
    audience: OIDC_AUDIENCE,
    accessTokenFormat: 'jwt',
    jwt: { sign: { alg: 'RS256' } }
  }
}
