/** Errors of PostgreSQL and of the connection to it. */

/** Whether PostgreSQL ended a statement or transaction because of a time limit. */
export function isTimeout (error: unknown): boolean {
  const { code, message } = error as { code?: string, message?: string }
  return code === '25P04' || (code === '57014' && /statement timeout/.test(message ?? ''))
}

/** Errors after which a retry may succeed: the connection was lost, or the server starts or stops. */
const connectionErrors = new Set([
  'ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH',
  '57P01', '57P02', '57P03', '08000', '08001', '08003', '08004', '08006', '53300',
  '08P01' // PgBouncer says this when its server has gone, and closes the connection
])

/** Whether the server refuses the user, the password or the name of the database. */
export function isLoginRefused (error: unknown): boolean {
  const { code = '' } = error as { code?: string }
  return code.startsWith('28') || code === '3D000'
}

/** Whether the database was unreachable, in contrast to a refused statement. */
export function isConnectionError (error: unknown): boolean {
  const { code, message } = error as { code?: string, message?: string }
  return connectionErrors.has(code ?? '') ||
    /Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error/.test(
      message ?? ''
    )
}
