/** Adds the trace of a request to its log lines: https://www.w3.org/TR/trace-context/ */
import type { IncomingMessage } from 'node:http'

import { parseTraceparent, traceFields, TRACEPARENT, type TraceContext } from 'relay-common'

/** The log of a request knows only the message; its span may begin later, and most have none. */
const spans = new WeakMap<IncomingMessage, TraceContext>()

export function noteSpan (message: IncomingMessage, span: TraceContext): void {
  spans.set(message, span)
}

/**
 * Fields of a log line: of the span, or else of the header. An invalid header is ignored, according to the standard.
 */
export function traceIdOf (
  message: Pick<IncomingMessage, 'headers'>
): { readonly traceId?: string, readonly spanId?: string } {
  const span = spans.get(message as IncomingMessage)
  if (span) return traceFields(span)
  const traceId = parseTraceparent(message.headers[TRACEPARENT])?.traceId
  return traceId === undefined ? {} : { traceId }
}
