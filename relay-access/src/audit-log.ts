/** The table `audit_log`: what administrators did. */
import type { PoolClient } from 'relay-common'

/** Who acts. */
export interface Actor {
  readonly principal: string
  readonly address?: string
  readonly requestId?: string
}

/** Writes a line, in the transaction of the act where that is one of the database. */
export async function writeAudit (
  client: PoolClient, { principal, address, requestId }: Actor, act: string, target: string, details: object
): Promise<void> {
  await client.query(`
    insert into audit_log (principal, act, target, address, request_id, details) values ($1, $2, $3, $4, $5, $6)`,
  [principal, act, target, address ?? null, requestId ?? null, details])
}
