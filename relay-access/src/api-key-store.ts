/** The table `api_keys` and its changes, each with its line in `audit_log`. */
import { type Database, RelayError } from 'relay-common'
import { createApiKeyParts, formatApiKey, hashSecret, withNewSecret } from './api-key.ts'
import { writeAudit, type Actor } from './audit-log.ts'
import { grantsFault, type Grants, type Scope } from './grants.ts'

export const API_KEY_NAME_UNITS_MAX = 100

/** A stored key. Times in ms since the epoch. */
export interface StoredApiKey {
  readonly keyId: string
  readonly name: string
  readonly scopes: Scope[]
  readonly grants: Grants
  readonly createdBy: string
  readonly createdAtMs: number
  readonly expiresAtMs: number | undefined
  readonly revokedAtMs: number | undefined
  readonly lastUsedAtMs: number | undefined
  readonly secretHash: Buffer
  readonly formerSecretHash: Buffer | undefined
  readonly formerSecretUntilMs: number | undefined
}

export interface NewApiKey {
  readonly environment: string
  readonly name: string
  readonly scopes: readonly Scope[]
  readonly grants: Grants
  /** undefined: never */
  readonly expiresAtMs: number | undefined
}

/** A new key, or a key with a new secret: the only time that the secret is visible. */
export interface IssuedApiKey {
  readonly stored: StoredApiKey
  readonly key: string
}

interface Row {
  key_id: string
  name: string
  scopes: Scope[]
  zones: string[] | null
  device_prefixes: string[] | null
  created_by: string
  created_at: number
  expires_at: number | null
  revoked_at: number | null
  last_used_at: number | null
  secret_hash: Buffer
  former_secret_hash: Buffer | null
  former_secret_until: number | null
}

/** @throws RelayError RELAY_PARAMETER_INVALID for an invalid name, time or grants */
export async function createApiKey (database: Database, wanted: NewApiKey, actor: Actor): Promise<IssuedApiKey> {
  checkNewKey(wanted)
  const parts = createApiKeyParts(wanted.environment)
  return await database.transaction(async client => {
    const { rows: [row] } = await client.query<Row>(`
      insert into api_keys (key_id, name, scopes, zones, device_prefixes, secret_hash, created_by, expires_at)
      values ($1, $2, $3, $4, $5, $6, $7, $8) returning *`,
    [parts.id, wanted.name, wanted.scopes, wanted.grants.zones ?? null, wanted.grants.devicePrefixes ?? null,
      hashSecret(parts.secret), actor.principal, toTimestamp(wanted.expiresAtMs)])
    const stored = fromRow(row)
    await writeAudit(client, actor, 'api-key.create', parts.id,
      { name: stored.name, scopes: stored.scopes, ...stored.grants, expiresAtMs: stored.expiresAtMs })
    return { stored, key: formatApiKey(parts) }
  })
}

function checkNewKey ({ name, grants, expiresAtMs }: NewApiKey): void {
  const refuse = (parameter: string, fault: string): never => {
    throw new RelayError('RELAY_PARAMETER_INVALID', `${parameter} ${fault}`, { parameter })
  }
  if (name.trim() === '' || name.length > API_KEY_NAME_UNITS_MAX || /\p{Cc}/u.test(name)) {
    refuse('name', `must have 1 to ${API_KEY_NAME_UNITS_MAX} characters, no control characters`)
  }
  const wrong = grantsFault(grants)
  if (wrong) refuse(wrong.field, wrong.fault)
  if (expiresAtMs !== undefined && !(expiresAtMs <= TIME_MAX_MS)) {
    refuse('expiresAt', 'must be a time up to the year 9999')
  }
}

const TIME_MAX_MS = Date.parse('9999-12-31T23:59:59.999Z')

/**
 * Gives a key a new secret. The previous secret stays valid until the overlap ends; older ones end now.
 * @throws RelayError RELAY_API_KEY_UNKNOWN if there is no such key, or it was revoked
 */
export async function rotateApiKey (
  database: Database, environment: string, keyId: string, overlapMs: number, actor: Actor
): Promise<IssuedApiKey> {
  const parts = withNewSecret({ environment, id: keyId })
  return await database.transaction(async client => {
    const { rows: [row] } = await client.query<Row>(`
      update api_keys set former_secret_hash = secret_hash, secret_hash = $2,
        former_secret_until = now() + make_interval(secs => $3)
      where key_id = $1 and revoked_at is null returning *`,
    [keyId, hashSecret(parts.secret), overlapMs / 1000])
    if (!row) throw unknownKey(keyId)
    await writeAudit(client, actor, 'api-key.rotate', keyId, { overlapMs })
    return { stored: fromRow(row), key: formatApiKey(parts) }
  })
}

/**
 * Revokes a key. Programs that cache it are notified at once, or read it again within seconds.
 * @throws RelayError RELAY_API_KEY_UNKNOWN
 */
export async function revokeApiKey (database: Database, keyId: string, actor: Actor): Promise<StoredApiKey> {
  return await database.transaction(async client => {
    const { rows: [row] } = await client.query<Row>(
      'update api_keys set revoked_at = coalesce(revoked_at, now()) where key_id = $1 returning *', [keyId])
    if (!row) throw unknownKey(keyId)
    await writeAudit(client, actor, 'api-key.revoke', keyId, {})
    return fromRow(row)
  })
}

export async function findApiKey (database: Database, keyId: string): Promise<StoredApiKey | undefined> {
  const [row] = await database.queryPrepared<Row>('find api key', 'select * from api_keys where key_id = $1', [keyId])
  return row && fromRow(row)
}

/** The existing keys among these ids, in any order. */
export async function findApiKeys (database: Database, keyIds: readonly string[]): Promise<StoredApiKey[]> {
  return (await database.queryPrepared<Row>(
    'find api keys', 'select * from api_keys where key_id = any($1::text[])', [keyIds]
  )).map(fromRow)
}

/** All keys, including revoked ones, in order of creation. */
export async function listApiKeys (database: Database): Promise<StoredApiKey[]> {
  return (await database.query<Row>('select * from api_keys order by created_at, key_id')).map(fromRow)
}

/** Stores when keys were used, to the minute, so that not every request is a write. */
export async function touchApiKeys (database: Database, keyIds: readonly string[]): Promise<void> {
  if (keyIds.length === 0) return
  await database.query(`
    update api_keys set last_used_at = date_trunc('minute', now())
    where key_id = any($1) and last_used_at is distinct from date_trunc('minute', now())`, [keyIds])
}

function unknownKey (keyId: string): RelayError {
  return new RelayError('RELAY_API_KEY_UNKNOWN', `API key ${keyId} is unknown, revoked or expired`)
}

function fromRow (row: Row): StoredApiKey {
  return {
    keyId: row.key_id,
    name: row.name,
    scopes: row.scopes,
    grants: {
      ...(row.zones === null ? {} : { zones: row.zones }),
      ...(row.device_prefixes === null ? {} : { devicePrefixes: row.device_prefixes })
    },
    createdBy: row.created_by,
    createdAtMs: row.created_at,
    expiresAtMs: row.expires_at ?? undefined,
    revokedAtMs: row.revoked_at ?? undefined,
    lastUsedAtMs: row.last_used_at ?? undefined,
    secretHash: row.secret_hash,
    formerSecretHash: row.former_secret_hash ?? undefined,
    formerSecretUntilMs: row.former_secret_until ?? undefined
  }
}

function toTimestamp (timeMs: number | undefined): string | null {
  return timeMs === undefined ? null : new Date(timeMs).toISOString()
}
