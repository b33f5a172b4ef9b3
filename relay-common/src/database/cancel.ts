/**
 * Cancels the running statement of a PostgreSQL connection, by the cancel request of the protocol on another
 * connection.
 */
import { Connection, type Client, type PoolClient } from 'pg'

/** Parts of `pg` that its types do not declare. */
interface Cancelling extends Connection {
  connect (portOrPath: number | string, host?: string): void
  requestSsl (): void
  cancel (processId: number, secretKey: number): void
}
type Cancelled = Pick<Client, 'host' | 'port'> &
  { readonly ssl: boolean | object, readonly processID: number, readonly secretKey: number }

/**
 * Asks the server to cancel the statement of a connection. Proxies and poolers forward this, unlike
 * `pg_cancel_backend`, and it needs no session.
 * @returns after the server has signalled its process, so later statements are not hit
 * @throws if the server is unreachable, or does not answer within `limitMs`
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
      connection.once('end', resolve) // the server closes it after sending the signal
      if (host.startsWith('/')) connection.connect(`${host}/.s.PGSQL.${port}`)
      else connection.connect(port, host)
    })
  } finally {
    clearTimeout(timer)
    connection.on('error', () => {}) // it is abandoned
    connection.stream.destroy()
  }
}
