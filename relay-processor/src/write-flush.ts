/**
 * The transaction of a flush: progress moves, and what was read up to there is written, or nothing.
 *
 *     begin ──▶ progress moves ──▶ rows, journal, misplaced readings, late counts, announcement ──▶ commit
 *                    │ fenced                                                                         │ no answer
 *                    ▼                                                                                ▼
 *                 refused                                                                          unknown
 *
 * It has its own connection, because that holds the temporary table for rows. One write at a time.
 */
import { formatTraceparent, spanned, type Database, type PoolClient, type Span } from 'relay-common'

import { announceRollups, announceTrace } from './announce.ts'
import { removeMisplaced, writeMisplaced } from './homes.ts'
import { writeJournal } from './journal-rows.ts'
import { writeArrivals } from './late-count-rows.ts'
import { moveProgress } from './progress.ts'
import { isUniqueViolation, prepareIncoming, writeRows } from './rollup-rows.ts'
import type { PartitionRows, WriteOutcome } from './store.ts'

export class FlushWriter {
  readonly #database: Database
  #client: PoolClient | undefined

  constructor (database: Database) {
    this.#database = database
  }

  async write (topicId: string, writes: readonly PartitionRows[], span?: Span): Promise<WriteOutcome> {
    try {
      return await this.#write(topicId, writes, span, true)
    } catch (error) {
      if (!isUniqueViolation(error)) throw error
      return await this.#write(topicId, writes, span, false)
    }
  }

  async #write (
    topicId: string, writes: readonly PartitionRows[], span: Span | undefined, isNewTrusted: boolean
  ): Promise<WriteOutcome> {
    const client = await this.#connected()
    let isCommitting = false
    try {
      await client.query('begin')
      const moves = writes.map(it => it.move)
      const fenced = await moveProgress(client, topicId, moves)
      const refused = fenced.length > 0 ? fenced : await removeMisplaced(client, moves)
      if (refused.length > 0) {
        const { rows: [row] } = await client.query<{ history_id: string }>('select history_id from current_history')
        await client.query('rollback')
        return { kind: 'refused', partitions: refused, historyId: row?.history_id ?? null }
      }
      await spanned(span, 'COPY', async () => {
        await writeRows(client, writes, isNewTrusted)
        await writeJournal(client, writes)
        await writeMisplaced(client, writes.flatMap(it => it.misplaced))
        await writeArrivals(client, writes)
        await announceRollups(client, writes)
        if (span) await announceTrace(client, formatTraceparent(span))
      })
      isCommitting = true
      await spanned(span, 'COMMIT', () => client.query('commit'))
      return { kind: 'committed' }
    } catch (error) {
      this.#client = undefined
      client.release(true) // its state is unknown, so the next write gets a new one
      if (isCommitting) return { kind: 'unknown', error }
      throw error
    }
  }

  close (): void {
    this.#client?.release(true)
    this.#client = undefined
  }

  async #connected (): Promise<PoolClient> {
    if (this.#client) return this.#client
    const client = await this.#database.connect()
    try {
      await prepareIncoming(client)
    } catch (error) {
      client.release(true)
      throw error
    }
    return (this.#client = client)
  }
}
