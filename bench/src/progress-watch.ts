/**
 * Observes the progress of a processor from outside, without polling: a trigger on its progress notifies of each claim
 * and each move, and PostgreSQL delivers that after the commit.
 */
import type { Database } from 'relay-common'

export interface ProgressWatch extends Disposable {
  /** time of the first claim of any partition, on the monotonic clock: from here on the processor reads */
  readonly claimed: Promise<number>
  /**
   * Resolves with the time at which every partition has reached its end. One wait at a time.
   * @param ends by partition, from `readEnds`; empty ones are skipped
   */
  reached (ends: ReadonlyMap<number, bigint>): Promise<number>
}

const CHANNEL = 'bench_progress'

export async function watchProgress (database: Database): Promise<ProgressWatch> {
  await database.query(`
    create function tell_progress () returns trigger language plpgsql as $$
    begin
      perform pg_notify('${CHANNEL}', new.source_partition || ' ' || new.next_offset);
      return null;
    end $$`)
  await database.query(`
    create trigger tell_progress after insert or update on progress for each row execute function tell_progress()`)
  const client = await database.connect()
  const claimed = Promise.withResolvers<number>()
  const offsets = new Map<number, bigint>()
  let look = () => {}
  client.on('notification', ({ payload = '' }) => {
    const [partition, offset] = payload.split(' ')
    offsets.set(Number(partition), BigInt(offset))
    claimed.resolve(performance.now())
    look()
  })
  await client.query(`listen ${CHANNEL}`)
  return {
    claimed: claimed.promise,
    reached: ends => new Promise(resolve => {
      look = () => {
        if ([...ends].every(([partition, end]) => (offsets.get(partition) ?? 0n) >= end)) resolve(performance.now())
      }
      look()
    }),
    [Symbol.dispose]: () => client.release(true)
  }
}
