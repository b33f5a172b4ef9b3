/**
 * Tells from outside, and without polling, how far a processor is: a trigger on its progress sends a notification with
 * each claim and each move, and PostgreSQL delivers it when the transaction has been committed.
 */
import type { Database } from 'relay-common'

export interface ProgressWatch extends Disposable {
  /** time of the first claim of any partition, on the monotonic clock: from here on the processor reads */
  readonly claimed: Promise<number>
  /** time at which every partition had come to its end */
  readonly ended: Promise<number>
}

const CHANNEL = 'bench_progress'

/** @param ends where each partition of the topic ends; one that is empty is not waited for */
export async function watchProgress (database: Database, ends: ReadonlyMap<number, bigint>): Promise<ProgressWatch> {
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
  const ended = Promise.withResolvers<number>()
  const open = new Set([...ends].filter(([, end]) => end > 0n).map(([partition]) => partition))
  client.on('notification', ({ payload = '' }) => {
    const [partition, offset] = payload.split(' ')
    claimed.resolve(performance.now())
    if (BigInt(offset) >= ends.get(Number(partition))!) open.delete(Number(partition))
    if (open.size === 0) ended.resolve(performance.now())
  })
  await client.query(`listen ${CHANNEL}`)
  return {
    claimed: claimed.promise,
    ended: ended.promise,
    [Symbol.dispose]: () => client.release(true)
  }
}
