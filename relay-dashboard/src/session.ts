/**
 * The signed-in user. A token stays in the session of this tab, and is in no address and no other tab.
 *
 *     local stack   the page contains its public token, and signs in with it by itself, unless somebody
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
  /** fetch with a valid token */
  readonly send: (request: Request) => Promise<Response>
}

const TOKEN = 'relay.token'
const SIGNED_OUT = 'relay.signedOut'
/** The page shows failures and retries by itself, so the client retries little. */
const RETRIES_MAX = 1
const WAIT_MAX_MS = 1_000

/** The public token of the local stack; empty: this is another site. */
export const localToken = document.querySelector<HTMLMetaElement>('meta[name="relay-local-token"]')?.content ?? ''

let session: Session | undefined = restore()
/** Why the user must sign in again. */
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

/** Call it when the provider has issued its tokens. */
export function signInByProvider (): void {
  set(restore())
}

export function signIn (token: string): void {
  sessionStorage.setItem(TOKEN, token)
  set(open(token))
}

/** @param why undefined: the user signed out */
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

/** Checks a token before the sign-in. @throws Failed, TypeError if the API is unreachable */
export function tryToken (token: string): RelayClient {
  return open(token).relay
}
