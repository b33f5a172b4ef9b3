/** `GET /api/v1/zones`, `GET /api/v1/types`: what devices have ever sent from, and as what. */
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'

import type { Answer } from '../../answers.ts'
import { readSelection, selectionParameters, type Selection } from '../../parameters/selection.ts'
import { problemResponses } from '../../problem.ts'
import { countDevices } from '../../query/device-counts.ts'
import { readGroupPresences } from '../../query/presence.ts'
import type { V1Parts } from './resources.ts'

const seen = {
  devices: Type.Integer({ description: 'how many have ever sent from there; one that has moved counts in both places' }),
  lastSeen: Type.String({ format: 'date-time', description: 'of the newest reading' })
}

const zonesSchema = {
  summary: 'Zones, with how many devices of which types',
  tags: ['devices'],
  querystring: Type.Object({ type: selectionParameters.type }),
  response: {
    200: Type.Object({
      zones: Type.Array(Type.Object({ zone: Type.String(), types: Type.Array(Type.String()), ...seen }))
    }),
    ...problemResponses()
  }
}

const typesSchema = {
  summary: 'Device types, with how many devices in which zones',
  tags: ['devices'],
  querystring: Type.Object({ zone: selectionParameters.zone }),
  response: {
    200: Type.Object({
      types: Type.Array(Type.Object({ type: Type.String(), zones: Type.Array(Type.String()), ...seen }))
    }),
    ...problemResponses()
  }
}

export function zonesRoutes (app: FastifyInstance, { reads, deviceTypes }: V1Parts): void {
  const routes = app.withTypeProvider<TypeBoxTypeProvider>()

  const inventory = async (selection: Selection, by: 'zone' | 'type', other: 'zone' | 'type', answer: Answer) => {
    const { database } = reads.choose(answer)
    const [presences, counts] = await Promise.all([
      readGroupPresences(database, selection), countDevices(database, selection, by === 'zone' ? 'zone' : 'device_type')
    ])
    return [...Map.groupBy(presences, it => it[by])]
      .map(([name, groups]) => ({
        name,
        others: [...new Set(groups.map(it => it[other]))].sort(),
        devices: counts.get(name) ?? 0,
        lastSeen: new Date(Math.max(...groups.map(it => it.lastMs))).toISOString()
      }))
      .sort((a, b) => a.name < b.name ? -1 : 1)
  }

  routes.get('/zones', { schema: zonesSchema }, async (request, reply) => {
    const found = await inventory(readSelection(request.query, deviceTypes, request.principal.grants), 'zone', 'type', request.answer)
    reply.header('cache-control', 'private, no-cache')
    return { zones: found.map(({ name, others, ...rest }) => ({ zone: name, types: others, ...rest })) }
  })

  routes.get('/types', { schema: typesSchema }, async (request, reply) => {
    const found = await inventory(readSelection(request.query, deviceTypes, request.principal.grants), 'type', 'zone', request.answer)
    reply.header('cache-control', 'private, no-cache')
    return { types: found.map(({ name, others, ...rest }) => ({ type: name, zones: others, ...rest })) }
  })
}
