import type { Database, Logger } from 'relay-common'

import type { Budgets } from '../../budgets/budgets.ts'
import type { Completeness } from '../../completeness.ts'
import type { ApiConfig } from '../../config.ts'
import type { Ingest } from '../../ingest/ingest.ts'
import type { Lag } from '../../lag.ts'
import type { EventLogEnds } from '../../log-ends.ts'
import type { Reads } from '../../replica.ts'
import type { Hub } from '../../stream/hub.ts'

/** What the routes of `/api/v1` use. */
export interface V1Parts {
  readonly config: ApiConfig
  /** the primary: for writes, and for the newest data */
  readonly database: Database
  /** for answers: one source per answer */
  readonly reads: Reads
  readonly completeness: Completeness
  readonly logEnds: EventLogEnds
  readonly lag: Lag
  readonly deviceTypes: ReadonlySet<string>
  /** undefined: ingest is disabled */
  readonly ingest: Ingest | undefined
  readonly hub: Hub
  readonly budgets: Budgets
  readonly log: Logger
}
