import type { Scope } from 'relay-access'

/** An account of the development issuer; any password is accepted. */
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
