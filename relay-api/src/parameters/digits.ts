import type { FastifyInstance } from 'fastify'
import { RelayError } from 'relay-common'

/** Digits of the largest integer that a double holds exactly, minus one. */
const DIGITS_MAX = 15

/**
 * Refuses numeric parameters that are not digits. A schema accepts what JavaScript reads as a number: `0x10`, `1e3`, `
 * 5`, 400 digits for Infinity.
 */
export function refuseOtherThanDigits (app: FastifyInstance): void {
  const numbers = new WeakMap<object, ReturnType<typeof numbersOf>>()
  app.addHook('onRoute', ({ schema }) => { if (schema) numbers.set(schema, numbersOf(schema)) })
  app.addHook('preValidation', (request, _reply, done) => {
    const given = request.query as Record<string, unknown>
    for (const [parameter, type] of numbers.get(request.route.schema ?? {}) ?? []) {
      const text = given[parameter]
      if (typeof text !== 'string' || isInDigits(text, type)) continue
      throw new RelayError('RELAY_PARAMETER_INVALID',
        `${parameter} is not ${type === 'integer' ? 'an integer' : 'a number'} of up to ${DIGITS_MAX} decimal digits, such as 10`, { parameter })
    }
    done()
  })
}

function isInDigits (text: string, type: 'integer' | 'number'): boolean {
  return type === 'integer' ? /^-?\d{1,15}$/.test(text) : /^-?\d{1,15}(?:\.\d{1,15})?$/.test(text)
}

function numbersOf (schema: object): Array<[parameter: string, 'integer' | 'number']> {
  const { querystring } = schema as { querystring?: { properties?: Record<string, { type?: unknown }> } }
  return Object.entries(querystring?.properties ?? {}).flatMap(([name, { type }]) =>
    type === 'integer' || type === 'number' ? [[name, type]] : [])
}
