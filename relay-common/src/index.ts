export {
  createApiKeyParts, formatApiKey, hashSecret, KEY_ENVIRONMENT_PATTERN, looksLikeApiKey, parseApiKey, withNewSecret
} from './access/api-key.ts'
export type { ApiKeyParts } from './access/api-key.ts'
export {
  API_KEY_NAME_UNITS_MAX, createApiKey, findApiKey, findApiKeys, listApiKeys, revokeApiKey, rotateApiKey, touchApiKeys
} from './access/api-key-store.ts'
export type { IssuedApiKey, NewApiKey, StoredApiKey } from './access/api-key-store.ts'
export { writeAudit } from './access/audit-log.ts'
export type { Actor } from './access/audit-log.ts'
export {
  allowLogin, databaseLogins, databaseRoles, databaseUserOf, keepPassword, scramSecret
} from './access/database-login.ts'
export type { DatabaseLogin } from './access/database-login.ts'
export {
  claimFault, everything, foreignField, intersectGrants, isLimited, isScope, isWithin, mayDevice, mayZone,
  narrowGrants, scopes
} from './access/grants.ts'
export type { EventGrants, Grants, Scope } from './access/grants.ts'
export { WELL_KNOWN_TOKEN } from './access/well-known-token.ts'
export { isLoopback, normaliseAddress } from './address.ts'
export { firstAtOrAfter, lastAtOrBefore } from './rollups/ascending.ts'
export { boundConnections, endHard, mayAnswer, serverOptions, sharesOfProbes } from './bound-connections.ts'
export type { BoundConnections, ConnectionShares } from './bound-connections.ts'
export { ByteReader, ByteWriter } from './bytes.ts'
export {
  databaseSettings, eventLogConnectionSettings, eventLogSettings, eventSettings, healthPort, keepMsOf, programSettings,
  readConfig, retentionSettings, splitList, tracingSettings
} from './config.ts'
export { connectionOptions, describeDatabase } from './database/connection-settings.ts'
export type { DatabaseSettings } from './database/connection-settings.ts'
export { isConnectionError, isTimeout } from './database/database-errors.ts'
export { databaseFor, liftTimeLimits, openDatabase } from './database/database.ts'
export type { Database, ForWhom, PoolClient, SessionUse } from './database/database.ts'
export { DIGEST_EXACT_VALUES_MAX, DIGEST_RELATIVE_ERROR } from './rollups/digest.ts'
export type { Digest } from './rollups/digest.ts'
export { parseDuration, unitsMs } from './duration.ts'
export type { DurationUnit } from './duration.ts'
export { errorCodes, RelayError } from './errors.ts'
export type { ErrorCode } from './errors.ts'
export {
  deadLetterHeaders, deadLetterReasons, ingestReasons, decodeDeadLetter, toDeadLetterRecord
} from './dead-letter.ts'
export type { DeadLetterInfo, DeadLetterReason, NewDeadLetter } from './dead-letter.ts'
export { notReplayedReasons, openReplayGuard, replayLetters } from './dead-letter-replay.ts'
export type { NotReplayed, ReplayTopics } from './dead-letter-replay.ts'
export {
  copyOfRecord, findLetters, listedLetter, listLetters, parseLetterPlace, topicPartsSince, readLetters, readTopicParts
} from './dead-letter-topic.ts'
export type {
  Letter, LetterFilter, LetterList, LetterPlace, LetterTopic, ListedLetter, ListPosition, OnRecord
} from './dead-letter-topic.ts'
export {
  decodeEvent, EVENT_BYTES_MAX, ID_UNITS_MAX, isId, oldestTakenMs, decodeClaims, rejectedReasons
} from './event/event.ts'
export type { Claims, Decoded, DeviceEvent, EventRules, FieldName, RejectedReason } from './event/event.ts'
export type { KafkaSettings } from './event-log/kafka/client.ts'
export { catchUp, waitForPartitions } from './event-log/catch-up.ts'
export { warnOfCompaction } from './event-log/compacted-topic.ts'
export { groupOver, serveGroup, splitGroup } from './event-log/split-group.ts'
export { partitionOf } from './event-log/key-partition.ts'
export { eventLogKind, openEventLog, openKafkaEventLog } from './event-log/open.ts'
export type { EventLogConfig } from './event-log/open.ts'
export type {
  ConsumerNews, ConsumerSettings, EventConsumer, EventLog, EventProducer, JoinGroup, LoggedRecord, PartitionOffsets,
  ProducedRecord,
  RecordMark, RecordSet, RecordVisitor, Topic, TopicSettings
} from './event-log/port.ts'
export { addTimes, addValue, divideSum, divideSums, emptySum, roundSum } from './rollups/exact-sum.ts'
export type { ExactSum } from './rollups/exact-sum.ts'
export { gapKinds } from './gap-kinds.ts'
export type { GapKind } from './gap-kinds.ts'
export { healthRoutes, listen, startHealthServer, startMetricsServer } from './health.ts'
export type { HealthSettings, Listening, Readiness } from './health.ts'
export { isHostOurs } from './hosts.ts'
export {
  deviceBlockOf, groupBlockOf, journalBlockOf, journalBlocksIn, JournalRow, JournalWriter, kindOfBlock, lateBlockOf,
  lateJournalBlockOf, decodeJournal
} from './rollups/journal-row.ts'
export type { JournalContent, JournalVisitor } from './rollups/journal-row.ts'
export { ignorePostgresVariables, passByProxies } from './local-environment.ts'
export { apiUrlOf, isRunning, publishLocalStack, withLocalStack } from './local-stack.ts'
export { createLogger } from './log.ts'
export type { Logger } from './log.ts'
export {
  Counter, createCounterBy, createMetrics, createProcessMetrics, createWeightedHistogram, Gauge, Histogram,
  measureDegraded, Registry, writeMetrics
} from './metrics.ts'
export type { MetricValues, WeightedHistogram } from './metrics.ts'
export { createTracedHistogram, writeOpenMetrics } from './open-metrics.ts'
export { migrate, pendingMigrations } from './database/migrate.ts'
export { readNextOffsets } from './next-offsets.ts'
export { closeKeepAlive } from './close-keep-alive.ts'
export { printable, printableJson, printableLines } from './printable.ts'
export { createDatabaseProbe } from './database/probe-database.ts'
export type { DatabaseProbe } from './database/probe-database.ts'
export { nodeArgsOf, runProgram } from './program.ts'
export type { ProgramConfig, Running } from './program.ts'
export { instanceName, readPrograms, reportProgram } from './program-reports.ts'
export type { ProgramMeasurements, ProgramReport } from './program-reports.ts'
export { bracketsOf } from './rollups/quantile.ts'
export type { CountedBracket, Estimate, Fraction } from './rollups/quantile.ts'
export {
  cutReadings, decodeReadings, emptyReadings, encodeReadings, mergeReadings, READINGS_ENCODED_MAX, readingsByBucket
} from './rollups/readings.ts'
export type { MergedReadings, Readings } from './rollups/readings.ts'
export {
  average, emptyRollup, foldReading, foldReadings, foldUnsorted, median, mergeRollup, quantile, standardDeviation,
  sumReadings,
  total
} from './rollups/rollup.ts'
export type { Rollup } from './rollups/rollup.ts'
export { interpolate } from './rollups/rounding.ts'
export {
  appendReadingsBody, appendRollupBody, decodeBody, decodeContent, encodeReadingsBody, encodeRollupBody,
  isBodyOf, READINGS_PER_ROW_MAX_DEFAULT
} from './rollups/rollup-row.ts'
export type { DecodedRow, RollupRow, RowContent } from './rollups/rollup-row.ts'
export { decodeNames, scanEvent } from './event/scan-event.ts'
export type { Names } from './event/scan-event.ts'
export { createScannedEvent, setBuffer } from './event/scanned-event.ts'
export type { ScannedEvent } from './event/scanned-event.ts'
export { scanIsoTime, scanSeconds, scanValue } from './event/scan-scalars.ts'
export { findRetentionDifferences, maySetRetention, setRetention } from './retention.ts'
export type { RetentionDays } from './retention.ts'
export { fromPlainError, linkThread, toPlainError } from './thread-link.ts'
export type { PlainError, ThreadLink } from './thread-link.ts'
export { readTls } from './tls.ts'
export { parseEpochSeconds, parseTimestamp, YEAR_0_MS, YEAR_10000_MS } from './event/timestamp.ts'
export { openTracer } from './tracing/open.ts'
export type { TracingConfig } from './tracing/open.ts'
export { LINKS_MAX, spanned, traceFields } from './tracing/port.ts'
export type { Attributes, Link, Span, SpanOptions, TraceContext, Tracer } from './tracing/port.ts'
export { createSampling } from './tracing/sampling.ts'
export type { Sampling } from './tracing/sampling.ts'
export {
  readTracedDevices, traceDevice, TRACED_DEVICES_MAX, TRACED_FOR_MAX_MS
} from './tracing/traced-devices.ts'
export { formatTraceparent, parseTraceparent, TRACEPARENT } from './tracing/traceparent.ts'
export type { ReceivedContext } from './tracing/traceparent.ts'
export { version } from './version.ts'
export { Wakeup } from './wakeup.ts'
export { bucketStartMs, DAY_MS, dayLevel, HOUR_MS, hourLevel, levels, MINUTE_MS, minuteLevel } from './window.ts'
export type { Level, LevelName, TimeRange } from './window.ts'
export { within } from './within.ts'
