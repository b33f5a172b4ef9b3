/**
 * Access tokens of an OpenID provider: JWTs according to RFC 9068.
 *
 *     OIDC_ISSUER ──discovery──▶ jwks_uri ──keys──▶ signature, typ, iss, aud, exp, nbf, iat ──▶ scopes and grants
 *
 * Keys are fetched on demand and cached. A token with an unknown key id triggers another fetch, so an issuer can rotate
 * its keys without us. A verified token is cached for half a minute.
 */
import { createRemoteJWKSet, decodeJwt, errors, jwtVerify, type JWTPayload, type JWTVerifyGetKey } from 'jose'
import { isScope, type Grants, type Scope } from 'relay-access'
import { RelayError } from 'relay-common'
import { LruMap } from 'toad-cache'

import type { Identified, Identifier, Principal } from './principal.ts'
import { createWindowCounter } from './window-counter.ts'

export interface AccessTokenSettings {
  /** as in the tokens; base of the discovery */
  readonly issuer: string
  readonly audience: string
  /** allowed signatures: only asymmetric ones, because no secret is shared with the issuer */
  readonly algorithms: readonly string[]
  /** allowed `typ` headers, in lower case and without `application/` */
  readonly types: readonly string[]
  readonly clockSkewS: number
}

/** Signatures that can be allowed: none with a shared key. */
export const asymmetricAlgorithms: ReadonlySet<string> = new Set([
  'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'
])

const CHECKED_KEPT_MS = 30_000
const CHECKED_KEPT_MAX = 10_000
const ISSUER_TIMEOUT_MS = 5_000
/** an unknown key id triggers a fetch at most this often */
const REFETCH_INTERVAL_MS = 10_000
const TOKEN_CHARACTERS_MAX = 8 * 1024

interface Checked {
  readonly principal: Principal
  readonly expiresAtMs: number
}

/** How long a subject with a valid token counts as known: its next token may come from a blocked address. */
const SUBJECT_KEPT_MS = 24 * 60 * 60 * 1000
/** Invalid tokens per minute in the name of a known subject, before their signatures are no longer checked. */
const FAILURES_PER_SUBJECT_MAX = 30

/** @returns undefined from `identify` if the credential does not look like a JWT */
export function identifyAccessToken (settings: AccessTokenSettings): Identifier {
  const checked = new LruMap<Checked>(CHECKED_KEPT_MAX, CHECKED_KEPT_MS)
  const subjects = new LruMap<true>(CHECKED_KEPT_MAX, SUBJECT_KEPT_MS)
  const failures = createWindowCounter(60_000)
  let keys: Promise<JWTVerifyGetKey> | undefined

  const findKeys = () => (keys ??= discoverKeys(settings.issuer).catch(error => {
    keys = undefined
    throw error
  }))

  const identify: Identifier['identify'] = async credential => {
    if (!isJwt(credential)) return undefined
    const known = checked.get(credential)
    if (known && Date.now() < known.expiresAtMs) return { kind: 'known', principal: known.principal }
    if (credential.length > TOKEN_CHARACTERS_MAX) return refused(`a token of ${credential.length} characters`)
    const identified = await check(credential, await findKeys(), settings)
    if ('reason' in identified) {
      failures.add(subjectOf(credential) ?? '')
      return refused(identified.reason)
    }
    checked.set(credential, identified)
    subjects.set(identified.principal.id, true)
    return { kind: 'known', principal: identified.principal }
  }

  return {
    identify,
    // a signature can't be guessed, and only known subjects cause the cost of its check
    isUnguessable (credential) {
      const subject = isJwt(credential) && credential.length <= TOKEN_CHARACTERS_MAX ? subjectOf(credential) : undefined
      return subject !== undefined &&
        subjects.get(subject) === true && failures.read(subject).count < FAILURES_PER_SUBJECT_MAX
    }
  }
}

function isJwt (credential: string): boolean {
  return /^[\w-]+\.[\w-]*\.[\w-]*$/.test(credential)
}

/** The claimed subject of a token, not verified. @returns the id of a principal; undefined: none */
function subjectOf (token: string): string | undefined {
  try {
    return `sub:${decodeJwt(token).sub}`
  } catch {
    return undefined // an unreadable token has no subject
  }
}

function refused (reason: string): Identified {
  return { kind: 'refused', reason }
}

