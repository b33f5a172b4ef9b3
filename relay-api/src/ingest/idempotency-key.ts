/**
 * Idempotency keys: requests with the same `Idempotency-Key` have one effect and one answer. According to
 * draft-ietf-httpapi-idempotency-key-header.
 *
 *     (no row) ──claim──▶ in progress ──store──▶ answered ──expires_at──▶ (no row)
 *                          │   │ the request failed: release
 *                          │   └──────────────▶ (no row)
 *                          └─ its process died: claimed_until passes, and the next request claims it
 *
 * In the last case events may be in the log twice; as duplicates they count once.
 */
import { randomUUID } from 'node:crypto'

import { RelayError, type Database, type Logger } from 'relay-common'

/** A stored answer, to be sent again. */
export interface KeptAnswer {
  readonly status: number
  /** JSON */
  readonly text: string
}

/** The answer of a request. */
export interface MadeAnswer extends KeptAnswer {
  /** false: a repeated request is processed again */
  readonly isKept: boolean
}

export interface KeyedRequest {
  /** SHA-256 of the caller: each has its own keys */
  readonly caller: Buffer
  readonly key: string
  /** SHA-256 of the body */
  readonly bodyHash: Buffer
}

export interface IdempotentAnswers {
  /**
   * Does the work of a request unless it was done before.
   * @returns the answer of `work`, or the stored one
   * @throws RelayError RELAY_IDEMPOTENCY_KEY_IN_USE while the first request is in progress,
   *   RELAY_IDEMPOTENCY_KEY_REUSED if that had another body; what `work` throws, and then nothing is stored
   */
  once (request: KeyedRequest, work: () => Promise<MadeAnswer>): Promise<KeptAnswer & { readonly isReplayed: boolean }>
  close (): Promise<void>
}

/** Longer than any send; an older claim is from a process that died. */
const CLAIM_S = 120
const SWEEP_INTERVAL_MS = 60_000
/** Answers deleted per statement: bounds its locks and WAL. */
const SWEEP_SLICE = 500

interface Row {
  readonly body_hash: Buffer
  readonly status: number | null
  readonly answer: string | null
}

export function openIdempotentAnswers (database: Database, keepHours: number, log: Logger): IdempotentAnswers {
  const closing = new AbortController()
  const sweep = async () => {
    try {
      while (!closing.signal.aborted && await dropExpired(database) === SWEEP_SLICE);
    } catch (error) {
      log.warn({ err: error }, 'could not delete expired idempotency answers; retrying in a minute')
    }
  }
  let sweeping = Promise.resolve()
  const timer = setInterval(() => { sweeping = sweeping.then(sweep) }, SWEEP_INTERVAL_MS).unref()

  return {
    async once (request, work) {
      const claim = randomUUID()
      const kept = await claimKey(database, request, claim, keepHours)
      if (kept) return { ...kept, isReplayed: true }
      let answer: MadeAnswer
      try {
        answer = await work()
      } catch (error) {
        await release(database, request, claim)
          .catch(it => log.warn({ err: it }, 'could not release an idempotency claim; it expires by itself'))
        throw error
      }
      if (!answer.isKept) {
        await release(database, request, claim)
          .catch(it => log.warn({ err: it }, 'could not release an idempotency claim; it expires by itself'))
        return { ...answer, isReplayed: false }
      }
      // the events are in the log, so a failure to store this must not fail the answer
      await keep(database, request, claim, answer).catch(it => log.error(
        { err: it }, 'could not store an idempotency answer'
      ))
      return { ...answer, isReplayed: false }
    },
    async close () {
      closing.abort()
      clearInterval(timer)
      await sweeping
    }
  }
}

/** @returns the stored answer; undefined: the key is ours */
async function claimKey (
  database: Database, { caller, key, bodyHash }: KeyedRequest, claim: string, keepHours: number
): Promise<KeptAnswer | undefined> {
  for (;;) { // a conflicting row may be gone when we read it
    const claimed = await database.queryPrepared('claim idempotency key', `
      insert into ingest_answers as a (caller, idempotency_key, body_hash, claim, claimed_until, expires_at)
      values ($1, $2, $3, $4, now() + $5 * interval '1 s', now() + $6 * interval '1 h')
      on conflict (caller, idempotency_key) do update
        set body_hash = excluded.body_hash, claim = excluded.claim, claimed_until = excluded.claimed_until,
          expires_at = excluded.expires_at, status = null, answer = null
        where a.expires_at < now() or a.status is null
          -- twice as far ahead: it is from before the clock of the database was set back
          and (a.claimed_until < now() or a.claimed_until > now() + 2 * $5 * interval '1 s')
      returning claim`, [caller, key, bodyHash, claim, CLAIM_S, keepHours])
    if (claimed.length > 0) return undefined

    const [row] = await database.queryPrepared<Row>('read stored answer', `
      select body_hash, status, answer from ingest_answers where caller = $1 and idempotency_key = $2`, [caller, key])
    if (!row) continue
    if (!row.body_hash.equals(bodyHash)) {
      throw new RelayError('RELAY_IDEMPOTENCY_KEY_REUSED',
        'this Idempotency-Key was used with another body; use a new key for each request',
        { parameter: 'Idempotency-Key' })
    }
    if (row.status === null || row.answer === null) {
      throw new RelayError('RELAY_IDEMPOTENCY_KEY_IN_USE',
        'the first request with this Idempotency-Key is still in progress', { parameter: 'Idempotency-Key' })
    }
    return { status: row.status, text: row.answer }
  }
}

async function keep (
  database: Database, { caller, key }: KeyedRequest, claim: string, { status, text }: KeptAnswer
): Promise<void> {
  await database.queryPrepared('store answer', `
    update ingest_answers set status = $4, answer = $5 where caller = $1 and idempotency_key = $2 and claim = $3`,
  [caller, key, claim, status, text])
}

async function release (database: Database, { caller, key }: KeyedRequest, claim: string): Promise<void> {
  await database.queryPrepared('release idempotency key',
    'delete from ingest_answers where caller = $1 and idempotency_key = $2 and claim = $3', [caller, key, claim])
}

/** @returns their number, at most SWEEP_SLICE */
async function dropExpired (database: Database): Promise<number> {
  const dropped = await database.query(`
    delete from ingest_answers where ctid = any(array(
      select ctid from ingest_answers where expires_at < now() limit ${SWEEP_SLICE} for update skip locked
    )) returning 1`)
  return dropped.length
}
