/**
 * The API for `devices`, `query`, `send`, `tail` and `probe`: that of RELAY_URL, or of the local stack. The token is
 * RELAY_TOKEN; the local stack has a well-known one.
 */
import { createRelayClient, RelayProblem, type Problem, type RelayClient } from '@relay-telemetry/client/src/index.ts'
import type { Command } from 'commander'
import { WELL_KNOWN_TOKEN } from 'relay-access'
import { apiUrlOf, passByProxies, RelayError, splitList } from 'relay-common'

/** Retries for an unreachable API, for about a second. */
const RETRIES_MAX = 2

export interface Api {
  readonly url: string
  readonly relay: RelayClient
}

/** @throws RelayError RELAY_CONFIG_INVALID if neither a setting nor a stack names the API or the token */
export function openApi (environment: NodeJS.ProcessEnv = process.env, retriesMax = RETRIES_MAX): Api {
  const { url, isLocalStack } = apiUrlOf(environment)
  if (isLocalStack) passByProxies(process.env)
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    throw new RelayError('RELAY_CONFIG_INVALID', 'RELAY_URL must be a URL such as https://relay.example')
  }
  const ofStack = isLocalStack ? splitList(environment.API_TOKENS ?? '')[0] ?? WELL_KNOWN_TOKEN : undefined
  const token = environment.RELAY_TOKEN || ofStack
  if (token === undefined) {
    throw new RelayError('RELAY_CONFIG_INVALID', `RELAY_TOKEN is not set: ${url} requires a token`)
  }
  return { url, relay: createRelayClient({ baseUrl: url, token, retriesMax }) }
}

/**
 * Runs a command that uses the API.
 * @param retriesMax retries of a request that may help
 * @throws Error that says what is wrong in one line
 */
export async function withApi (run: (api: Api) => Promise<void>, retriesMax = RETRIES_MAX): Promise<void> {
  const api = openApi(process.env, retriesMax)
  try {
    await run(api)
  } catch (error) {
    if (error instanceof RelayProblem) throw failureOf(error.problem)
    if (!(error instanceof TypeError) || error.message !== 'fetch failed') throw error
    const { code, message } = (error.cause ?? error) as Error & { code?: string }
    throw new Error(`no connection to the API at ${api.url} (${code ?? message}); check RELAY_URL`)
  }
}

/** @param body of a refusal; a proxy may return something else than a problem */
export function failureOf (body: unknown): Error {
  const { code, detail } = body as Partial<Problem>
  if (code === undefined) return new Error(`not an answer of Relay: ${String(body).slice(0, 200)}; check RELAY_URL`)
  const help = code === 'RELAY_UNAUTHORIZED' ? '; check RELAY_TOKEN' : ''
  return new Error(`${detail}${help} (${code})`)
}

/** A selection, in the format of the API. */
export interface SelectionOptions {
  readonly device?: string[]
  readonly zone?: string[]
  readonly type?: string[]
}

export function addSelection (command: Command): Command {
  return command
    .option('--device <id...>', 'only these devices (default: all)')
    .option('--zone <zone...>', 'only these zones (default: all)')
    .option('--type <type...>', 'only these device types (default: all)')
}

export function selectionOf ({ device, zone, type }: SelectionOptions): SelectionOptions {
  return { device, zone, type }
}
