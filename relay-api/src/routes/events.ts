/** `GET /api/events/…`: the readings of a selection in a range of time, as one rollup. */
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { everything } from 'relay-access'
import { RelayError } from 'relay-common'
import { DAY_MS, parseTimestamp, type TimeRange } from 'relay-rollups'
import { Type, type Static } from 'typebox'

import { Name, refuseForbidden } from '../parameters/selection.ts'
import { withPlus } from '../parameters/time.ts'
import { answerOf, eventsAnswerSchema, type EventsAnswer } from '../query/answer.ts'
import type { Asker } from '../sharing/asker.ts'
import { findGranted } from '../query/granted.ts'
import type { SeriesFilter } from '../query/rows-statement.ts'
import { problemResponses } from '../problem.ts'
import type { Reads } from '../replica.ts'
import { refuseOtherMethods } from './other-methods.ts'

export interface EventsSettings {
  readonly reads: Reads
  readonly deviceTypes: ReadonlySet<string>
  readonly rangeMaxDays: number
}

const Range = Type.Object({
  startTime: Type.String({ description: 'ISO-8601 with any offset; start of the range, inclusive' }),
  endTime: Type.String({ description: 'ISO-8601 with any offset; end of the range, exclusive' })
})

const selections = {
  '/events/device/:deviceId': { operationId: 'getDeviceRollup', params: Type.Object({ deviceId: Name }) },
  '/events/zone/:zone': { operationId: 'getZoneRollup', params: Type.Object({ zone: Name }) },
  '/events/type/:deviceType': { operationId: 'getTypeRollup', params: Type.Object({ deviceType: Name }) },
  '/events/zone/:zone/type/:deviceType': {
    operationId: 'getZoneTypeRollup', params: Type.Object({ zone: Name, deviceType: Name })
  }
} as const

export function eventsRoutes (app: FastifyInstance, settings: EventsSettings): void {
  refuseOtherMethods(app, () => {
    for (const [path, { operationId, params }] of Object.entries(selections)) {
      const schema = {
        operationId,
        summary: `One rollup of all readings of a ${Object.keys(params.properties).join(' and ')} in a range`,
        tags: ['events'],
        params,
        querystring: Range,
        response: { 200: eventsAnswerSchema, ...problemResponses(404) }
      }
      app.withTypeProvider<TypeBoxTypeProvider>().get(path, { schema },
        request => findEvents(
          { ...request.params, grants: request.principal.grants }, request.query, settings, request.answer
        ))
    }
  })
}

async function findEvents (
  filter: SeriesFilter, { startTime, endTime }: Static<typeof Range>,
  { reads, deviceTypes, rangeMaxDays }: EventsSettings, asker: Asker
): Promise<EventsAnswer> {
  const range = parseRange(startTime, endTime, rangeMaxDays)
  const { deviceId, zone, deviceType, grants = everything } = filter
  refuseForbidden({ devices: given(deviceId), zones: given(zone), grants })
  if (deviceType !== undefined && !deviceTypes.has(deviceType)) {
    throw new RelayError('RELAY_DEVICE_TYPE_UNKNOWN',
      `deviceType must be one of ${[...deviceTypes].join(', ')}`, { parameter: 'deviceType' })
  }

  const { database, totals } = reads.choosePrimary(asker)
  const asked = { devices: given(deviceId), zones: given(zone), types: given(deviceType), grants }
  const found = await findGranted(database, asked, asker)
  const { granted } = found
  const merged = await totals.readTotal(
    { ...filter, grants: found.grants, ...granted && { granted } }, range, Date.now()
  )
  if (merged.rollup.count === 0) {
    throw new RelayError('RELAY_NO_DATA', 'no readings match this selection and range')
  }
  return answerOf(filter, withPlus(startTime), withPlus(endTime), merged)
}

const given = (name: string | undefined) => name === undefined ? [] : [name]

/** @throws RelayError RELAY_PARAMETER_INVALID, RELAY_RANGE_INVALID, RELAY_RANGE_TOO_LONG */
function parseRange (startTime: string, endTime: string, rangeMaxDays: number): TimeRange {
  const startMs = parseTimeParameter('startTime', startTime)
  const endMs = parseTimeParameter('endTime', endTime)
  if (endMs <= startMs) {
    throw new RelayError('RELAY_RANGE_INVALID', 'endTime must be after startTime', { parameter: 'endTime' })
  }
  if (endMs - startMs > rangeMaxDays * DAY_MS) {
    throw new RelayError('RELAY_RANGE_TOO_LONG',
      `from startTime to endTime are more than ${rangeMaxDays} days`, { parameter: 'endTime' })
  }
  return { startMs, endMs }
}

function parseTimeParameter (parameter: string, text: string): number {
  const timeMs = parseTimestamp(withPlus(text))
  if (timeMs !== undefined) return timeMs
  throw new RelayError('RELAY_PARAMETER_INVALID',
    `${parameter} must be an ISO-8601 time with an offset, such as 2024-01-01T00:00:00Z or 2024-01-01T02:00:00+02:00`,
    { parameter })
}
