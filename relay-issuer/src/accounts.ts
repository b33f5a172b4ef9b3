import type { Scope } from 'relay-common'

/** Somebody who can log in at the development issuer; any password will do. */
export interface Account {
  readonly scopes: readonly Scope[]
  /** undefined: all zones */
  readonly zones?: readonly string[]
}

export const accounts: Readonly<Record<string, Account>> = {
  admin: { scopes: ['events:read', 'events:write', 'admin'] },
  operator: { scopes: ['events:read', 'events:write'] },
  viewer: { scopes: ['events:read'] },
  'viewer-zone-a': { scopes: ['events:read'], zones: ['Zone A'] }
}
