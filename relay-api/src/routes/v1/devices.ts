/**
 * `GET /api/v1/devices`, `/devices/{device}`, `/devices/{device}/latest`: existing devices, and their newest readings.
 */
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance, FastifyReply } from 'fastify'
import type { Grants } from 'relay-access'
import { RelayError, type Database } from 'relay-common'
import { ID_UNITS_MAX } from 'relay-rollups'
import { Type, type Static } from 'typebox'

import { pageParameters, decodeNameCursor, encodeNameCursor } from '../../parameters/page.ts'
import {
  Name, parseSelection, refuseForbidden, selectionParameters, WITHOUT_CONTROLS_PATTERN, type Selection
} from '../../parameters/selection.ts'
import { problemResponses } from '../../problem.ts'
import { readDevices, type DevicePresence, type Presence } from '../../query/presence.ts'
import type { V1Parts } from './parts.ts'

const Time = (description: string) => Type.String({ format: 'date-time', description })

const presence = {
  zone: Type.String(),
  type: Type.String(),
  firstSeen: Time('time of the first stored reading'),
  lastSeen: Time('time of the newest reading'),
  lastValue: Type.Number({ description: 'value of the newest reading; of several at the same time, the greatest' })
}

const Device = Type.Object({ device: Type.String(), ...presence }, {
  title: 'Device', description: 'zone, type and lastValue are those of the newest reading'
})

const listSchema = {
  operationId: 'listDevices',
  summary: 'All devices that ever sent a reading, by id',
  tags: ['devices'],
  querystring: Type.Object({
    ...selectionParameters,
    prefix: Type.String({
      maxLength: ID_UNITS_MAX,
      pattern: WITHOUT_CONTROLS_PATTERN,
      default: '',
      description: 'only devices whose id starts with this'
    }),
    ...pageParameters({ preset: 100, max: 1_000 })
  }),
  response: {
    200: Type.Object({
      devices: Type.Array(Device, { description: 'ordered by the bytes of their ids' }),
      next: Type.Unsafe<string | null>({
        type: ['string', 'null'], description: 'where there are more devices: `cursor` of the next answer'
      })
    }, { title: 'DeviceList' }),
    ...problemResponses()
  }
}

const deviceSchema = {
  operationId: 'getDevice',
  summary: 'One device, with every zone and type it sent from',
  tags: ['devices'],
  params: Type.Object({ device: Name }),
  response: {
    200: Type.Object({
      device: Type.String(),
      ...presence,
      series: Type.Array(Type.Object(presence, { title: 'Series' }), {
        description: 'the one with the newest reading first'
      })
    }, { title: 'DeviceDetails' }),
    ...problemResponses(404)
  }
}

const latestSchema = {
  operationId: 'getLatestReading',
  summary: 'The newest reading of a device',
  tags: ['devices'],
  params: Type.Object({ device: Name }),
  response: {
    200: Type.Object({
      device: Type.String(),
      zone: Type.String(),
      type: Type.String(),
      value: Type.Number(),
      timestamp: Time('of the reading')
    }, { title: 'LatestReading' }),
    ...problemResponses(404)
  }
}

export function devicesRoutes (app: FastifyInstance, { reads, deviceTypes }: V1Parts): void {
  const routes = app.withTypeProvider<TypeBoxTypeProvider>()

  routes.get('/devices', { schema: listSchema }, async (request, reply) => {
    const { prefix, limit, cursor } = request.query
    const selection = parseSelection(request.query, deviceTypes, request.principal.grants)
    const found = await readDevices(
      reads.choose(request.answer).database, selection, prefix, decodeNameCursor(cursor), limit + 1
    )
    const devices = found.slice(0, limit).map(it => ({ device: it.device, ...renderDevice(it) }))
    askAgain(reply)
    return { devices, next: found.length > limit ? encodeNameCursor(devices[limit - 1].device) : null }
  })

  routes.get('/devices/:device', { schema: deviceSchema }, async (request, reply) => {
    const found = await findDevice(
      reads.choose(request.answer).database, request.params.device, request.principal.grants
    )
    askAgain(reply)
    return { device: found.device, ...renderDevice(found), series: found.series.map(render) }
  })

  routes.get('/devices/:device/latest', { schema: latestSchema }, async (request, reply) => {
    const { device, series: [{ zone, type, lastValue, lastMs }] } = await findDevice(
      reads.choose(request.answer).database, request.params.device, request.principal.grants
    )
    askAgain(reply)
    return { device, zone, type, value: lastValue, timestamp: toIso(lastMs) }
  })
}

/** @throws RelayError RELAY_NO_DATA, RELAY_FORBIDDEN */
async function findDevice (database: Database, device: string, grants: Grants): Promise<DevicePresence> {
  const selection: Selection = { devices: [device], zones: [], types: [], grants }
  refuseForbidden(selection)
  const [found] = await readDevices(database, selection, '', undefined, 1)
  if (found === undefined) throw new RelayError('RELAY_NO_DATA', 'no readings of this device')
  return found
}

/** It is about now. */
function askAgain (reply: FastifyReply): void {
  reply.header('cache-control', 'private, no-cache')
}

/** The newest series, but first seen with any of them. */
function renderDevice ({ series }: DevicePresence): Omit<Static<typeof Device>, 'device'> {
  return render({ ...series[0], firstMs: series.reduce((oldestMs, it) => Math.min(oldestMs, it.firstMs), Infinity) })
}

function render ({ zone, type, firstMs, lastMs, lastValue }: Presence): Omit<Static<typeof Device>, 'device'> {
  return { zone, type, firstSeen: toIso(firstMs), lastSeen: toIso(lastMs), lastValue }
}

function toIso (timeMs: number): string {
  return new Date(timeMs).toISOString()
}
