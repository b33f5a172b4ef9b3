import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'

import type { Database } from 'relay-common'

import { until } from 'relay-test-support/until.ts'

/** Kills a processor (kill -9) in the flush of what `send` sends, which waits for a lock before its commit. */
export async function killBeforeCommit (
  processor: ChildProcess, database: Database, send: () => Promise<void>
): Promise<void> {
  const blocker = await database.connect()
  await blocker.query('begin')
  await blocker.query('lock table progress in exclusive mode')
  await send()
  await until('the flush to wait', async () => (await database.query(
    "select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()")).length > 0)
  const exited = once(processor, 'exit')
  processor.kill('SIGKILL')
  await exited
  await blocker.query('rollback')
  blocker.release()
}
