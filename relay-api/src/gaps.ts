/**
 * Recorded gaps of the event log, as seen by the API: a processor may end at a gap before anybody scrapes its counter.
 */
import { Counter, within, type Database, type Logger, type Registry } from 'relay-common'
import { gapKinds, type GapKind } from 'relay-event-log'

/** A scrape does not wait longer for them. */
const WAIT_MAX_MS = 2_000

/** Adds the counter `relay_api_gaps_total`; it has no values while the database is unreachable. */
export function measureGaps (database: Database, metrics: Registry, log: Logger): void {
  new Counter({ // eslint-disable-line no-new
    name: 'relay_api_gaps_total',
    help: 'Gaps recorded in the log (records gone before they were read), by kind',
    labelNames: ['kind'],
    registers: [metrics],
    async collect () {
      const counts = await within(WAIT_MAX_MS, countGaps(database)).catch(error => {
        log.debug({ err: error }, 'could not count the gaps')
      })
      this.reset()
      if (counts) for (const kind of gapKinds) this.inc({ kind }, counts.get(kind) ?? 0)
    }
  })
}

async function countGaps (database: Database): Promise<Map<string, number>> {
  const rows = await database.queryPrepared<{ kind: string, gaps: bigint }>('gaps',
    'select kind, count(*) as gaps from gaps group by kind')
  return new Map(rows.map(it => [it.kind, Number(it.gaps)]))
}

export interface RecordedGap {
  readonly topic: string
  readonly partition: number
  readonly kind: GapKind
  readonly expectedOffset: bigint
  readonly availableOffset: bigint
  readonly foundMs: number
}

/** The newest gaps, and how many there are. */
export async function readGaps (
  database: Database, limit: number
): Promise<{ readonly total: number, readonly newest: readonly RecordedGap[] }> {
  const rows = await database.query<{
    topic: string,
    source_partition: number,
    kind: GapKind,
    expected_offset: bigint,
    available_offset: bigint,
    found_at: number,
    total: bigint
  }>(`
    select topic, source_partition, kind, expected_offset, available_offset, found_at, count(*) over () as total
    from gaps order by gap_id desc limit $1`, [limit])
  return {
    total: Number(rows[0]?.total ?? 0n),
    newest: rows.map(it => ({
      topic: it.topic,
      partition: it.source_partition,
      kind: it.kind,
      expectedOffset: it.expected_offset,
      availableOffset: it.available_offset,
      foundMs: it.found_at
    }))
  }
}
