/** Where a request belongs to a trace, its log lines say to which: https://www.w3.org/TR/trace-context/ */
import type { IncomingHttpHeaders } from 'node:http'

const pattern = /^[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}/

/** What a log line gets from the header `traceparent`. One that can't be read is left alone, as the standard says. */
export function traceIdOf ({ headers }: { readonly headers: IncomingHttpHeaders }): { readonly traceId?: string } {
  const traceId = pattern.exec(String(headers.traceparent ?? ''))?.[1]
  return traceId === undefined ? {} : { traceId }
}
