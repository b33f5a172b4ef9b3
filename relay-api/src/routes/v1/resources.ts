/** `/api/v1`: every resource by name. A file holds one resource: its schema, one call, and its reply. */
import type { FastifyInstance } from 'fastify'
import type { Database, Logger } from 'relay-common'

import type { Budgets } from '../../budgets/budgets.ts'
import type { Completeness } from '../../completeness.ts'
import type { ApiConfig } from '../../config.ts'
import type { Ingest } from '../../ingest/ingest.ts'
import type { Reads } from '../../replica.ts'
import { refuseOtherThanDigits } from '../../parameters/digits.ts'
import { refuseUnknownParameters } from '../../parameters/unknown.ts'
import type { Hub } from '../../stream/hub.ts'
import { refuseOtherMethods } from '../other-methods.ts'
import { aggregatesRoutes } from './aggregates.ts'
import { compareRoutes } from './compare.ts'
import { devicesRoutes } from './devices.ts'
import { distributionRoutes } from './distribution.ts'
import { ingestRoutes } from './events.ts'
import { keysRoutes, rotationRoutes } from './keys.ts'
import { topRoutes } from './top.ts'
import { zonesRoutes } from './zones.ts'
import { streamRoutes } from './stream.ts'

/** What routes of `/api/v1` work with. */
export interface V1Parts {
  readonly config: ApiConfig
  /** the primary: for what is written, and for what must be the newest */
  readonly database: Database
  /** where answers are read: one source for all of an answer */
  readonly reads: Reads
  readonly completeness: Completeness
  readonly deviceTypes: ReadonlySet<string>
  /** undefined: this API takes no events */
  readonly ingest: Ingest | undefined
  readonly hub: Hub
  readonly budgets: Budgets
  readonly log: Logger
}

export function v1Routes (app: FastifyInstance, parts: V1Parts): void {
  refuseUnknownParameters(app)
  refuseOtherThanDigits(app)
  refuseOtherMethods(app, () => {
    aggregatesRoutes(app, parts)
    compareRoutes(app, parts)
    devicesRoutes(app, parts)
    distributionRoutes(app, parts)
    keysRoutes(app, parts)
    streamRoutes(app, parts)
    topRoutes(app, parts)
    zonesRoutes(app, parts)
  })
  app.register(async it => ingestRoutes(it, parts))
  app.register(async it => rotationRoutes(it, parts))
}
