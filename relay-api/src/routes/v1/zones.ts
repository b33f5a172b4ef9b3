/** `GET /api/v1/zones`, `GET /api/v1/types`: all zones and types that devices have sent. */
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'

import type { Answer } from '../../sharing/answers-in-progress.ts'
import { pageParameters, decodeNameCursor, encodeNameCursor } from '../../parameters/page.ts'
import { parseSelection, selectionParameters, type Selection } from '../../parameters/selection.ts'
import { problemResponses } from '../../problem.ts'
import { countDevicesOfTypes, countDevicesOfZones } from '../../query/device-counts.ts'
import { findGranted } from '../../query/granted.ts'
import { OTHERS_MAX, readGroupNames, readGroupPresences } from '../../query/presence.ts'
import type { V1Parts } from './parts.ts'

const seen = {
  devices: Type.Integer({
    description: 'devices that ever sent from this zone; a device that moved counts in both zones'
  }),
  lastSeen: Type.String({ format: 'date-time', description: 'time of the newest reading' })
}

/** Zones are read with all their groups: this is a small answer, and small sites fit in one. */
const page = pageParameters({ preset: 1_000, max: 5_000 })
const inOrder = { description: 'ordered by the bytes of their names' }
const next = Type.Unsafe<string | null>({
  type: ['string', 'null'], description: 'where there are more: `cursor` of the next answer'
})
const zonesSchema = {
  operationId: 'listZones',
  summary: 'Zones, with their number of devices by type',
  tags: ['devices'],
  querystring: Type.Object({ type: selectionParameters.type, ...page }),
  response: {
    200: Type.Object({
      zones: Type.Array(Type.Object({
        zone: Type.String(), types: Type.Array(Type.String()), ...seen
      }, { title: 'Zone' }), inOrder),
      next
    }, { title: 'ZoneList' }),
    ...problemResponses()
  }
}

const typesSchema = {
  operationId: 'listTypes',
  summary: 'Device types, with their number of devices by zone',
  tags: ['devices'],
  querystring: Type.Object({ zone: selectionParameters.zone, ...page }),
  response: {
    200: Type.Object({
      types: Type.Array(Type.Object({
        type: Type.String(),
        zones: Type.Array(Type.String(), { description: `at most ${OTHERS_MAX} of them` }),
        ...seen
      }, { title: 'DeviceType' }), inOrder),
      next
    }, { title: 'DeviceTypeList' }),
    ...problemResponses()
  }
}

export function zonesRoutes (app: FastifyInstance, { reads, deviceTypes }: V1Parts): void {
  const routes = app.withTypeProvider<TypeBoxTypeProvider>()

  const inventory = async (
    asked: Selection, by: 'zone' | 'type', { limit, cursor }: { limit: number, cursor?: string }, answer: Answer
  ) => {
    const { database } = reads.choose(answer)
    const granted = await findGranted(database, asked, answer)
    const names = await readGroupNames(database, granted, by, decodeNameCursor(cursor), limit + 1)
    const shown = names.slice(0, limit)
    const next = names.length > limit ? encodeNameCursor(shown[limit - 1]) : null
    if (shown.length === 0) return { found: [], next }
    const presences = await readGroupPresences(database, granted, by, shown, answer)
    const counts = by === 'zone'
      ? await countDevicesOfZones(database, { ...asked, zones: shown })
      : await countDevicesOfTypes(database, { ...asked, types: shown })
    const found = shown.filter(it => presences.has(it)).map(name => {
      const { others, lastMs } = presences.get(name)!
      return { name, others, devices: counts.get(name) ?? 0, lastSeen: new Date(lastMs).toISOString() }
    })
    return { found, next }
  }

  routes.get('/zones', { schema: zonesSchema }, async (request, reply) => {
    const selection = parseSelection(request.query, deviceTypes, request.principal.grants)
    const { found, next } = await inventory(selection, 'zone', request.query, request.answer)
    reply.header('cache-control', 'private, no-cache')
    return { zones: found.map(({ name, others, ...rest }) => ({ zone: name, types: others, ...rest })), next }
  })

  routes.get('/types', { schema: typesSchema }, async (request, reply) => {
    const selection = parseSelection(request.query, deviceTypes, request.principal.grants)
    const { found, next } = await inventory(selection, 'type', request.query, request.answer)
    reply.header('cache-control', 'private, no-cache')
    return { types: found.map(({ name, others, ...rest }) => ({ type: name, zones: others, ...rest })), next }
  })
}
