/** All drills, the most likely ones first. */
import { databaseLost } from './cases/database-lost.ts'
import { kafkaRestored } from './cases/kafka-restored.ts'
import { passwordsLost } from './cases/passwords-lost.ts'
import { primaryLost } from './cases/primary-lost.ts'
import { siteElsewhere } from './cases/site-elsewhere.ts'
import { topicLost } from './cases/topic-lost.ts'
import { wrongChange } from './cases/wrong-change.ts'
import type { Drill } from './drill.ts'

export const drills: readonly Drill[] = [
  databaseLost(), wrongChange(), primaryLost(), topicLost, kafkaRestored(), passwordsLost, siteElsewhere()
]
