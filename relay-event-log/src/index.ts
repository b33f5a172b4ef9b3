export { catchUp, waitForPartitions } from './catch-up.ts'
export { warnOfCompaction } from './compacted-topic.ts'
export { gapKinds } from './gap-kinds.ts'
export type { GapKind } from './gap-kinds.ts'
export type { KafkaSettings } from './kafka/client.ts'
export { partitionOf } from './key-partition.ts'
export { eventLogKind, openEventLog, openKafkaEventLog } from './open.ts'
export type { EventLogConfig } from './open.ts'
export type {
  ConsumerNews, ConsumerSettings, EventConsumer, EventLog, EventProducer, JoinGroup, LoggedRecord, PartitionOffsets,
  ProducedRecord, RecordMark, RecordSet, RecordVisitor, Topic, TopicSettings
} from './port.ts'
export { eventLogConnectionSettings, eventLogSettings } from './settings.ts'
export { groupOver, serveGroup, splitGroup } from './split-group.ts'
