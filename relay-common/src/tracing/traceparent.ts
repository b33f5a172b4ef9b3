/**
 * The header `traceparent`, of requests and of records of the event log: https://www.w3.org/TR/trace-context/
 *
 *     00-<trace id, 32 hex digits>-<span id, 16 hex digits>-<flags, 2 hex digits; the lowest bit: sampled>
 */
import type { TraceContext } from './port.ts'

export const TRACEPARENT = 'traceparent'

/** later versions may append fields */
const PATTERN = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-|$)/
const VERSION_0 = '00'
const LENGTH_OF_VERSION_0 = 55
const TEXT_MAX = 512

/** A context as received: it may not be sampled. */
export interface ReceivedContext extends TraceContext {
  readonly isSampled: boolean
}

/** @returns undefined for an invalid one, which the standard says to ignore */
export function parseTraceparent (text: unknown): ReceivedContext | undefined {
  if (typeof text !== 'string' || text.length > TEXT_MAX) return undefined
  const parts = PATTERN.exec(text)
  if (!parts || (text.startsWith(VERSION_0) && text.length !== LENGTH_OF_VERSION_0)) return undefined
  const [, traceId, spanId, flags] = parts
  return { traceId, spanId, isSampled: (Number.parseInt(flags, 16) & 1) === 1 }
}

/** Of a sampled span. */
export function formatTraceparent ({ traceId, spanId }: TraceContext): string {
  return `${VERSION_0}-${traceId}-${spanId}-01`
}
