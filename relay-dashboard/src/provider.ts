/**
 * Signing in at an OpenID provider, by authorization code with PKCE:
 *
 *     sign in ──▶ provider ──code──▶ /callback ──▶ tokens ──▶ the view from before the sign-in
 *
 * An access token is short-lived; the refresh token brings the next one. Both stay in the session of the tab.
 */
import type { Asked, Provider, TokenAnswer } from './provider-requests.ts'

export interface Tokens {
  readonly accessToken: string
  readonly refreshToken: string | undefined
  readonly expiresMs: number
}

interface Pending extends Asked {
  readonly back: string
}

export const CALLBACK_PATH = '/callback'
const TOKENS = 'relay.tokens'
const PENDING = 'relay.pending'
/** A token that expires sooner is not sent, because a request takes time too. */
const AHEAD_MS = 20_000
const LIFETIME_DEFAULT_S = 300

/** undefined: people sign in by token alone. */
export const provider = readProvider()

function readProvider (): Provider | undefined {
  const text = document.querySelector<HTMLMetaElement>('meta[name="relay-oidc"]')?.content ?? ''
  if (text === '') return undefined
  const { issuer, clientId } = JSON.parse(text) as { issuer: string, clientId: string }
  return { issuer: new URL(issuer), clientId }
}

const requests = () => import('./provider-requests.ts')
const redirectUri = location.origin + CALLBACK_PATH

/** Goes to the provider, which returns to `/callback`. @param back the view to return to */
export async function goToProvider (back: string): Promise<void> {
  const { beginSignIn } = await requests()
  const { address, ...asked } = await beginSignIn(provider!, redirectUri)
  sessionStorage.setItem(PENDING, JSON.stringify({ ...asked, back } satisfies Pending))
  location.assign(address)
}

/** Takes the code of this address. @returns the view to return to @throws Error if the provider refused */
export async function comeBack (): Promise<string> {
  const text = sessionStorage.getItem(PENDING)
  if (text === null) throw new Error('nobody has begun to sign in in this tab')
  sessionStorage.removeItem(PENDING) // a code works once
  const { back, ...asked } = JSON.parse(text) as Pending
  const { endSignIn } = await requests()
  keep(await endSignIn(provider!, redirectUri, new URL(location.href), asked))
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

/** A valid token. If there is no new one, the expired one, which the API then refuses. */
export function accessToken (old: string): string | Promise<string> {
  const tokens = readTokens()
  if (tokens === undefined) return old
  if (tokens.refreshToken === undefined || tokens.expiresMs - AHEAD_MS > Date.now()) return tokens.accessToken
  return (refreshing ??= refresh(tokens.refreshToken)
    .catch(() => tokens.accessToken)
    .finally(() => { refreshing = undefined }))
}

async function refresh (refreshToken: string): Promise<string> {
  const { refreshTokens } = await requests()
  const found = await refreshTokens(provider!, refreshToken)
  return keep({ ...found, refresh_token: found.refresh_token ?? refreshToken })
}

function keep (found: TokenAnswer): string {
  const { access_token: accessToken, refresh_token: refreshToken, expires_in: lifetimeS = LIFETIME_DEFAULT_S } = found
  const tokens: Tokens = { accessToken, refreshToken, expiresMs: Date.now() + lifetimeS * 1_000 }
  sessionStorage.setItem(TOKENS, JSON.stringify(tokens))
  return accessToken
}
