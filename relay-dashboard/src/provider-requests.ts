/**
 * Requests to an OpenID provider. A separate file, loaded when somebody signs in there, because it is a third
 * of all script.
 */
import * as oauth from 'oauth4webapi'

export interface Provider {
  readonly issuer: URL
  readonly clientId: string
}

export type TokenAnswer = Pick<oauth.TokenEndpointResponse, 'access_token' | 'refresh_token' | 'expires_in'>

/** The provider omits scopes that an account does not have. */
const SCOPE = 'openid events:read events:write admin'

/** What must be kept until the provider sends the browser back. */
export interface Asked {
  readonly state: string
  readonly verifier: string
}

/** @returns the address for signing in */
export async function beginSignIn (
  provider: Provider, redirectUri: string
): Promise<Asked & { readonly address: URL }> {
  const { server, client } = await discover(provider)
  const verifier = oauth.generateRandomCodeVerifier()
  const state = oauth.generateRandomState()
  const address = new URL(server.authorization_endpoint!)
  address.search = new URLSearchParams({
    client_id: client.client_id,
    response_type: 'code',
    redirect_uri: redirectUri,
    scope: SCOPE,
    state,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256'
  }).toString()
  return { state, verifier, address }
}

/** @param address to which the provider sent back @throws Error where it refused */
export async function endSignIn (
  provider: Provider, redirectUri: string, address: URL, { state, verifier }: Asked
): Promise<TokenAnswer> {
  const { server, client, options } = await discover(provider)
  const parameters = oauth.validateAuthResponse(server, client, address, state)
  const answer = await oauth.authorizationCodeGrantRequest(
    server, client, oauth.None(), parameters, redirectUri, verifier, options
  )
  return await oauth.processAuthorizationCodeResponse(server, client, answer)
}

export async function refreshTokens (provider: Provider, refreshToken: string): Promise<TokenAnswer> {
  const { server, client, options } = await discover(provider)
  const answer = await oauth.refreshTokenGrantRequest(server, client, oauth.None(), refreshToken, options)
  return await oauth.processRefreshTokenResponse(server, client, answer)
}

async function discover ({ issuer, clientId }: Provider) {
  // a provider of this machine has no TLS; whether another may do without is for OIDC_ALLOW_HTTP to say
  const options = { [oauth.allowInsecureRequests]: issuer.protocol === 'http:' }
  const server = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, options))
  return { server, client: { client_id: clientId } satisfies oauth.Client, options }
}
