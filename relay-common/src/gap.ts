/** Gaps of an event log: records that were deleted before they were read. Each is a row of the table `gaps`. */
export const gapKinds = ['offset-out-of-range', 'topic-recreated'] as const

export type GapKind = typeof gapKinds[number]