async function check (
  token: string, keys: JWTVerifyGetKey, { issuer, audience, algorithms, types, clockSkewS }: AccessTokenSettings
): Promise<Checked | { readonly reason: string }> {
  try {
    const { payload, protectedHeader } = await jwtVerify(token, keys, {
      issuer, audience, algorithms: [...algorithms], clockTolerance: clockSkewS, requiredClaims: ['exp', 'iat', 'sub']
    })
    const type = protectedHeader.typ?.toLowerCase().replace(/^application\//, '')
    if (type === undefined || !types.includes(type)) return { reason: `its type is ${String(type)}` }
    if (payload.iat! > Date.now() / 1000 + clockSkewS) return { reason: 'it was issued in the future' }
    const misspelled = Object.keys(payload).find(it => isMeantForUs(it) && !grantClaims.includes(it))
    if (misspelled !== undefined) {
      return { reason: `its claim ${misspelled.slice(0, 64)} must be one of ${grantClaims.join(', ')}` }
    }
    const grants = grantsOf(payload)
    if (grants === undefined) return { reason: 'its relay_ claims must be lists of strings' }
    const principal = { kind: 'access-token' as const, id: `sub:${payload.sub}`, scopes: scopesOf(payload), grants }
    return { principal, expiresAtMs: (payload.exp! + clockSkewS) * 1000 }
  } catch (error) {
    if (isTokensFault(error)) return { reason: (error as Error).message }
    throw unreachable(issuer, error)
  }
}

/** Faults of the token; others are faults of the issuer, or of the connection to it. */
const tokenFaults = [
  errors.JWTClaimValidationFailed, errors.JWTExpired, errors.JWTInvalid, errors.JWSInvalid,
  errors.JWSSignatureVerificationFailed, errors.JOSEAlgNotAllowed, errors.JOSENotSupported, errors.JWKSNoMatchingKey,
  errors.JWKSMultipleMatchingKeys
]

function isTokensFault (error: unknown): boolean {
  return tokenFaults.some(it => error instanceof it)
}

/** `scope` according to RFC 8693, or a list, as some issuers write it. */
function scopesOf ({ scope, scp }: JWTPayload): ReadonlySet<Scope> {
  const given = typeof scope === 'string' ? scope.split(' ') : Array.isArray(scp) ? scp : []
  return new Set(given.filter(it => typeof it === 'string' && isScope(it)))
}

const grantClaims = ['relay_zones', 'relay_device_prefixes']

/**
 * Whether a claim should limit a token, however it is spelled: `relay_zone`, `Relay-Zones`, or with a namespace,
 * `https://example.com/relay_zones`. To ignore it would mean no limit.
 */
function isMeantForUs (claim: string): boolean {
  const name = claim.slice(Math.max(...['/', ':', '.', '#'].map(it => claim.lastIndexOf(it))) + 1)
  return name.toLowerCase().startsWith('relay')
}

/** No claim means no limit. An unreadable claim must not mean that. */
function grantsOf (payload: JWTPayload): Grants | undefined {
  const { relay_zones: zones, relay_device_prefixes: devicePrefixes } = payload
  if (!isListOrNone(zones) || !isListOrNone(devicePrefixes)) return undefined
  return { ...(zones === undefined ? {} : { zones }), ...(devicePrefixes === undefined ? {} : { devicePrefixes }) }
}

function isListOrNone (claim: unknown): claim is string[] | undefined {
  return claim === undefined || (Array.isArray(claim) && claim.every(it => typeof it === 'string' && it !== ''))
}

/** https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfig */
async function discoverKeys (issuer: string): Promise<JWTVerifyGetKey> {
  try {
    const address = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`
    const response = await fetch(address, { signal: AbortSignal.timeout(ISSUER_TIMEOUT_MS), redirect: 'error' })
    if (!response.ok) throw new Error(`${address} answers ${response.status}`)
    const said = await response.json() as { readonly issuer?: unknown, readonly jwks_uri?: unknown }
    if (said.issuer !== issuer) throw new Error(`${address} says that its issuer is ${String(said.issuer)}, not ${issuer}`)
    const url = URL.parse(String(said.jwks_uri))
    if (!url || (url.protocol !== 'https:' && new URL(issuer).protocol === 'https:')) {
      throw new Error(`${address} names ${String(said.jwks_uri)} as the address of its keys`)
    }
    return createRemoteJWKSet(url, { timeoutDuration: ISSUER_TIMEOUT_MS, cooldownDuration: REFETCH_INTERVAL_MS })
  } catch (error) {
    throw unreachable(issuer, error)
  }
}

function unreachable (issuer: string, cause: unknown): RelayError {
  return new RelayError('RELAY_ISSUER_UNREACHABLE',
    `could not read the keys of ${issuer}: ${(cause as Error).message}; check OIDC_ISSUER`, { cause })
}
