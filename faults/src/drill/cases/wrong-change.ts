import { setTimeout as delay } from 'node:timers/promises'

import type { Drill } from '../drill.ts'
import { backUp } from './database-lost.ts'

const AFTERWARDS_MS = 3_000

/** Somebody deleted rollups. The database goes back to the time before, while everything is still running. */
export function wrongChange (): Drill {
  let targetTime = ''
  return {
    name: 'wrong-change',
    title: 'a table emptied by hand: restored to the time before',
    async prepare (site) {
      await backUp(site)
      await delay(1_000) // names of backups are whole seconds
      await site.moreCommits()
    },
    async destroy (site) {
      const [{ now }] = await site.database.query<{ now: string }>(
        "select to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD HH24:MI:SS.US+00') as now")
      targetTime = now
      await site.database.query('delete from rollups_hour')
      await site.database.query('truncate journal')
      await delay(AFTERWARDS_MS) // until somebody notices
    },
    async recover ({ operator }) {
      await operator.follow('Wrong change of the database', { TARGET_TIME: targetTime })
    },
    async lostCommitsMs () { return AFTERWARDS_MS } // what was committed since then is meant to be gone
  }
}
