import { userInfo } from 'node:os'

import type { Actor } from 'relay-access'

/** The actor for the audit log: anyone with write access to the database could claim any name. */
export function actor (): Actor {
  return { principal: `relay-cli:${userInfo().username}` }
}
