/** Adds the trace of a request to its log lines: https://www.w3.org/TR/trace-context/ */
import type { IncomingMessage } from 'node:http'

import { parseTraceparent, traceFields, TRACEPARENT, type TraceContext } from 'relay-common'

/** The log of a request knows only the message; its span may begin later. */
const spans = new WeakMap<IncomingMessage, { readonly span: TraceContext | undefined }>()

export function noteTrace (message: IncomingMessage, trace: { readonly span: TraceContext | undefined }): void {
  spans.set(message, trace)
}

/**
 * Fields of a log line: of the span, or else of the header. An invalid header is ignored, according to the standard.
 */
export function traceIdOf (
  message: Pick<IncomingMessage, 'headers'>
): { readonly traceId?: string, readonly spanId?: string } {
  const span = spans.get(message as IncomingMessage)?.span
  if (span) return traceFields(span)
  const traceId = parseTraceparent(message.headers[TRACEPARENT])?.traceId
  return traceId === undefined ? {} : { traceId }
}
