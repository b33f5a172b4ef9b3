export {
  API_KEY_NAME_UNITS_MAX, createApiKey, findApiKey, findApiKeys, listApiKeys, revokeApiKey, rotateApiKey, touchApiKeys
} from './api-key-store.ts'
export type { IssuedApiKey, NewApiKey, StoredApiKey } from './api-key-store.ts'
export {
  createApiKeyParts, formatApiKey, hashSecret, KEY_ENVIRONMENT_PATTERN, looksLikeApiKey, parseApiKey, withNewSecret
} from './api-key.ts'
export type { ApiKeyParts } from './api-key.ts'
export { writeAudit } from './audit-log.ts'
export type { Actor } from './audit-log.ts'
export {
  allowLogin, databaseLogins, databaseRoles, databaseUserOf, keepPassword, scramSecret
} from './database-login.ts'
export type { DatabaseLogin } from './database-login.ts'
export {
  claimFault, everything, foreignField, intersectGrants, isLimited, isScope, isWithin, mayDevice, mayZone, narrowGrants,
  scopes
} from './grants.ts'
export type { EventGrants, Grants, Scope } from './grants.ts'
export { WELL_KNOWN_TOKEN } from './well-known-token.ts'
