import { Type } from 'typebox'

/** What counts as a valid event, for all programs that decode or check events. */
export const eventSettings = {
  DEVICE_TYPES: Type.String({
    default: 'THERMOSTAT,HEART_RATE_METER,CAR_FUEL', description: 'accepted device types, separated by commas'
  }),
  FUTURE_MAX_MS: Type.Integer({
    default: 300_000, minimum: 0, description: 'how far in the future an event time may be'
  })
}
