import { setTimeout as delay } from 'node:timers/promises'

import { until } from 'relay-test-support/until.ts'
import type { Drill } from '../drill.ts'
import type { DrillSite } from '../site.ts'
import { lastReplayedMs } from './database-lost.ts'

const UNSENT_MS = 3_000

/** The primary is gone, and its replica lacks the last commits. */
export function primaryLost (): Drill {
  let destroyedMs = 0
  return {
    name: 'primary-lost',
    title: 'primary lost: a replica without its last commits promoted',
    prepare: setUpReplica,
    async destroy ({ replication, databaseHost }) {
      replication.isRefusing = true
      replication.cut()
      await delay(UNSENT_MS)
      await databaseHost.destroy()
      destroyedMs = Date.now()
    },
    async recover ({ operator, address, replicaHost }) {
      await operator.follow('Primary lost, with a replica')
      address.serverPort = replicaHost.port
    },
    lostCommitsMs: async site => destroyedMs - await lastReplayedMs(site)
  }
}

export async function setUpReplica ({ operator, database }: DrillSite): Promise<void> {
  await operator.follow('Set up a replica')
  await until('the replica to stream', async () =>
    (await database.query("select from pg_stat_replication where state = 'streaming'")).length === 1)
}
