import { readFileSync } from 'node:fs'

import { envSchema } from 'env-schema'
import { Type, type Static, type TObject, type TProperties } from 'typebox'

import { RelayError } from './errors.ts'

/**
 * Reads and checks the settings of a program. A setting is declared once, in a TypeBox schema, which gives its type,
 * default, check at start and line in `docs/configuration.md`.
 *
 * A setting can also come from a file: the variable with `_FILE` after its name has the path. So secrets reach a
 * container without being in its environment.
 *
 * @param schema an object schema whose keys are environment variables
 * @param environment the values; an empty string counts as not set
 * @returns the checked values, frozen
 * @throws RelayError RELAY_CONFIG_INVALID, one line that names each invalid variable
 */
export function readConfig<T extends TProperties> (
  schema: TObject<T>, environment: NodeJS.ProcessEnv = process.env
): Readonly<Static<TObject<T>>> {
  const set = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ''))
  const given = { ...set, ...readFiles(Object.keys(schema.properties), set) }
  try {
    return Object.freeze(envSchema<Static<TObject<T>>>({ schema, data: given, dotenv: false, env: false }))
  } catch (cause) {
    const said = ((cause as { errors?: Fault[] }).errors ?? []).map(wordsOf).join('; ')
    throw new RelayError('RELAY_CONFIG_INVALID', `invalid settings: ${said || String(cause)}`, { cause })
  }
}

/** An error of the validator. */
interface Fault {
  readonly instancePath: string
  readonly message: string
  readonly params?: { readonly allowedValues?: readonly string[] }
}

function wordsOf ({ instancePath, message, params }: Fault): string {
  const said = params?.allowedValues ? `must be one of ${params.allowedValues.join(', ')}` : message
  return `${instancePath.slice(1) || 'environment'} ${said}`
}

function readFiles (names: readonly string[], set: NodeJS.ProcessEnv): Record<string, string> {
  const fromFiles: Record<string, string> = {}
  for (const name of names) {
    const path = set[`${name}_FILE`]
    if (path === undefined || names.includes(`${name}_FILE`)) continue
    if (set[name] !== undefined) {
      throw new RelayError('RELAY_CONFIG_INVALID', `${name} and ${name}_FILE are both set; set only one of them`)
    }
    fromFiles[name] = readSettingFile(`${name}_FILE`, path).replace(/\r?\n$/, '')
  }
  return fromFiles
}

/**
 * Content of a file that a setting names.
 * @throws RelayError RELAY_CONFIG_INVALID
 */
export function readSettingFile (name: string, path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw new RelayError(
      'RELAY_CONFIG_INVALID', `could not read ${path}, named by ${name}: ${(cause as Error).message}`, { cause }
    )
  }
}

/** The values of a setting that is a comma-separated list. */
export function splitList (text: string): string[] {
  return text.split(',').map(it => it.trim()).filter(it => it !== '')
}

const Port = (description: string, preset?: number) =>
  Type.Integer({ minimum: 0, maximum: 65535, description, ...(preset === undefined ? {} : { default: preset }) })

/** Settings of every program: its log, and where its probes and metrics listen. */
export const programSettings = {
  LOG_LEVEL: Type.String({
    default: 'info',
    enum: ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'],
    description: 'lowest level that is logged'
  }),
  HOST: Type.String({ default: '127.0.0.1', description: 'address that HTTP listens on; use 0.0.0.0 in containers' }),
  SHUTDOWN_TIMEOUT_MS: Type.Integer({
    default: 10_000, minimum: 100, description: 'longest wait after SIGTERM for work in progress'
  })
}

/** Settings of programs that use PostgreSQL. `DATABASE_URL` takes precedence over the parts. */
export const databaseSettings = {
  DATABASE_URL: Type.Optional(Type.String({
    description: 'PostgreSQL connection string; if not set, the POSTGRES_ settings are used. ' +
      'Without a password in it, POSTGRES_PASSWORD is used'
  })),
  POSTGRES_HOST: Type.String({ default: '127.0.0.1', description: 'PostgreSQL host' }),
  POSTGRES_PORT: Port('PostgreSQL port', 5432),
  POSTGRES_DB: Type.String({ default: 'relay', description: 'database name' }),
  POSTGRES_USER: Type.String({ default: 'relay', description: 'database user' }),
  POSTGRES_PASSWORD: Type.String({ default: '', description: 'password of the database user' }),
  DATABASE_TLS: Type.Boolean({
    default: false,
    description: 'use TLS to PostgreSQL and verify its certificate; `sslmode` in DATABASE_URL does the same'
  }),
  DATABASE_TLS_CA_FILE: Type.Optional(Type.String({
    description: 'PEM file of the CA of the server certificate; default: the CAs that Node trusts'
  })),
  DATABASE_TLS_CERT_FILE: Type.Optional(Type.String({
    description: 'PEM file of the client certificate for PostgreSQL'
  })),
  DATABASE_TLS_KEY_FILE: Type.Optional(Type.String({ description: 'PEM file of the key of that certificate' })),
  DATABASE_POOL_MAX: Type.Integer({ default: 10, minimum: 1, description: 'most connections to PostgreSQL' }),
  DATABASE_CONNECT_TIMEOUT_MS: Type.Integer({
    default: 5_000, minimum: 100, description: 'longest wait for a connection from the pool'
  }),
  DATABASE_STATEMENT_TIMEOUT_MS: Type.Integer({
    default: 60_000,
    minimum: 0,
    description: 'statement timeout of PostgreSQL; 0: no limit. Migrations, `relay verify` and `relay replay` have none'
  }),
  DATABASE_IDLE_TRANSACTION_TIMEOUT_MS: Type.Integer({
    default: 60_000,
    minimum: 0,
    description: 'PostgreSQL closes a session that is idle in a transaction for this long; 0: never. Writes of the ' +
      'processor have 20 s'
  }),
  DATABASE_CLIENT_CHECK_INTERVAL_MS: Type.Integer({
    default: 2_000,
    minimum: 0,
    description: 'how often PostgreSQL ' +
    'checks during a statement whether its client is still connected; 0: never. Needs PostgreSQL 14 or ' +
      'newer on Linux'
  })
}

/** Port of probes and metrics of a program without an API. */
export const healthPort = (preset: number) => ({
  HEALTH_PORT: Port(
    'port of /livez, /readyz and /metrics; 0: any free port', preset
  )
})

/** Traces of single events (docs/tracing.md). */
export const tracingSettings = {
  OTEL_EXPORTER_OTLP_ENDPOINT: Type.Optional(Type.String({
    description: 'URL of an OpenTelemetry collector that takes OTLP over HTTP, such as http://collector:4318; not set: ' +
      'nothing is traced'
  })),
  OTEL_EXPORTER_OTLP_HEADERS: Type.Optional(Type.String({
    description: 'headers of requests to the collector: name=value, separated by commas'
  })),
  TRACE_RATIO: Type.Number({
    default: 0.01,
    minimum: 0,
    maximum: 1,
    description: 'ratio of devices whose events are traced; a device is traced always or never, with the same ratio ' +
      'by every program'
  })
}
