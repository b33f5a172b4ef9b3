/**
 * Variables of other tools in the environment of a program that uses servers of this machine. They are meant for other
 * servers.
 */

/** PGSSLMODE, PGOPTIONS …: our PostgreSQL client reads them if a setting is left out. */
const OF_POSTGRES_CLIENTS = /^PG[A-Z]+$/

/** With a proxy for all requests, Node asks it for the API of this machine too. */
const NOT_BY_PROXY = ['127.0.0.1', 'localhost']

/** Call it before the first connection. @param environment of this process; changed in place */
export function ignorePostgresVariables (environment: NodeJS.ProcessEnv): void {
  for (const name of Object.keys(environment)) if (OF_POSTGRES_CLIENTS.test(name)) delete environment[name]
}

/** Call it before the first request. @param environment of this process; changed in place */
export function passByProxies (environment: NodeJS.ProcessEnv): void {
  for (const name of ['no_proxy', 'NO_PROXY']) { // the first one that is set counts
    if (environment[name] === undefined && name === 'no_proxy') continue
    const hosts = (environment[name] ?? '').split(',').map(it => it.trim()).filter(it => it !== '')
    environment[name] = [...new Set([...hosts, ...NOT_BY_PROXY])].join(',')
  }
}
