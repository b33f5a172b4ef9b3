/** Renders one rollup as an answer. */
import { average, median, type TimeRange } from 'relay-rollups'
import { Type, type Static } from 'typebox'

import type { Merged } from './merge.ts'
import type { SeriesFilter } from './rows-statement.ts'

const NullableString = Type.Unsafe<string | null>({ type: ['string', 'null'] })

/** The fields are written in this order. */
export const eventsAnswerSchema = Type.Object({
  deviceId: NullableString,
  zone: NullableString,
  deviceType: NullableString,
  timeWindowStart: Type.String({ description: 'startTime as sent by the client' }),
  timeWindowEnd: Type.String({ description: 'endTime as sent by the client' }),
  avgValue: Type.Number(),
  minValue: Type.Number(),
  maxValue: Type.Number(),
  medianValue: Type.Number({ description: 'for an even number of readings, the mean of the two middle values' }),
  count: Type.Integer(),
  medianError: Type.Unsafe<number | null>({
    type: ['number', 'null'],
    description: 'in the unit of the value: the true median is within medianValue ± medianError; 0: exact; ' +
      'null: no double can bound it'
  }),
  coverage: Type.Object({
    start: Type.String({ format: 'date-time', description: 'start of the range that was computed, in UTC' }),
    end: Type.String({ format: 'date-time', description: 'and before this one' })
  }, {
    title: 'Coverage',
    description: 'the range that was computed; wider than requested only where the stored data is coarser'
  })
}, { title: 'RangeRollup' })

export type EventsAnswer = Static<typeof eventsAnswerSchema>

/**
 * Renders a result.
 *
 * `deviceId` is the requested device, and null in answers for zones and types. `zone` and `deviceType` are the
 * requested ones or, if not requested, those of all readings in the answer; null: several.
 * @param startTime as sent by the client
 * @param endTime as sent by the client
 */
export function answerOf (filter: SeriesFilter, startTime: string, endTime: string, merged: Merged): EventsAnswer {
  const { rollup, coverage } = merged
  const { value: medianValue, error: medianError } = median(rollup)
  return {
    deviceId: filter.deviceId ?? null,
    zone: filter.zone ?? onlyOne(merged.zones),
    deviceType: filter.deviceType ?? onlyOne(merged.deviceTypes),
    timeWindowStart: startTime,
    timeWindowEnd: endTime,
    avgValue: average(rollup),
    minValue: rollup.min,
    maxValue: rollup.max,
    medianValue,
    count: rollup.count,
    medianError: Number.isFinite(medianError) ? medianError : null,
    coverage: renderRange(coverage)
  }
}

function onlyOne (names: ReadonlySet<string>): string | null {
  const [name, another] = names
  return another === undefined ? name : null
}

function renderRange ({ startMs, endMs }: TimeRange): EventsAnswer['coverage'] {
  return { start: new Date(startMs).toISOString(), end: new Date(endMs).toISOString() }
}
