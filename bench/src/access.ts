/**
 * CPU of the API to identify a caller: verification of one credential, by kind and whether it was seen before. It
 * measures what every request goes through (`guard`: is the address blocked, and whose is the credential), with the
 * keys of a real issuer and API keys in a real PostgreSQL, without HTTP.
 */
import { createPrivateKey, randomUUID, sign, type KeyObject } from 'node:crypto'
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { fastify } from 'fastify'
import getPort from 'get-port'
import { createApiKey } from 'relay-access'
import { createLogger, migrate, openDatabase, type Database } from 'relay-common'

import { guard } from '../../relay-api/src/auth/access.ts'
import { readApiConfig, type ApiConfig } from '../../relay-api/src/config.ts'
import { ensureDatabase, startPostgres } from '../../relay-stack/src/postgres.ts'
import { drawBars } from './chart.ts'
import { startProgram } from './program.ts'
import { readCircumstances, writeResults } from './results.ts'
import { spreadOf, type Spread } from './run.ts'

const HOST = '127.0.0.1'
const UNLIMITED = String(2 ** 31 - 1)
/** Repetitions of each credential, because a known one costs little. */
const AGAIN = 20
const log = createLogger('bench', 'silent')

export interface AccessOptions {
  readonly quick?: boolean
  /** of each kind */
  readonly credentials: number
  readonly repeats: number
}

export type AccessCase =
  'access token, never seen' | 'access token, seen before' | 'API key, read from PostgreSQL' | 'API key, in memory'

export interface AccessResult {
  readonly credentials: number
  readonly cases: ReadonlyArray<{ readonly name: AccessCase, readonly cpuUs: Spread }>
}

/** Runs it, prints a table and stores it in `bench/results/access.json`. */
export async function benchAccess ({ quick = false, credentials, repeats }: AccessOptions): Promise<void> {
  const circumstances = await readCircumstances(quick)
  await using opened = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'relay-bench-'))
  opened.defer(() => rm(folder, { recursive: true, force: true }))
  await chmod(folder, 0o755) // root runs PostgreSQL as another user
  const { database, url } = await openBenchDatabase(folder, opened)
  const issuer = await startIssuer(join(folder, 'keys.json'), opened)
  const config = readApiConfig({
    DATABASE_URL: url,
    OIDC_ISSUER: issuer.url,
    RATE_LIMIT_ADDRESS_MAX: UNLIMITED,
    RATE_LIMIT_FAILED_LOGINS_MAX: UNLIMITED
  })
  const keys = await makeKeys(database, credentials)

  const found = new Map<AccessCase, number[]>()
  for (let n = -1; n < repeats; n++) { // the first round warms up
    const tokens = Array.from({ length: credentials }, () => issuer.makeToken())
    for (const [name, cpuUs] of await measure(config, database, tokens, keys)) {
      if (n >= 0) found.set(name, [...found.get(name) ?? [], cpuUs])
    }
  }
  const cases = [...found].map(([name, cpuUs]) => ({ name, cpuUs: spreadOf(cpuUs) }))
  console.table(cases.map(({ name, cpuUs: { median, min, max } }) =>
    ({ credential: name, 'CPU us': median.toFixed(1), from: min.toFixed(1), to: max.toFixed(1) })))
  const bars = cases.map(({ name, cpuUs: { median, min, max } }) => ({ label: name, value: median, min, max }))
  const chart = await drawBars('Knowing who asks', 'CPU of the API for one request', 'us', bars, '.1f')
  await writeResults('access', circumstances, { credentials, cases } satisfies AccessResult, { access: chart })
}

/** Uses a new guard, which knows nobody. */
async function measure (
  config: ApiConfig, database: Database, tokens: readonly string[], keys: readonly string[]
): Promise<Map<AccessCase, number>> {
  const app = fastify()
  try {
    const logIn = await guard(app, config, database, log)
    const [first, ...others] = tokens
    const cpuUsOf = async (shown: readonly string[], times = 1) => {
      const before = process.cpuUsage()
      for (let n = 0; n < times; n++) {
        for (const credential of shown) {
          if (!await logIn(credential, HOST)) throw new Error('a credential that is good was refused')
        }
      }
      const { user, system } = process.cpuUsage(before)
      return (user + system) / shown.length / times
    }
    await cpuUsOf([first]) // fetches the keys of the issuer
    return new Map<AccessCase, number>([
      ['access token, never seen', await cpuUsOf(others)],
      ['access token, seen before', await cpuUsOf(others, AGAIN)],
      ['API key, read from PostgreSQL', await cpuUsOf(keys)],
      ['API key, in memory', await cpuUsOf(keys, AGAIN)]
    ])
  } finally {
    await app.close()
  }
}

async function openBenchDatabase (
  folder: string, opened: AsyncDisposableStack
): Promise<{ database: Database, url: string }> {
  const postgres = opened.adopt(await startPostgres({
    dataDir: join(folder, 'postgres'), logFile: join(folder, 'postgres.log'), port: await getPort({ host: HOST })
  }), it => it.close())
  await ensureDatabase(postgres, 'relay')
  const url = postgres.url('relay')
  const settings = readApiConfig({ DATABASE_URL: url })
  const database = opened.adopt(await openDatabase(settings, 'bench', log), it => it.close())
  await migrate(database, log)
  return { database, url }
}

async function makeKeys (database: Database, count: number): Promise<string[]> {
  const keys: string[] = []
  for (let n = 0; n < count; n++) {
    const grants = { zones: ['Zone A'] }
    const wanted = {
      environment: 'local', name: `key ${n}`, scopes: ['events:read' as const], grants, expiresAtMs: undefined
    }
    keys.push((await createApiKey(database, wanted, { principal: 'bench' })).key)
  }
  return keys
}

interface BenchIssuer {
  readonly url: string
  /** A new access token in the format of the issuer. */
  readonly makeToken: () => string
}

/**
 * The development issuer as a process. Tokens are signed here with its key, because requesting so many would take long.
 */
async function startIssuer (keysFile: string, opened: AsyncDisposableStack): Promise<BenchIssuer> {
  const port = await getPort({ host: HOST })
  const { ready } = opened.use(startProgram('issuer', {
    environment: { ISSUER_PORT: String(port), ISSUER_KEYS_FILE: keysFile, LOG_LEVEL: 'error' }
  }))
  await ready
  const [jwk] = JSON.parse(await readFile(keysFile, 'utf8')).signing
  const key = createPrivateKey({ key: jwk, format: 'jwk' })
  const url = `http://${HOST}:${port}`
  return { url, makeToken: () => makeToken(key, jwk.kid, url) }
}

function makeToken (key: KeyObject, kid: string, iss: string): string {
  const nowS = Math.floor(Date.now() / 1000)
  const encode = (it: object) => Buffer.from(JSON.stringify(it)).toString('base64url')
  const said = `${encode({ alg: 'RS256', typ: 'at+jwt', kid })}.${encode({
    iss,
    aud: 'relay',
    sub: 'bench',
    client_id: 'relay-web',
    jti: randomUUID(),
    iat: nowS,
    exp: nowS + 300,
    scope: 'events:read',
    relay_zones: ['Zone A']
  })}`
  return `${said}.${sign('sha256', Buffer.from(said), key).toString('base64url')}`
}
