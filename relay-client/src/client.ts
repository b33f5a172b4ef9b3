/** A typed client of Relay's API, for browsers and Node: it needs nothing but `fetch`. */
import createClient, { type Client } from 'openapi-fetch'

import { readRows, type AggregatesQuery, type AggregateRow } from './rows.ts'
import { retryDefaults, retrying, type RetrySettings } from './retry.ts'
import type { paths } from './schema.ts'
import { readStream, type StreamMessage, type StreamQuery } from './stream.ts'

export interface RelayClientSettings extends Partial<RetrySettings> {
  /** URL of the API, such as `https://relay.example` */
  readonly baseUrl: string
  /** a bearer token: an API key, an access token or a configured one */
  readonly token: string
  /** replaces the global one */
  readonly fetch?: (request: Request) => Promise<Response>
}

/** `GET`, `POST` … take a path of the API and return `{ data, error, response }`, all typed; see openapi-fetch. */
export interface RelayClient extends Client<paths> {
  /**
   * Rows of `/api/v1/aggregates` as they arrive, over as many answers as needed.
   * @throws RelayProblem, and Error if the connection is lost before the last row
   */
  aggregateRows (
    query: AggregatesQuery, options?: { readonly signal?: AbortSignal }
  ): AsyncGenerator<AggregateRow, void>
  /**
   * Messages of `/api/v1/stream`. A lost connection is reopened and resumed; it ends with the signal, or when the
   * caller stops reading.
   * @throws RelayProblem
   */
  stream (query: StreamQuery, options?: { readonly signal?: AbortSignal }): AsyncGenerator<StreamMessage, void>
}

export function createRelayClient (settings: RelayClientSettings): RelayClient {
  const { baseUrl, token, fetch: send = request => fetch(request) } = settings
  const retries = {
    retriesMax: settings.retriesMax ?? retryDefaults.retriesMax,
    waitMaxMs: settings.waitMaxMs ?? retryDefaults.waitMaxMs
  }
  const client = createClient<paths>({
    baseUrl, headers: { authorization: `Bearer ${token}` }, fetch: retrying(send, retries)
  })
  return {
    ...client,
    aggregateRows: (query, { signal } = {}) => readRows(client, query, signal),
    stream: (query, { signal } = {}) => readStream(client, query, retries.waitMaxMs, signal)
  }
}
