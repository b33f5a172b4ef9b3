/** Adds the trace of a request to its log lines: https://www.w3.org/TR/trace-context/ */
import type { IncomingHttpHeaders } from 'node:http'

const pattern = /^[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}/

/** Fields of a log line from the header `traceparent`. An invalid one is ignored, according to the standard. */
export function traceIdOf ({ headers }: { readonly headers: IncomingHttpHeaders }): { readonly traceId?: string } {
  const traceId = pattern.exec(String(headers.traceparent ?? ''))?.[1]
  return traceId === undefined ? {} : { traceId }
}
