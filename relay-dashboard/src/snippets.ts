/** A query as a command or as code, without the token. */
import { addressOf } from './location.ts'

/** The query string for the API; items of lists repeat their name. */
export type ApiQuery = Readonly<Record<string, string | number | readonly string[] | undefined>>

export function apiAddress (path: string, query: ApiQuery): string {
  const parameters = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined) continue
    for (const it of typeof value === 'object' ? value : [String(value)]) parameters.append(name, it)
  }
  return location.origin + addressOf(path, parameters)
}

/** @param token a public one; empty: the command reads RELAY_TOKEN */
export function curlOf (path: string, query: ApiQuery, token: string): string {
  return `curl -H "Authorization: Bearer ${token || '$RELAY_TOKEN'}" ${shellQuoted(apiAddress(path, query))}`
}

/** Names may contain any characters. */
const shellQuoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`

export function clientCodeOf (query: ApiQuery): string {
  const { limit: _, fill, ...others } = query
  const asked = JSON.stringify({ ...others, ...(fill === undefined ? {} : { fill }) }, undefined, 2)
  return `import { createRelayClient } from '@relay-telemetry/client'

const relay = createRelayClient({ baseUrl: ${JSON.stringify(location.origin)}, token: process.env.RELAY_TOKEN })

for await (const row of relay.aggregateRows(${asked})) console.log(row)
`
}
