import assert from 'node:assert/strict'

import { decodeDeadLetter, type DeadLetterInfo } from 'relay-dead-letters'
import type { LoggedRecord } from 'relay-event-log'

import type { Site } from './open-processor.ts'

export type Letter = DeadLetterInfo & Pick<LoggedRecord, 'key' | 'value'>

/** All dead letters of a site, in the order of writing. */
export async function readDeadLetters ({ eventLog, config }: Pick<Site, 'eventLog' | 'config'>): Promise<Letter[]> {
  const letters: Letter[] = []
  for (const { partition, startOffset, endOffset } of await eventLog.readOffsets(config.DEAD_LETTERS_TOPIC)) {
    const records = eventLog.readRecords(config.DEAD_LETTERS_TOPIC, partition, startOffset, endOffset)
    for await (const { key, value, headers } of records) {
      const letter = decodeDeadLetter(headers)
      assert.ok(letter, 'a record of the topic is no dead letter')
      letters.push({ ...letter, key, value })
    }
  }
  return letters
}
