/** Bugs that a store or its user might have. The simulation must detect each of them. */
export const bugs = {
  'no-fence': 'progress moves whoever asks, from wherever it is',
  'offset-first': 'progress moves before the rows, in a transaction of its own',
  'no-read-back': 'rows are written over as if nothing had been there',
  'new-by-mistake': 'a claim does not tell how far its partition had come, so that rows that are there pass ' +
    'for new ones',
  'kept-after-fencing': 'an owner that was fenced takes the partition back and goes on with what it has in memory',
  'counted-apart': 'what came late or again is counted before the transaction commits, and stays if it does not',
  'misplaced-kept': 'readings that have come home stay where they were handed over, and come home again',
  'misplaced-early': 'readings go home before the progress of the partition that they came by is committed',
  'homes-unfenced': 'partitions are added and devices get other homes, while owners go by the ones of before',
  'not-elsewhere': 'a new home does not look for resends where its devices were at home before',
  'history-unnoticed': 'after a restore the database looks as if it had never been another one',
  'history-unfenced': 'a write goes by epoch and offset alone, which may be those of before a restore',
  'compacted-twice': 'what became rows stays in the journal',
  'journal-lost': 'progress moves, and what goes to the journal is not written now and then',
  'journal-early': 'what becomes rows leaves the journal before the transaction commits',
  'journal-unread': 'a claim does not read what the owner before has left in the journal',
  'generation-ignored': 'a claim does not ask which generation of processors its partition belongs to',
  'standby-deaf': 'who stands by does not learn that a partition is its own now',
  'commit-guessed': 'a commit without an answer counts as done'
} as const

export type Bug = keyof typeof bugs
