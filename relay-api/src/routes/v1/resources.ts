/** `/api/v1`: every resource by name. A file has one resource: schema, call and reply. */
import type { FastifyInstance } from 'fastify'

import { refuseOtherThanDigits } from '../../parameters/digits.ts'
import { refuseUnknownParameters } from '../../parameters/unknown.ts'
import { refuseOtherMethods } from '../other-methods.ts'
import type { V1Parts } from './parts.ts'
import { aggregatesRoutes } from './aggregates.ts'
import { compareRoutes } from './compare.ts'
import { deadLettersRoutes } from './dead-letters.ts'
import { devicesRoutes } from './devices.ts'
import { distributionRoutes } from './distribution.ts'
import { ingestRoutes } from './events.ts'
import { keysRoutes, oneKeyRoutes } from './keys.ts'
import { operationsRoutes } from './operations.ts'
import { topRoutes } from './top.ts'
import { zonesRoutes } from './zones.ts'
import { streamRoutes } from './stream.ts'

export function v1Routes (app: FastifyInstance, parts: V1Parts): void {
  refuseUnknownParameters(app)
  refuseOtherThanDigits(app)
  refuseOtherMethods(app, () => {
    aggregatesRoutes(app, parts)
    compareRoutes(app, parts)
    deadLettersRoutes(app, parts)
    devicesRoutes(app, parts)
    distributionRoutes(app, parts)
    keysRoutes(app, parts)
    operationsRoutes(app, parts)
    streamRoutes(app, parts)
    topRoutes(app, parts)
    zonesRoutes(app, parts)
  })
  app.register(async it => ingestRoutes(it, parts))
  app.register(async it => oneKeyRoutes(it, parts))
}
