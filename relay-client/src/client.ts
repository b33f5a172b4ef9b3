/** A typed client of Relay's API, for browsers and Node: it needs nothing but `fetch`. */
import createClient, { type Client } from 'openapi-fetch'

import { readRows, type AggregatesQuery, type AggregateRow } from './rows.ts'
import { retryDefaults, retrying, type RetrySettings } from './retry.ts'
import type { paths } from './schema.ts'
import { readStream, type StreamMessage, type StreamQuery } from './stream.ts'

export interface RelayClientSettings extends Partial<RetrySettings> {
  /** where the API is, such as `https://relay.example` */
  readonly baseUrl: string
  /** a bearer token: an API key, an access token or a configured one */
  readonly token: string
  /** in place of the global one */
  readonly fetch?: (request: Request) => Promise<Response>
}

/** `GET`, `POST` … take a path of the API and answer `{ data, error, response }`, all typed; see openapi-fetch. */
export interface RelayClient extends Client<paths> {
  /**
   * Rows of `/api/v1/aggregates`, as they come, over as many answers as it takes.
   * @throws RelayProblem, and Error where the connection goes before the last row
   */
  aggregateRows (query: AggregatesQuery, options?: { readonly signal?: AbortSignal }): AsyncGenerator<AggregateRow, void>
  /**
   * Messages of `/api/v1/stream`. A connection that goes is made anew, and goes on where it was; it ends with the signal,
   * or when the caller stops asking.
   * @throws RelayProblem
   */
  stream (query: StreamQuery, options?: { readonly signal?: AbortSignal }): AsyncGenerator<StreamMessage, void>
}

export function createRelayClient (settings: RelayClientSettings): RelayClient {
  const { baseUrl, token, fetch: send = request => fetch(request) } = settings
  const retries = {
    retriesMax: settings.retriesMax ?? retryDefaults.retriesMax, waitMaxMs: settings.waitMaxMs ?? retryDefaults.waitMaxMs
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
