/** All kinds of faults, in the order of the suite. */
import { addedPartitions } from './cases/added-partitions.ts'
import { crashedDatabase } from './cases/crashed-database.ts'
import { cutDatabaseConnections } from './cases/cut-database-connections.ts'
import { cutKafkaConnections } from './cases/cut-kafka-connections.ts'
import { killedBrokers } from './cases/killed-brokers.ts'
import { killedCompaction } from './cases/killed-compaction.ts'
import { killedProcessors } from './cases/killed-processors.ts'
import { pausedBrokers } from './cases/paused-brokers.ts'
import { pausedProcessors } from './cases/paused-processors.ts'
import { promotedReplica } from './cases/promoted-replica.ts'
import { restartedBrokers } from './cases/restarted-brokers.ts'
import { restoredDatabase } from './cases/restored-database.ts'
import { rollingRestart } from './cases/rolling-restart.ts'
import type { Fault } from './fault.ts'

export const faults: readonly Fault[] = [
  killedProcessors, killedCompaction, crashedDatabase, restoredDatabase, promotedReplica, killedBrokers,
  pausedProcessors, pausedBrokers,
  cutDatabaseConnections, cutKafkaConnections, restartedBrokers, addedPartitions, rollingRestart
]
