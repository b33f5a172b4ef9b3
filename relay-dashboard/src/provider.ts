/**
 * Signing in at an OpenID provider, by authorization code with PKCE:
 *
 *     sign in ──▶ provider ──code──▶ /callback ──▶ tokens ──▶ the view where somebody wanted to be
 *
 * An access token is short-lived; the refresh token brings the next one. Both stay in the session of the tab.
 */
import * as oauth from 'oauth4webapi'

export interface Tokens {
  readonly accessToken: string
  readonly refreshToken: string | undefined
  readonly expiresMs: number
}

interface Pending {
  readonly state: string
  readonly verifier: string
  readonly back: string
}

export const CALLBACK_PATH = '/callback'
const TOKENS = 'relay.tokens'
const PENDING = 'relay.pending'
/** What an account may not have, the provider leaves out. */
const SCOPE = 'openid events:read events:write admin'
/** A token that ends sooner is not sent any more: the way to the API takes time, too. */
const AHEAD_MS = 20_000
const LIFETIME_DEFAULT_S = 300

/** undefined: people sign in by token alone. */
export const provider = readProvider()

function readProvider (): { readonly issuer: URL, readonly clientId: string } | undefined {
  const text = document.querySelector<HTMLMetaElement>('meta[name="relay-oidc"]')?.content ?? ''
  if (text === '') return undefined
  const { issuer, clientId } = JSON.parse(text) as { issuer: string, clientId: string }
  return { issuer: new URL(issuer), clientId }
}

/** Goes to the provider; it comes back to `/callback`. @param back where somebody wants to be then */
export async function goToProvider (back: string): Promise<void> {
  const { server, client } = await discover()
  const verifier = oauth.generateRandomCodeVerifier()
  const state = oauth.generateRandomState()
  sessionStorage.setItem(PENDING, JSON.stringify({ state, verifier, back } satisfies Pending))
  const address = new URL(server.authorization_endpoint!)
  address.search = new URLSearchParams({
    client_id: client.client_id,
    response_type: 'code',
    redirect_uri: location.origin + CALLBACK_PATH,
    scope: SCOPE,
    state,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256'
  }).toString()
  location.assign(address)
}

/** Takes the code of this address. @returns where somebody wanted to be @throws Error where the provider refused */
export async function comeBack (): Promise<string> {
  const text = sessionStorage.getItem(PENDING)
  if (text === null) throw new Error('nobody has begun to sign in in this tab')
  sessionStorage.removeItem(PENDING) // a code works once
  const { state, verifier, back } = JSON.parse(text) as Pending
  const { server, client, options } = await discover()
  const parameters = oauth.validateAuthResponse(server, client, new URL(location.href), state)
  const redirectUri = location.origin + CALLBACK_PATH
  const answer = await oauth.authorizationCodeGrantRequest(
    server, client, oauth.None(), parameters, redirectUri, verifier, options
  )
  keep(await oauth.processAuthorizationCodeResponse(server, client, answer))
  return back
}

export function readTokens (): Tokens | undefined {
  const text = sessionStorage.getItem(TOKENS)
  return text === null ? undefined : JSON.parse(text) as Tokens
}

export function forgetTokens (): void {
  sessionStorage.removeItem(TOKENS)
}

let refreshing: Promise<string> | undefined

/** A token that is still good. Where there is no new one, the old one: the API then says that it is over. */
export function accessToken (old: string): string | Promise<string> {
  const tokens = readTokens()
  if (tokens === undefined) return old
  if (tokens.refreshToken === undefined || tokens.expiresMs - AHEAD_MS > Date.now()) return tokens.accessToken
  return (refreshing ??= refresh(tokens.refreshToken)
    .catch(() => tokens.accessToken)
    .finally(() => { refreshing = undefined }))
}

async function refresh (refreshToken: string): Promise<string> {
  const { server, client, options } = await discover()
  const answer = await oauth.refreshTokenGrantRequest(server, client, oauth.None(), refreshToken, options)
  const found = await oauth.processRefreshTokenResponse(server, client, answer)
  return keep({ ...found, refresh_token: found.refresh_token ?? refreshToken })
}

function keep (found: oauth.TokenEndpointResponse): string {
  const { access_token: accessToken, refresh_token: refreshToken, expires_in: lifetimeS = LIFETIME_DEFAULT_S } = found
  const tokens: Tokens = { accessToken, refreshToken, expiresMs: Date.now() + lifetimeS * 1_000 }
  sessionStorage.setItem(TOKENS, JSON.stringify(tokens))
  return accessToken
}

async function discover () {
  const { issuer, clientId } = provider!
  // a provider of this machine has no TLS; whether another may do without is for OIDC_ALLOW_HTTP to say
  const options = { [oauth.allowInsecureRequests]: issuer.protocol === 'http:' }
  const server = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, options))
  return { server, client: { client_id: clientId } satisfies oauth.Client, options }
}
