/** Who may ask: whoever knows one of the configured tokens. */
import bearerAuth from '@fastify/bearer-auth'
import type { FastifyInstance } from 'fastify'
import { RelayError } from 'relay-common'

/**
 * Lets only requests with `Authorization: Bearer <one of the tokens>` pass, on all routes of an app that are added
 * later, and on those that it does not have. Tokens are compared in constant time; without tokens nobody passes.
 */
export async function requireToken (app: FastifyInstance, tokens: readonly string[]): Promise<void> {
  await app.register(bearerAuth, {
    keys: new Set(tokens),
    addHook: false, // its own answers would not look like our other errors
    specCompliance: 'rfc6749', // `bearer` in any case, as HTTP has it
    verifyErrorLogLevel: undefined
  })
  app.addHook('onRequest', (request, reply, done) => {
    app.verifyBearerAuth!(request, reply, error => {
      if (!error) return done()
      const found = request.headers.authorization === undefined ? 'there is none' : 'this one is not known'
      done(new RelayError('RELAY_UNAUTHORIZED', `a bearer token is needed in the Authorization header, and ${found}`))
    })
  })
}
