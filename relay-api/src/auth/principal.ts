import type { Grants, Scope } from 'relay-access'

/** The caller of a request, with its permissions. */
export interface Principal {
  readonly kind: 'configured-token' | 'api-key' | 'access-token'
  /** stable, and not secret: for limits and the audit log */
  readonly id: string
  readonly scopes: ReadonlySet<Scope>
  readonly grants: Grants
}

/** The result for a credential. The reason is only for the audit log; callers do not get it. */
export type Identified =
  | { readonly kind: 'known', readonly principal: Principal }
  | { readonly kind: 'refused', readonly reason: string }

/** Identifies a credential; undefined: it is of another kind. */
export type Identify = (credential: string) => Identified | undefined | Promise<Identified | undefined>

/** One kind of credential. */
export interface Identifier {
  readonly identify: Identify
  /**
   * Whether a credential is checked even if its address sends many invalid ones: the check is cheap, and guessing is
   * hopeless.
   */
  readonly isUnguessable: (credential: string) => boolean
}

declare module 'fastify' {
  interface FastifyRequest {
    /** the caller; on routes after `authenticate` */
    principal: Principal
    /** Checks again whether the caller is allowed, for a long answer. @throws RelayError as the first time */
    reauthenticate: () => Promise<void>
  }
  interface FastifyContextConfig {
    /** required scope; left out: `events:read` for GET and HEAD, `admin` for all others */
    scope?: Scope
  }
}
