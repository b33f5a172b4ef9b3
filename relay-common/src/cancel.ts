/** Cancels what a connection to PostgreSQL is busy with, by the protocol's own request on another connection. */
import { Connection, type Client, type PoolClient } from 'pg'

/** What of `pg` is there, and in no declaration. */
interface Cancelling extends Connection {
  connect (portOrPath: number | string, host?: string): void
  requestSsl (): void
  cancel (processId: number, secretKey: number): void
}
type Cancelled = Pick<Client, 'host' | 'port'> &
  { readonly ssl: boolean | object, readonly processID: number, readonly secretKey: number }

/**
 * Asks the server to cancel the statement of a connection. Proxies and poolers pass this on, unlike `pg_cancel_backend`,
 * and it takes no place of a session.
 * @returns when the server has signalled its process: whatever the connection does after that is not hit
 * @throws where the server can't be reached, or within no answer in `limitMs`
 */
export async function cancelStatement (client: PoolClient, limitMs: number): Promise<void> {
  const { host, port, ssl, processID, secretKey } = client as unknown as Cancelled
  const connection = new Connection({ ssl } as object) as Cancelling
  let timer: NodeJS.Timeout | undefined
  try {
    await new Promise<void>((resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`could not cancel a statement within ${limitMs} ms`)), limitMs)
      const cancel = () => connection.cancel(processID, secretKey)
      connection.once('connect', () => ssl ? connection.requestSsl() : cancel())
      connection.once('sslconnect', cancel)
      connection.on('error', reject)
      connection.once('end', resolve) // the server closes it once the signal is sent
      if (host.startsWith('/')) connection.connect(`${host}/.s.PGSQL.${port}`)
      else connection.connect(port, host)
    })
  } finally {
    clearTimeout(timer)
    connection.on('error', () => {}) // it is given up
    connection.stream.destroy()
  }
}
