/** Rows of a statement, visited while the next ones arrive, at the pace of their consumer. */
import type { Connection, PoolClient, Query } from 'pg'

/** The caller of a statement (`ForWhom`). */
interface Consumer {
  readonly signal?: AbortSignal
  pace? (): Promise<void> | undefined
}

/** Time for the server to report a timed-out statement after its own limit. */
const ANSWER_GRACE_MS = 2_000

/** Rows of a statement, read at the pace of their consumer. */
interface PacedRows {
  visit (columns: unknown[]): void
  /** Call it when the statement has ended: reads at full speed again, because another caller gets the connection. */
  end (): void
}

/**
 * Stops reading from a connection while the consumer of its rows has to wait. Rows that have arrived are visited
 * anyway.
 */
export function atPace (client: PoolClient, consumer: Consumer, visit: (columns: unknown[]) => void): PacedRows {
  const { stream: socket } = (client as unknown as { connection: Connection }).connection
  let isWaiting = false
  const goOn = () => {
    if (!isWaiting) return
    isWaiting = false
    socket.resume()
  }
  return {
    visit (columns) {
      visit(columns)
      if (isWaiting || consumer.signal?.aborted) return // the rest must still be read from the connection
      const turn = consumer.pace!()
      if (turn === undefined) return
      isWaiting = true
      socket.pause()
      turn.then(goOn, goOn) // the signal has the reason why it is unwanted
    },
    end: goOn
  }
}

/** @param limitMs limit of the server for the statement; a server that stays silent after it is abandoned */
export function streamRows (
  client: PoolClient, query: Query, visit: (columns: unknown[]) => void, limitMs: number | undefined
): Promise<void> {
  return new Promise((resolve, reject) => {
    let failure: { readonly error: unknown } | undefined
    const timer = limitMs && setTimeout(() => {
      const silence = new Error(`no answer from PostgreSQL within ${limitMs + ANSWER_GRACE_MS} ms`)
      reject(Object.assign(silence, { code: 'ETIMEDOUT' }))
    }, limitMs + ANSWER_GRACE_MS)

    query.on('row', row => {
      if (failure) return // the rest of the answer must still be read from the connection
      try {
        visit(row)
      } catch (error) {
        failure = { error }
      }
    })
    query.on('error', error => { // not `once`: an unhandled error would end the process
      clearTimeout(timer)
      reject(error)
    })
    query.once('end', () => {
      clearTimeout(timer)
      if (failure) reject(failure.error)
      else resolve()
    })
    client.query(query)
  })
}
