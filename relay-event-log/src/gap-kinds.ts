/**
 * Gaps of an event log: records that were gone before they were read, or that took the offsets of others that were
 * read. A fetcher finds one (kafka/gap.ts, postgres/fetcher.ts). The processor handles it (relay-processor, `gaps.ts`),
 * and stores it in the table `gaps` (`progress.ts` there).
 */
export const gapKinds = ['offset-out-of-range', 'topic-recreated', 'records-replaced'] as const

export type GapKind = typeof gapKinds[number]
