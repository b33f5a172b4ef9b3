export { notReplayedReasons, openReplayGuard, replayLetters } from './dead-letter-replay.ts'
export type { NotReplayed, ReplayTopics } from './dead-letter-replay.ts'
export {
  copyOfRecord, findLetters, listedLetter, listLetters, parseLetterPlace, readLetters, readTopicParts, topicPartsSince
} from './dead-letter-topic.ts'
export type {
  Letter, LetterFilter, LetterList, LetterPlace, LetterTopic, ListedLetter, ListPosition, OnRecord
} from './dead-letter-topic.ts'
export {
  deadLetterHeaders, deadLetterReasons, decodeDeadLetter, ingestReasons, toDeadLetterRecord
} from './dead-letter.ts'
export type { DeadLetterInfo, DeadLetterReason, LetterClaim, NewDeadLetter } from './dead-letter.ts'
