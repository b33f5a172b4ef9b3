/** Spans of live streams, with links to the flushes whose changes they sent (`traced_flushes`). */
import { LINKS_MAX, parseTraceparent, type Database, type Tracer } from 'relay-common'

import type { Commit } from './commits.ts'

/** A round of the hub. */
export interface Round {
  readonly startedMs: number
  readonly endedMs: number
  readonly commits: readonly Commit[]
  /** number of clients that have the changes now */
  readonly clients: number
}

/** Records a span if any of the flushes has a trace. Call it after the round: nobody waits for it. */
export async function traceRound (
  database: Database, tracer: Tracer, { startedMs, endedMs, commits, clients }: Round
): Promise<void> {
  const xactIds = [...new Set(commits.map(it => String(it.xactId)))]
  const rows = await database.queryPrepared<{ traceparent: string }>('read traced flushes',
    `select traceparent from traced_flushes where xact_id = any($1::xid8[]) limit ${LINKS_MAX}`, [xactIds])
  const links = rows.flatMap(it => parseTraceparent(it.traceparent) ?? []).map(context => ({ context }))
  if (links.length === 0) return
  tracer.start('stream', { kind: 'producer', links, startMs: startedMs, attributes: { 'relay.clients': clients } })
    .end(undefined, endedMs)
}
