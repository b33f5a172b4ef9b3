/** Replays dead letters: which ones may go to the events topic again, and how they are sent. */
import { claimFault, type EventGrants, findApiKey, intersectGrants } from 'relay-access'
import type { Database } from 'relay-common'
import { REPLAYED_AT_HEADER, REPLAYED_HEADER, type Letter } from './dead-letter-topic.ts'
import type { ProducedRecord } from 'relay-event-log'

/** on the record in the events topic: the place of the letter that it comes from */
export const REPLAY_OF_HEADER = 'relay-replay-of'

/** Why a letter is not sent again. */
export const notReplayedReasons = ['replayed-before', 'corrupt', 'truncated', 'not-granted'] as const

export interface NotReplayed {
  readonly reason: typeof notReplayedReasons[number]
  /** in words */
  readonly detail: string
}

const KEY_PRINCIPAL = 'key:'

/**
 * Decides which letters may be sent to the events topic. A letter that was refused by the API needs a sender who was
 * allowed to send its event then, and still is if its key exists. A letter from that topic may always be sent again.
 * @returns why a letter is not sent; undefined: it may be. `again`: also one that was replayed before
 */
export function openReplayGuard (
  database: Database
): (letter: Letter, again: boolean) => Promise<NotReplayed | undefined> {
  const present = new Map<string, Promise<EventGrants | undefined>>()
  const grantsOf = (principal: string) => {
    if (!principal.startsWith(KEY_PRINCIPAL)) return undefined
    const known = present.get(principal) ??
      findApiKey(database, principal.slice(KEY_PRINCIPAL.length)).then(it => it?.grants)
    present.set(principal, known)
    return known
  }
  const grantFault = async ({ principal, grants, value }: Letter) => {
    if (principal === undefined) return undefined
    if (!grants) return `the permissions of ${principal} are unknown`
    const now = await grantsOf(principal)
    const fault = claimFault(now ? intersectGrants(grants, now) : grants, value)
    if (fault === undefined) return undefined
    return fault === 'unreadable'
      ? `its device and zone can't be read, and ${principal} may not send for all`
      : `${principal} may not send for its ${fault}`
  }
  return async (letter, again) => {
    if (letter.replayedAt !== undefined && !again) return { reason: 'replayed-before', detail: `it was replayed at ${letter.replayedAt}` }
    if (letter.reason === 'batch-corrupt') return { reason: 'corrupt', detail: 'its bytes are no record' }
    if (letter.valueBytes !== undefined) return { reason: 'truncated', detail: 'only its source has the whole record' }
    const detail = await grantFault(letter)
    return detail === undefined ? undefined : { reason: 'not-granted', detail }
  }
}

export interface ReplayTopics {
  readonly events: string
  readonly deadLetters: string
}

/**
 * Sends letters, then marks them. After a crash in between they are sent again by the next replay: events count once,
 * and invalid ones become another letter.
 * @param send appends records to a topic; resolves when they are durable
 */
export async function replayLetters (
  letters: readonly Letter[],
  topics: ReplayTopics,
  send: (topic: string, records: readonly ProducedRecord[]) => Promise<void>
): Promise<void> {
  const at = new Date().toISOString()
  await send(topics.events, letters.map(({ key, value, place }): ProducedRecord =>
    ({ key, value, headers: { [REPLAY_OF_HEADER]: place } })))
  await send(topics.deadLetters, letters.map(({ place }): ProducedRecord =>
    ({ key: null, value: null, headers: { [REPLAYED_HEADER]: place, [REPLAYED_AT_HEADER]: at } })))
}
