/**
 * Who looks. A token stays in the session of this tab: it is gone with the tab, and in no address and no other tab.
 *
 *     local stack   the page says which token everybody knows; it signs in with that by itself, unless somebody
 *                   signed out
 */
import { createRelayClient, type RelayClient } from '@relay-telemetry/client/src/index.ts'
import { useEffect, useState } from 'preact/hooks'

import { accessToken, forgetTokens, readTokens } from './provider.ts'

export interface Session {
  readonly token: string
  readonly isLocal: boolean
  readonly isOfProvider: boolean
  readonly relay: RelayClient
  /** fetch, with a token that is still good */
  readonly send: (request: Request) => Promise<Response>
}

const TOKEN = 'relay.token'
const SIGNED_OUT = 'relay.signedOut'
/** The page says itself what is wrong, and asks again; a short hiccup need not be seen. */
const RETRIES_MAX = 1
const WAIT_MAX_MS = 1_000

/** The token of the local stack; empty: this is none. */
export const localToken = document.querySelector<HTMLMetaElement>('meta[name="relay-local-token"]')?.content ?? ''

let session: Session | undefined = restore()
/** Why somebody has to sign in who was in. */
let endedBecause: string | undefined
const listeners = new Set<() => void>()

function restore (): Session | undefined {
  const tokens = readTokens()
  if (tokens) return open(tokens.accessToken, true)
  const token = sessionStorage.getItem(TOKEN)
  if (token !== null) return open(token)
  return localToken !== '' && sessionStorage.getItem(SIGNED_OUT) === null ? open(localToken) : undefined
}

function open (token: string, isOfProvider = false): Session {
  const send = async (request: Request) => {
    if (isOfProvider) request.headers.set('authorization', `Bearer ${await accessToken(token)}`)
    return await fetch(request)
  }
  const relay = createRelayClient({
    baseUrl: location.origin, token, retriesMax: RETRIES_MAX, waitMaxMs: WAIT_MAX_MS, fetch: send
  })
  return { token, isLocal: token === localToken, isOfProvider, relay, send }
}

function set (next: Session | undefined, why?: string): void {
  session = next
  endedBecause = why
  for (const listener of listeners) listener()
}

/** Once the provider has given its tokens. */
export function signInByProvider (): void {
  set(restore())
}

export function signIn (token: string): void {
  sessionStorage.setItem(TOKEN, token)
  set(open(token))
}

/** @param why undefined: somebody wanted it */
export function signOut (why?: string): void {
  sessionStorage.removeItem(TOKEN)
  forgetTokens()
  sessionStorage.setItem(SIGNED_OUT, 'yes')
  set(undefined, why)
}

export function useSession (): { readonly session: Session | undefined; readonly endedBecause: string | undefined } {
  const [, update] = useState({})
  useEffect(() => {
    const listener = () => update({})
    listeners.add(listener)
    return () => {
      listeners.delete(listener)
    }
  }, [])
  return { session, endedBecause }
}

/** Whether a token is accepted, before anybody is signed in with it. @throws Failed, TypeError where the API is away */
export function tryToken (token: string): RelayClient {
  return open(token).relay
}
