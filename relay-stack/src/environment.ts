/** The environment of the stack, in which other tools leave variables with names of ours. */
import { isIP } from 'node:net'

import { ignorePostgresVariables, passByProxies, RelayError } from 'relay-common'

import { LOCAL_HOST } from './ports.ts'

/** Addresses that include LOCAL_HOST, where the parts of the stack reach one another. */
const WITH_LOCAL_HOST = [LOCAL_HOST, '0.0.0.0', '::']

/**
 * Removes what the parts of the stack would misread.
 * @param environment changed in place
 * @param hasPostgres whether the PostgreSQL is ours
 * @throws RelayError RELAY_CONFIG_INVALID for an address at which the parts could not reach one another
 */
export function useHere (environment: NodeJS.ProcessEnv, hasPostgres: boolean, say: (line: string) => void): void {
  const { HOST: host = '' } = environment
  if (isIP(host) === 0) { // tcsh sets it to the name of the machine, and conda to that of the platform
    if (host !== '') say(`HOST is ${host}, which is no IP address: the stack listens on ${LOCAL_HOST}`)
    delete environment.HOST
  } else if (!WITH_LOCAL_HOST.includes(host)) {
    throw new RelayError('RELAY_CONFIG_INVALID', `the stack can't listen on HOST ${host} alone, because its parts ` +
      `reach one another at ${LOCAL_HOST}: unset HOST, or set 0.0.0.0 for all addresses`)
  }
  if (hasPostgres) ignorePostgresVariables(environment)
  passByProxies(environment)
}
