import { until } from 'relay-test-support/until.ts'
import type { Drill } from '../drill.ts'
import type { DrillSite } from '../site.ts'

const ARCHIVE_LIMIT_MS = 180_000

/** The host of the database is gone with all its data. There are a base backup and archived WAL. */
export function databaseLost (): Drill {
  let destroyedMs = 0
  return {
    name: 'database-lost',
    title: 'database host lost: base backup and WAL archive',
    async prepare (site) {
      await backUp(site)
      await site.moreCommits()
      await untilArchived(site) // else there would be nothing to recover from it
    },
    async destroy ({ databaseHost }) {
      await databaseHost.destroy()
      destroyedMs = Date.now()
    },
    async recover ({ operator }) {
      await operator.follow('Database host lost')
    },
    lostCommitsMs: async site => destroyedMs - await lastReplayedMs(site)
  }
}

export async function backUp ({ operator }: DrillSite): Promise<void> {
  await operator.follow('Archive the WAL')
  await operator.follow('Take a base backup')
}

/** Waits until WAL after the base backup is archived. */
async function untilArchived ({ database }: DrillSite): Promise<void> {
  const archived = async () => {
    const [row] = await database.query<{ count: number }>(
      "select archived_count::integer as count from pg_stat_archiver where last_archived_wal not like '%backup'")
    return row?.count ?? 0
  }
  const before = await archived()
  await until('WAL to be archived', async () => await archived() > before, ARCHIVE_LIMIT_MS)
}

/** Time of the last commit that the recovery of the database has replayed. */
export async function lastReplayedMs ({ database }: DrillSite): Promise<number> {
  const [{ ms }] = await database.query<{ ms: number }>(
    'select (extract(epoch from pg_last_xact_replay_timestamp()) * 1000)::double precision as ms')
  return ms
}
