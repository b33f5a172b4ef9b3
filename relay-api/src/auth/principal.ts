import type { Grants, Scope } from 'relay-common'

/** Who asks, and what that allows. */
export interface Principal {
  readonly kind: 'configured-token' | 'api-key' | 'access-token'
  /** stable, and no secret: for limits and the audit log */
  readonly id: string
  readonly scopes: ReadonlySet<Scope>
  readonly grants: Grants
}

/** What a credential turned out to be. The reason is for the audit log alone: a caller is not told it. */
export type Identified =
  | { readonly kind: 'known', readonly principal: Principal }
  | { readonly kind: 'refused', readonly reason: string }

/** Tells whose a credential is; undefined: not of this kind. */
export type Identify = (credential: string) => Identified | undefined | Promise<Identified | undefined>

/** One kind of credential. */
export interface Identifier {
  readonly identify: Identify
  /**
   * Whether a credential is checked even while its address sends many bad ones: its check costs next to nothing, and
   * nobody guesses one, however often he may try.
   */
  readonly isUnguessable: (credential: string) => boolean
}

declare module 'fastify' {
  interface FastifyRequest {
    /** who asks; on routes behind `authenticate` */
    principal: Principal
    /** Asks again whether the caller may, for an answer that goes on. @throws RelayError as the first time */
    reauthenticate: () => Promise<void>
  }
  interface FastifyContextConfig {
    /** what a caller needs; without it `events:read` for GET and HEAD, and `admin` for all else */
    scope?: Scope
  }
}
