export { firstAtOrAfter, lastAtOrBefore } from './ascending.ts'
export { ByteReader, ByteWriter } from './bytes.ts'
export { DIGEST_EXACT_VALUES_MAX, DIGEST_RELATIVE_ERROR } from './digest.ts'
export type { Digest } from './digest.ts'
export { eventSettings } from './event/event-settings.ts'
export {
  decodeClaims, decodeEvent, EVENT_BYTES_MAX, ID_UNITS_MAX, isId, oldestTakenMs, rejectedReasons
} from './event/event.ts'
export type { Claims, Decoded, DeviceEvent, EventRules, FieldName, RejectedReason } from './event/event.ts'
export { decodeNames, scanEvent } from './event/scan-event.ts'
export type { Names } from './event/scan-event.ts'
export { scanIsoTime, scanSeconds, scanValue } from './event/scan-scalars.ts'
export { createScannedEvent, setBuffer } from './event/scanned-event.ts'
export type { ScannedEvent } from './event/scanned-event.ts'
export { parseEpochSeconds, parseTimestamp, YEAR_0_MS, YEAR_10000_MS } from './event/timestamp.ts'
export { addTimes, addValue, divideSum, divideSums, emptySum, roundSum } from './exact-sum.ts'
export type { ExactSum } from './exact-sum.ts'
export {
  decodeJournal, deviceBlockOf, groupBlockOf, journalBlockOf, journalBlocksIn, JournalRow, JournalWriter, kindOfBlock,
  lateBlockOf, lateJournalBlockOf
} from './journal-row.ts'
export type { JournalContent, JournalVisitor } from './journal-row.ts'
export { readNextOffsets, readProgress, readProgressByName } from './stored-progress.ts'
export type { StoredProgress } from './stored-progress.ts'
export { bracketsOf } from './quantile.ts'
export type { CountedBracket, Estimate, Fraction } from './quantile.ts'
export {
  cutReadings, decodeReadings, emptyReadings, encodeReadings, mergeReadings, READINGS_ENCODED_MAX, readingsByBucket
} from './readings.ts'
export type { MergedReadings, Readings } from './readings.ts'
export { findRetentionDifferences, keepMsOf, maySetRetention, retentionSettings, setRetention } from './retention.ts'
export type { RetentionDays } from './retention.ts'
export {
  appendReadingsBody, appendRollupBody, decodeBody, decodeContent, encodeReadingsBody, encodeRollupBody, isBodyOf,
  mergeRow, READINGS_PER_ROW_MAX_DEFAULT
} from './rollup-row.ts'
export type { DecodedRow, RollupRow, RowContent } from './rollup-row.ts'
export {
  average, emptyRollup, foldReading, foldReadings, foldUnsorted, median, mergeRollup, quantile, standardDeviation,
  sumReadings, total
} from './rollup.ts'
export type { Rollup, RollupParts } from './rollup.ts'
export { interpolate } from './rounding.ts'
export { bucketStartMs, DAY_MS, dayLevel, HOUR_MS, hourLevel, levels, MINUTE_MS, minuteLevel } from './window.ts'
export type { Level, LevelName, TimeRange } from './window.ts'
